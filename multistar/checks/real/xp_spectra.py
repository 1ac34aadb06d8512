"""A model on real Gaia XP spectra: inpainting, stars of known labels, stars to refuse."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from multistar.checks.fitting.sky_anchors import is_fitted
from multistar.checks.physics import inpainting
from multistar.inference.predict import predict
from multistar.model.checkpoint import Model
from multistar.stars import Stars, read_stars
from multistar.training.data import held_out

SKY_HELD_OUT = 0.2  # the share that training with `data.sky` leaves out, by a hash of the id
BINS = ((0, 99), (0, 14), (14, 16), (16, 17.65))  # G
FEWEST = 10  # stars of a bin
LABELS = ("teff", "logg", "m_h", "mass", "age", "ebv")


@dataclass(frozen=True)
class KnownStar:
    """A star whose labels are known from elsewhere, in the units of quantities.py."""

    name: str
    teff: float
    logg: float
    m_h: float
    mass: float
    age: float
    ebv: float


# 18 Sco from Melendez et al. (2014) and Gaia's parallax; 16 Cyg B from Ramirez et al. (2011),
# Metcalfe et al. (2015) and Gaia's parallax.
KNOWN = {
    4345775217221821312: KnownStar("18 Sco", 5823, 4.45, 0.05, 1.04, 2.9, 0.0),
    2135550755683407232: KnownStar("16 Cyg B", 5751, 4.35, 0.05, 1.04, 7.0, 0.0),
}


def evaluate_inpainting(model: Model, table: Any) -> list[dict]:
    """Predict each band of held-out stars from the other, beside a conditional Gaussian.

    The Gaussian is learnt from the other 80 % of the stars. All orders are shown; only relevant
    ones are judged, of stars that the mock's spectra were not fitted to, either.

    Returns
    -------
    list of dict
        By band and range of G: medians over stars of rms / catalogue error.
    """
    field = read_stars(table, all_orders=True)
    learnt = ~held_out(field.source_id, SKY_HELD_OUT)
    fitted = np.array([is_fitted(str(number)) for number in field.source_id])
    test = ~learnt & ~fitted
    reference, stars = field.select(learnt), field.select(test)
    judged = read_stars(table).select(test)
    g, rows = stars.scalars["g"].value, []
    for band in ("bp", "rp"):
        for low, high in BINS:
            here = (g > low) & (g < high)
            if here.sum() > FEWEST:
                some = stars.select(here)
                found = inpainting(model, some, reference, band, judged.select(here))
                rows.append({"band": band, "g": f"{low}-{high}", "stars": len(some)} | found)
    return rows


def evaluate_known_stars(model: Model, table: Any) -> list[dict]:
    """Predict the stars of KNOWN that a table holds, beside their labels from the literature."""
    stars = read_stars(table)
    stars = stars.select(np.isin(stars.source_id, list(KNOWN)))
    rows = []
    for found in predict(model, stars, quiet=True).to_pylist():
        star = KNOWN[found["source_id"]]
        for label in LABELS:
            row = {"star": star.name, "label": label, "literature": getattr(star, label)}
            row |= {"median": found[label], "lower": found[f"{label}_lower"]}
            row |= {"upper": found[f"{label}_upper"], "status": found["status"]}
            rows.append(row)
    return rows


def measure_flagged(model: Model, stars: Stars) -> float:
    """Return the share of stars that the model calls outside_training."""
    words = predict(model, stars, quiet=True)["status"].to_pylist()
    return float(np.mean(["outside_training" in word for word in words]))
