"""How far are real stars from mock ones, as a model sees them?

Every real star is matched with a mock star (matched_pairs.py). Then, for what is left:

auc        in five folds, of classifiers that tell real stars from their partners by the model's
           embedding (logistic regression; LightGBM) and by the values that it reads (LightGBM)
control    the same for partners against second partners: 0.5 if all is well
corrected  the same after one constant per band has put differences of colours to zero
flagged    share that the model calls outside_training, of real stars and of partners
colours    median difference of each colour between real stars and their partners [mag]
accuracy   error of labels of real stars as catalogued, and of partners, whose truth is known
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from multistar.checks.fitting.sky_anchors import is_fitted
from multistar.checks.metrics import scatter
from multistar.checks.real.matched_pairs import (
    LABELS,
    compare_colours,
    correct_colours,
    match_stars,
    observe_alike,
)
from multistar.checks.real.tables import (
    LAMOST_COLUMNS,
    OLDEST,
    read_cluster_members,
    read_field,
    read_giants,
    read_lamost,
)
from multistar.checks.results import keep_result
from multistar.inference.embed import embed
from multistar.inference.predict import predict
from multistar.inference.stream import show_measurements
from multistar.io.files import atomic_write
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import Model
from multistar.stars import Stars, read_stars

SEED, FOLDS, MOST = 31, 5, 2500
MOCK_STARS = {"all-sky": 30000, "high-latitude": 30000, "kepler-like": 20000}
FEWEST = 50  # stars with a label
GIANT_COLUMNS = {"teff": "TEFF", "logg": "LOGG", "m_h": "FE_H", "mass": "Mcorr", "age": "Age"}
MEASURED = ("source_id", "phot_", "parallax", "j_m", "h_m", "ks_m")


def read_labelled_giants(folder: Path) -> Stars:
    """Read Kepler giants with G and a parallax, and whatever labels they have."""
    renamed = {theirs: ours for ours, theirs in GIANT_COLUMNS.items()}
    frame: Any = read_giants(folder).rename(columns=renamed)
    frame["age"] = frame["age"].where(frame["age"] < OLDEST)
    seen = frame["phot_g_mean_mag"].notna() & frame["parallax"].notna()
    names = [name for name in frame if name.startswith((*MEASURED, *LABELS))]
    return read_stars(frame.loc[seen, names])


def _read_lamost(folder: Path) -> Stars:
    return read_stars(read_lamost(folder), LAMOST_COLUMNS)


def _read_field(folder: Path) -> Stars:
    """Those that the mock's spectra were not fitted to."""
    stars = read_field(folder)
    return stars.select(np.array([not is_fitted(str(number)) for number in stars.source_id]))


def _read_members(folder: Path) -> Stars:
    return read_stars(read_cluster_members(folder))


# Part -> the mock's selection, and what reads the real stars. The field stars lie 49 degrees from
# the Galactic plane.
PARTS: dict[str, tuple[str, Callable[[Path], Stars]]] = {
    "lamost": ("all-sky", _read_lamost),
    "giants": ("kepler-like", read_labelled_giants),
    "members": ("all-sky", _read_members),
    "field": ("high-latitude", _read_field),
}


def make_mock_stars(selection: str, cache: Path) -> Stars:
    """Make mock stars of a selection, or read them from the cache."""
    path = cache / f"mock-{selection}.parquet"
    if not path.exists():
        config = SurveyConfig(seed=SEED, selection=selection)
        table = pa.concat_tables(survey(MOCK_STARS[selection], config))
        with atomic_write(path) as temporary:
            pq.write_table(table, temporary)
    return read_stars(path)


def measure_auc(one: np.ndarray, other: np.ndarray, linear: bool) -> float:
    """Measure how well a classifier tells the rows of two arrays (n, d) apart, in folds.

    Parameters
    ----------
    linear
        A logistic regression; otherwise LightGBM (extra `variability`), which reads NaN.

    Returns
    -------
    float
        Area under the ROC curve; 0.5 if they are alike.
    """
    x, y = np.concatenate([one, other]), np.repeat([0, 1], [len(one), len(other)])
    odds = np.empty(len(y))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y):
        classifier = _make_classifier(linear).fit(x[train], y[train])
        odds[test] = classifier.predict_proba(x[test])[:, 1]
    return float(roc_auc_score(y, odds))


def _make_classifier(linear: bool) -> Any:
    if linear:
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    lightgbm: Any = importlib.import_module("lightgbm")
    return lightgbm.LGBMClassifier(
        n_estimators=150, num_leaves=15, learning_rate=0.08, n_jobs=1, verbose=-1
    )


class Views:
    """What a model makes of stars: their embeddings, and the values that it reads."""

    def __init__(self, model: Model, stars: Stars):
        self.embedding = np.stack(embed(model, stars, quiet=True)["embedding"].to_numpy())
        measured = show_measurements(model, stars)
        self.values = np.where(measured.observed.numpy(), measured.value.numpy(), np.nan)

    def tell_apart(self, other: "Views") -> dict[str, float]:
        """Measure the AUC of three classifiers between two sets of stars."""
        return {
            "linear": measure_auc(self.embedding, other.embedding, linear=True),
            "trees": measure_auc(self.embedding, other.embedding, linear=False),
            "values": measure_auc(self.values, other.values, linear=False),
        }


def measure_shift(model: Model, everything: Stars, mock: Stars) -> dict:
    """Measure how far real stars are from mock ones; see above for the figures."""
    rng = np.random.default_rng(0)
    everything = _keep_read(everything, model)
    chosen = np.sort(rng.permutation(len(everything))[:MOST])
    some, taken = everything.select(chosen), np.zeros(len(mock), bool)
    rows, first = match_stars(some, mock, taken, rng)
    real = some.select(rows)
    again, second = match_stars(real, mock, taken, rng)
    partners = observe_alike(mock.select(first), real, rng)
    others = observe_alike(mock.select(second), real.select(again), rng)
    shifts = compare_colours(real, partners)
    corrected = correct_colours(real, shifts)
    seen = Views(model, partners)
    truth = {name: mock.extra[f"true_{name}"][first] for name in LABELS}
    return {
        "stars": len(some),
        "pairs": len(rows),
        "colours": shifts,
        "auc": Views(model, real).tell_apart(seen),
        "control": Views(model, others).tell_apart(seen),
        "corrected": Views(model, corrected).tell_apart(seen),
        "accuracy": _measure_accuracy(model, real, corrected, partners, truth),
        "flagged": {
            "all_real": _measure_flagged(model, everything),
            "real": _measure_flagged(model, real),
            "partners": _measure_flagged(model, partners),
        },
    }


def _keep_read(stars: Stars, model: Model) -> Stars:
    """Only what the model reads, and the labels that are compared."""
    names = {*model.vocabulary.measurements, *LABELS}
    scalars = {name: value for name, value in stars.scalars.items() if name in names}
    return stars.with_blocks(scalars=scalars)


def _measure_flagged(model: Model, stars: Stars) -> float:
    words = embed(model, stars, quiet=True)["status"].to_pylist()
    return float(np.mean(["outside_training" in word for word in words]))


def _measure_accuracy(model: Model, real: Stars, corrected: Stars, partners: Stars, truth) -> dict:
    tables = {}
    for who, stars in (("real", real), ("corrected", corrected), ("partners", partners)):
        tables[who] = predict(model, stars, quiet=True)
    out: dict = {}
    for name in LABELS:
        if name not in real.scalars:
            continue
        known = real.scalars[name].value
        if np.isfinite(known).sum() > FEWEST:
            out[name] = {}
            for who, table in tables.items():
                against = truth[name] if who == "partners" else known
                out[name][who] = scatter(table[name].to_numpy(), against)
    return out


def evaluate_part(model: Model, data: Path, part: str, cache: Path) -> dict:
    """Measure the shift of one of PARTS; result and mock stars are kept in the cache."""
    selection, read = PARTS[part]

    def make() -> dict:
        return measure_shift(model, read(data), make_mock_stars(selection, cache))

    return keep_result(cache / f"shift-{part}.json", make)


def summarise_accuracy(results: dict[str, dict]) -> list[dict]:
    """List MAD-std and bias by table, label and who: partners, real stars, the same corrected."""
    rows = []
    for part, result in results.items():
        for name, cells in result["accuracy"].items():
            row: dict = {"table": part, "label": name}
            for who, size in cells.items():
                row |= {f"{who}_mad_std": size["mad_std"], f"{who}_bias": size["bias"]}
            rows.append(row)
    return rows
