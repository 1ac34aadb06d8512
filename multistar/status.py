"""Why a star's result deserves a second look: one bit per reason, written out as words."""

import numpy as np

FLAGS = {
    "no_data": "nothing was observed that the model can read; the result is the prior",
    "bad_value": "a value was impossible (infinite, outside the valid range, error <= 0) and was ignored",
    "no_xp": "no XP coefficients",
    "no_xp_error": "XP coefficients without errors; the model is told that they are unknown",
    "no_g": "G is neither given nor derivable, so the XP coefficients could not be normalised and were ignored",
    "g_from_xp": "G was synthesised from the XP coefficients",
    "duplicate_id": "another row has the same source_id",
    "bad_id": "source_id is missing; the row carries -1",
    "outside_training": "unlike the stars that the model was trained on; do not trust the labels",
    "no_light_curve": "light curves were given, but none of this star",
    "outside_finetuning": "unlike the stars that an adapter was fine-tuned on; do not trust its columns",
    "inconsistent": "measurements contradict each other: XP and magnitudes, colours, the parallax and the rest, or "
    "(predict --consistency) half of them and the other half; do not trust the labels",
    "suspect_errors": "errors are of another size or shape than surveys have (variances? another unit?); intervals "
    "and labels that rest on them are wrong",
    "only_light_curve": "nothing but a light curve was observed, by which dwarfs and giants can be "
    "confused; check log g",
    "only_adapter": "nothing was observed that the model itself reads: its own labels are the prior; "
    "those of an adapter rest on the adapter's inputs",
    "unlike_prior": "the population of --prior hardly has such stars: few of the posterior's draws count, and "
    "labels are coarse",
}
BIT = {name: np.uint16(1 << i) for i, name in enumerate(FLAGS)}


def words(flags: np.ndarray) -> np.ndarray:
    """(n,) strings: "ok", or the names of the flags that are set, joined by commas."""
    unique, inverse = np.unique(flags, return_inverse=True)
    text = [",".join(name for name, bit in BIT.items() if value & bit) or "ok" for value in unique]
    return np.array(text, dtype=object)[inverse]


def with_word(text: np.ndarray, name: str) -> np.ndarray:
    """(n,) what `words` gives if the flag `name` is set too."""
    flags = np.array(
        [sum(int(BIT[word]) for word in row.split(",") if word != "ok") for row in text], np.uint16
    )
    return words(flags | BIT[name])
