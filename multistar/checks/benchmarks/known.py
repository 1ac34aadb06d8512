"""Labels of new mock stars by what is known of them, from Gaia's photometry alone to everything.

Most users have a few columns, not all that training has. A model that rarely saw their kind of
table is biased for it, however good it is with everything.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from multistar.checks.metrics import coverage, scatter
from multistar.inference.dust_evidence import with_dust
from multistar.inference.predict import predict
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import Model
from multistar.stars import Stars, read_stars

LABELS = ("teff", "logg", "m_h", "ebv")
SELECTIONS = {
    "everything": "a magnitude-limited sky",
    "apogee-like": "giants",
    "nearby": "stars within some hundred parsec",
    "high-latitude": "stars far from the plane",
}
GAIA = ("g", "bp", "rp")
TWO_MASS, WISE = ("j", "h", "ks"), ("w1", "w2")
# What is known: quantities (none named: all), whether XP is, and a dust map.
KNOWN: dict[str, tuple[tuple[str, ...], bool, str]] = {
    "G, BP, RP": (GAIA, False, ""),
    "G, BP, RP, parallax": ((*GAIA, "parallax"), False, ""),
    "G, BP, RP, parallax, place (--dust disc)": ((*GAIA, "parallax"), False, "disc"),
    "G, BP, RP, parallax, J, H, Ks": ((*GAIA, "parallax", *TWO_MASS), False, ""),
    "G, BP, RP, parallax, J, H, Ks, W1, W2": (
        (*GAIA, "parallax", *TWO_MASS, *WISE),
        False,
        "",
    ),
    "XP, G": (("g",), True, ""),
    "XP, G, BP, RP, parallax": ((*GAIA, "parallax"), True, ""),
    "XP, parallax, all bands": ((), True, ""),
}
# Sun-like stars: M_G, BP - RP and distance [pc]
ABSOLUTE, COLOUR, FARTHEST = (4.42, 4.92), (0.79, 0.85), 200.0


def show(stars: Stars, quantities: tuple[str, ...], xp: bool) -> Stars:
    """Leave of stars these quantities, or all if none is named, and XP or not."""
    scalars = {n: v for n, v in stars.scalars.items() if n in quantities or not quantities}
    return stars.with_blocks(scalars=scalars, xp=stars.xp if xp else None)


def score_known(model: Model, stars: Stars, table: pa.Table) -> list[dict[str, Any]]:
    """Score a model by what is known of the stars: a row for each of KNOWN and each label."""
    rows = []
    for known, (quantities, xp, dust) in KNOWN.items():
        shown, given = show(stars, quantities, xp), {}
        if dust:
            shown, given = with_dust(model, shown, dust, {})
        predicted = predict(model, shown, quiet=True, given=given)
        for label in LABELS:
            truth = table[f"true_{label}"].to_numpy()
            low, high = (predicted[f"{label}_{end}"].to_numpy() for end in ("lower", "upper"))
            size = scatter(predicted[label].to_numpy(), truth)
            rows.append(
                {
                    "known": known,
                    "label": label,
                    "mad_std": size["mad_std"],
                    "bias": size["bias"],
                    "coverage": coverage(low, high, truth),
                }
            )
    return rows


def find_sun_like(table: pa.Table) -> pa.Table:
    """Take the nearby stars of a mock table that have the Sun's colour and absolute magnitude."""
    g, bp, rp = (table[f"phot_{band}_mean_mag"].to_numpy() for band in GAIA)
    parsec = 1000 * table["true_distance"].to_numpy()
    absolute, colour = g + 5 - 5 * np.log10(parsec), bp - rp
    chosen = parsec < FARTHEST
    for value, (low, high) in ((absolute, ABSOLUTE), (colour, COLOUR)):
        chosen &= (value > low) & (value < high)
    return table.filter(pa.array(chosen))


def benchmark_known(model: Model, n: int, seed: int) -> dict[str, Mapping[str, Any]]:
    """Score a model on n new mock stars of each of SELECTIONS, and on Sun-like ones of 10 n nearby.

    Parameters
    ----------
    model : Model
    n : int
        Stars of each selection.
    seed : int
        Of the mock; one that no training has seen.

    Returns
    -------
    dict
        Sample -> its number of `stars`, and `scores`, a row for each of KNOWN and each label.
    """
    figures: dict[str, Mapping[str, Any]] = {}
    for selection, words in SELECTIONS.items():
        table = pa.concat_tables(survey(n, SurveyConfig(seed, selection=selection)))
        figures[words] = _score(model, table)
    nearby = pa.concat_tables(survey(10 * n, SurveyConfig(seed + 1, selection="nearby")))
    figures["Sun-like stars within 200 pc"] = _score(model, find_sun_like(nearby))
    return figures


def _score(model: Model, table: pa.Table) -> dict[str, Any]:
    # labels are answers, not evidence
    stars = read_stars(table, labels=False)
    return {"stars": len(stars), "scores": score_known(model, stars, table)}
