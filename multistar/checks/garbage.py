"""Is garbage told? Stars whose measurements are made wrong, and how many of them get a word.

Each corruption is one that tables of users have: another star's spectrum after a wrong join, bands
swapped, variances for errors, a distance for a parallax. A star is told if its status has a word
that says "do not trust this": outside_training, inconsistent, or suspect_errors. A table of which
all stars are wrong in the same way can be told as a whole, too: see inference/doubts.py.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from multistar.inference.doubts import question_columns
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.modalities.gaia_xp.modality import g_flux
from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.scalars.read import Scalar
from multistar.model.checkpoint import Model
from multistar.quantities import AB_OFFSET
from multistar.stars import Stars

WORDS = ("outside_training", "inconsistent", "suspect_errors")
GARBAGE, OWNED = "garbage.json", ("garbage.json",)
Rng = np.random.Generator
Corruption = Callable[[Stars, Rng], Stars]
FIRST_PADDED = 10
MAS_PER_ARCSEC = 1000.0


def with_scalar(stars: Stars, name: str, value: np.ndarray, sigma: np.ndarray) -> Stars:
    """The same stars with another value (n,) and error (n,) of a quantity."""
    scalars = dict(stars.scalars) | {name: Scalar(value, sigma)}
    return stars.with_blocks(scalars=scalars)


def with_xp(stars: Stars, make: Callable[[XPCoefficients], tuple[np.ndarray, np.ndarray]]) -> Stars:
    """The same stars with values and errors of both bands made from what they are."""
    xp = {band: XPCoefficients(*make(x)) for band, x in stars.xp.items()}
    return stars.with_blocks(xp=xp)


def scale_xp(factor: Any) -> Corruption:
    """Multiply coefficients and errors by a factor."""
    return lambda stars, rng: with_xp(stars, lambda x: (x.value * factor, x.sigma * factor))


def other_xp(stars: Stars, rng: Rng, scaled: bool = True) -> Stars:
    """XP of another star, if `scaled` brought to the star's own G."""
    other = stars.select(_derange(len(stars), rng))
    factor = np.ones(len(stars))
    if scaled:
        factor = g_flux(stars.scalars["g"].value) / g_flux(other.scalars["g"].value)
    xp = {}
    for band, x in other.xp.items():
        xp[band] = XPCoefficients(x.value * factor[:, None], x.sigma * factor[:, None])
    return stars.with_blocks(xp=xp)


def similar_xp(stars: Stars, rng: Rng) -> Stars:
    """XP of the star that is next in brightness."""
    order = np.argsort(stars.scalars["g"].value)
    rows = np.empty(len(order), int)
    rows[order] = np.roll(order, 1)
    return stars.with_blocks(xp=stars.select(rows).xp)


def noise_xp(stars: Stars, rng: Rng) -> Stars:
    """Nothing but noise of the stated size, around nothing."""
    return with_xp(stars, lambda x: (rng.normal(size=x.value.shape) * x.sigma, x.sigma))


def swapped_xp(stars: Stars, rng: Rng) -> Stars:
    """BP and RP exchanged."""
    return stars.with_blocks(xp={"bp": stars.xp["rp"], "rp": stars.xp["bp"]})


def padded_xp(stars: Stars, rng: Rng) -> Stars:
    """Zeros in place of what was cut off."""

    def pad(x: XPCoefficients) -> tuple[np.ndarray, np.ndarray]:
        value = x.value.copy()
        value[:, FIRST_PADDED:] = 0
        return value, x.sigma

    return with_xp(stars, pad)


def xp_errors(make: Callable[[np.ndarray], np.ndarray]) -> Corruption:
    """Other errors of XP."""
    return lambda stars, rng: with_xp(stars, lambda x: (x.value, make(x.sigma)))


def photometric_errors(make: Callable[[np.ndarray], np.ndarray]) -> Corruption:
    """Other errors of all magnitudes."""

    def corrupt(stars: Stars, rng: Rng) -> Stars:
        for name in _magnitudes(stars):
            x = stars.scalars[name]
            stars = with_scalar(stars, name, x.value, make(x.sigma))
        return stars

    return corrupt


def scale_parallax(factor: float) -> Corruption:
    """A parallax in another unit."""

    def corrupt(stars: Stars, rng: Rng) -> Stars:
        x = stars.scalars["parallax"]
        return with_scalar(stars, "parallax", x.value * factor, x.sigma * factor)

    return corrupt


def other_parallax(stars: Stars, rng: Rng) -> Stars:
    """The parallax of another star."""
    x = stars.select(_derange(len(stars), rng)).scalars["parallax"]
    return with_scalar(stars, "parallax", x.value, x.sigma)


def distance_as_parallax(stars: Stars, rng: Rng) -> Stars:
    """A distance [kpc], with the relative error of the parallax, in the place of the parallax."""
    x = stars.scalars["parallax"]
    sound = np.where(x.value > 0, x.value, np.nan)
    return with_scalar(stars, "parallax", 1 / sound, x.sigma / sound**2)


def other_magnitudes(*names: str) -> Corruption:
    """Magnitudes of another star."""

    def corrupt(stars: Stars, rng: Rng) -> Stars:
        other = stars.select(_derange(len(stars), rng))
        for name in set(names) & set(stars.scalars):
            x = other.scalars[name]
            stars = with_scalar(stars, name, x.value, x.sigma)
        return stars

    return corrupt


def ab_magnitudes(*names: str) -> Corruption:
    """AB magnitudes that are called Vega."""

    def corrupt(stars: Stars, rng: Rng) -> Stars:
        for name in set(names) & set(stars.scalars):
            x = stars.scalars[name]
            stars = with_scalar(stars, name, x.value + AB_OFFSET[name], x.sigma)
        return stars

    return corrupt


def swapped_magnitudes(one: str, other: str) -> Corruption:
    """Two bands exchanged."""

    def corrupt(stars: Stars, rng: Rng) -> Stars:
        a, b = stars.scalars[one], stars.scalars[other]
        return with_scalar(with_scalar(stars, one, b.value, b.sigma), other, a.value, a.sigma)

    return corrupt


def unchanged(stars: Stars, rng: Rng) -> Stars:
    """As they are."""
    return stars


JHK, GAIA = ("j", "h", "ks"), ("g", "bp", "rp")
CORRUPTIONS: dict[str, Corruption] = {
    "clean": unchanged,
    "XP of another star, scaled to G": other_xp,
    "XP of a star of equal G": similar_xp,
    "XP of another star, raw": lambda stars, rng: other_xp(stars, rng, scaled=False),
    "noise for XP": noise_xp,
    "BP and RP swapped": swapped_xp,
    "XP x 1.5": scale_xp(1.5),
    "XP x 0.1": scale_xp(0.1),
    "XP x 10": scale_xp(10.0),
    "XP orders above 10 are zero": padded_xp,
    "XP errors are variances": xp_errors(lambda sigma: sigma**2),
    "XP errors are inverse variances": xp_errors(lambda sigma: sigma**-2.0),
    "XP errors / 1000": xp_errors(lambda sigma: sigma / 1000),
    "photometric errors are variances": photometric_errors(lambda sigma: sigma**2),
    "photometric errors / 1000": photometric_errors(lambda sigma: sigma / 1000),
    "parallax in arcsec": scale_parallax(1 / MAS_PER_ARCSEC),
    "parallax of another star": other_parallax,
    "distance as parallax": distance_as_parallax,
    "JHK of another star": other_magnitudes(*JHK),
    "BP, RP of another star": other_magnitudes("bp", "rp"),
    "JHK in AB": ab_magnitudes(*JHK),
    "Gaia magnitudes in AB": ab_magnitudes(*GAIA),
    "J and Ks swapped": swapped_magnitudes("j", "ks"),
}


# What each needs of the stars beyond G.
NEEDS = dict.fromkeys(CORRUPTIONS, ("xp",)) | {
    "clean": (),
    "photometric errors are variances": (),
    "photometric errors / 1000": (),
    "parallax in arcsec": ("parallax",),
    "parallax of another star": ("parallax",),
    "distance as parallax": ("parallax",),
    "JHK of another star": JHK,
    "BP, RP of another star": ("bp", "rp"),
    "JHK in AB": JHK,
    "Gaia magnitudes in AB": GAIA,
    "J and Ks swapped": JHK,
}


def garbage(
    model: Model,
    stars: Stars,
    seed: int = 0,
    quiet: bool = True,
    names: tuple[str, ...] = tuple(CORRUPTIONS),
) -> dict[str, Any]:
    """Corrupt sound stars in each way, and count who is told.

    Mock stars are treated as stars of the sky, whose errors are wider and hide more.

    Parameters
    ----------
    model : Model
    stars : Stars
        Sound ones; at least two.
    seed : int
        Of whose measurements are exchanged.
    quiet : bool
        Show no progress.
    names : tuple of str
        Of CORRUPTIONS; those that the stars have no measurements for are left out.

    Returns
    -------
    dict
        "model", "stars", and "told": corruption -> share of the stars with any of WORDS, and with
        each, and the quantities of the table that are "doubted".

    Raises
    ------
    ValueError
        For fewer than two stars.
    """
    if len(stars) < 2:
        raise ValueError(f"{len(stars)} stars: at least 2 are needed, to exchange measurements")
    stars, told = stars.with_origin("sky"), {}
    for name in track(names, "measurements made wrong", disable=quiet):
        if not all(_has(stars, part) for part in ("g", *NEEDS[name])):
            continue
        wrong = CORRUPTIONS[name](stars, np.random.default_rng(seed))
        status = predict(model, wrong, quiet=True)["status"].to_pylist()
        shares = {word: float(np.mean([word in text for text in status])) for word in WORDS}
        any_word = np.mean([any(word in text for word in WORDS) for text in status])
        doubted = [doubt.split(":")[0] for doubt in question_columns(model, wrong)]
        told[name] = {"any": float(any_word)} | shares | {"doubted": doubted}
    return {"model": model.hash, "stars": len(stars), "told": told}


def write_garbage(result: dict[str, Any], out: str | Path, overwrite: bool = False) -> None:
    """Write the numbers as JSON into a folder; FileExistsError as `atomic_write`."""
    with atomic_write(out, overwrite, OWNED) as temporary:
        temporary.mkdir()
        (temporary / GARBAGE).write_text(json.dumps(result, indent=1))


def format_garbage(result: dict[str, Any]) -> str:
    """Return a line of text per corruption: the share that is told, and by which words."""
    header = f"{'of ' + format(result['stars'], ',') + ' stars':36s}   any  {'  '.join(WORDS)}"
    lines = [f"{header}  of the table"]
    for name, shares in result["told"].items():
        cells = "".join(f"{shares[word]:{len(word) + 2}.1%}" for word in WORDS)
        lines.append(
            f"{name:36s} {shares['any']:6.1%}{cells}  {', '.join(shares['doubted'])}".rstrip()
        )
    return "\n".join(lines)


def _has(stars: Stars, part: str) -> bool:
    """Whether any star has this quantity, or XP of both bands."""
    if part == "xp":
        return set(stars.xp) == {"bp", "rp"}
    return part in stars.scalars and bool(np.isfinite(stars.scalars[part].value).any())


def _magnitudes(stars: Stars) -> list[str]:
    return [name for name in AB_OFFSET if name in stars.scalars]


def _derange(n: int, rng: Rng) -> np.ndarray:
    """(n,) rows, none of which is its own place."""
    order = rng.permutation(n)
    rows = np.empty(n, int)
    rows[order] = np.roll(order, 1)
    return rows
