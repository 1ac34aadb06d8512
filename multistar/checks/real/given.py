"""Mass and age of Kepler giants from photometry, and with known Teff, log g and [M/H].

Zero shot, beside XGBoost that learnt from four fifths of the same stars with the same inputs. And
their Teff and E(B-V) with and without a dust map.
"""

from pathlib import Path
from typing import Any

import numpy as np

from multistar.checks.metrics import coverage, scatter
from multistar.checks.real.learners import predict_with_trees, read_inputs
from multistar.checks.real.reddening import CoarseMap
from multistar.checks.real.tables import read_giants
from multistar.checks.sky import SPECTRA_ERRORS
from multistar.inference.dust_evidence import SCALE, with_dust
from multistar.inference.predict import predict
from multistar.modalities.scalars.read import Scalar
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars

FOLDS = 5
MEASURED = ("source_id", "ra", "dec", "phot_", "parallax", "j_m", "h_m", "ks_m")
SPECTRA = {"teff": "TEFF", "logg": "LOGG", "m_h": "FE_H"}
MAPS = {
    "none": None,
    "disc": "disc",
    "BH": "bh",
    f"SFD x {SCALE['sfd']}": CoarseMap("SFD", SCALE["sfd"]),
    "Planck": CoarseMap("Planck13"),
}
TARGETS = {"mass": "Mcorr", "age": "Age"}


def read_seismic_giants(folder: Path) -> tuple[Any, Stars]:
    """Read Kepler giants with photometry, spectroscopic labels and a seismic mass.

    Returns
    -------
    frame : DataFrame
    stars : Stars
        Photometry, parallaxes and the labels of SPECTRA.
    """
    frame: Any = read_giants(folder)
    needed = ["phot_bp_mean_mag", "TEFF", "LOGG", "FE_H", *TARGETS.values()]
    frame = frame[frame[needed].notna().all(axis=1)].reset_index(drop=True)
    stars = read_stars(frame[[name for name in frame if name.startswith(MEASURED)]])
    scalars = dict(stars.scalars)
    for label, column in SPECTRA.items():
        stated = frame[f"{column}_ERR"].fillna(0).clip(lower=0).to_numpy(float)
        sigma = np.hypot(stated, SPECTRA_ERRORS[label])
        scalars[label] = Scalar(frame[column].to_numpy(float), sigma)
    return frame, stars.with_blocks(scalars=scalars)


def compare_given(model: Model, folder: Path) -> list[dict]:
    """Predict mass and age with more and more known: rows by inputs, learner and label."""
    frame, stars = read_seismic_giants(folder)
    fold = np.random.default_rng(0).permutation(len(frame)) % FOLDS
    rows = []
    for inputs, given in (("photometry", ()), ("photometry and spectra", tuple(SPECTRA))):
        table = predict(model, stars, quiet=True, labels=list(TARGETS), given=given)
        x = read_inputs(model, stars, given)
        for label, column in TARGETS.items():
            known = frame[column].to_numpy(float)
            low, high = (table[f"{label}_{end}"].to_numpy() for end in ("lower", "upper"))
            row = {"inputs": inputs, "label": label, "stars": len(known)}
            ours = scatter(table[label].to_numpy(), known)
            rows.append(row | {"by": "zero shot", "held": coverage(low, high, known)} | ours)
            y, quantity = to_even_scale(QUANTITIES[label], known), QUANTITIES[label]
            learnt = np.empty(len(known))
            for k in range(FOLDS):
                learnt[fold == k] = predict_with_trees(x[fold != k], y[fold != k], x[fold == k])
            rows.append(row | {"by": "XGBoost"} | scatter(from_even_scale(quantity, learnt), known))
    return rows


def compare_dust(model: Model, folder: Path) -> list[dict]:
    """Predict Teff and E(B-V) with and without dust maps: rows by map and label.

    E(B-V) is compared with Li et al. (2023).
    """
    frame, stars = read_seismic_giants(folder)
    truth = {"teff": frame["TEFF"].to_numpy(float), "ebv": frame["L23_ebv"].to_numpy(float)}
    has_place = np.isfinite(np.asarray(stars.extra["ra"], float))
    rows = []
    for name, source in MAPS.items():
        told, given = stars, {}
        if source is not None:
            told, given = with_dust(model, stars, source, {})
        table = predict(model, told, quiet=True, labels=list(truth), given=given)
        for label, known in truth.items():
            here = has_place & np.isfinite(known)
            value, low, high = (
                table[label + end].to_numpy()[here] for end in ("", "_lower", "_upper")
            )
            row = {"map": name, "label": label, "stars": int(here.sum())}
            row |= scatter(value, known[here])
            rows.append(row | {"held": coverage(low, high, known[here])})
    return rows
