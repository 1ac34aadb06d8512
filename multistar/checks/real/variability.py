"""Classes of real light curves: a probe of the embedding and fine-tuning beside boosted trees.

A logistic regression on the model's embeddings (the model has seen mock stars only); LightGBM on
the features of the package light-curve (Malanchev et al. 2021), on the slots of the view, and on
metadata alone (number of points, span, median error), which must not be what tells the classes
apart; the model fine-tuned to the classes; a probe that has seen mock variables only; and whether
the distance of an embedding from those of training tells a class that was left out. Five folds by
star. Needs the extra `variability`.
"""

import importlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from encoders import Measurement
from multistar.checks.real.mock_teacher import score_mock_teacher
from multistar.checks.results import keep_result
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import predict_columns
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.embed import embed
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.features import (
    LAYOUT,
    SUMMARY,
    LightCurveFeatures,
    compute_features,
)
from multistar.modalities.light_curve.joining import join
from multistar.modalities.light_curve.read import read_light_curves
from multistar.model.checkpoint import Model
from multistar.model.domain import Domain
from multistar.stars import Stars, read_stars

FOLDS, SEED = 5, 0
FEWEST = 15  # stars of a class
FEWEST_POINTS = 5
METADATA = ("ln_points", "ln_span", "ln_error")
ECLIPSING = ("ECL", "Close Binary")  # how the names of such classes begin
FAINTEST = 1e-3  # relative flux, below which no magnitude is taken
UNKNOWN_ERROR = 0.01  # relative, where no error of a star is known
MAGNITUDES = 2.5 / np.log(10)  # per unit of ln flux


@dataclass(frozen=True)
class LabelledCurves:
    """Light curves of n stars, what a model sees of them, and the names of their classes (n,)."""

    curves: LightCurves
    seen: LightCurveFeatures
    kinds: np.ndarray

    @property
    def metadata(self) -> np.ndarray:
        """(n, 3) how a star was observed."""
        return self.seen.value[:, [list(SUMMARY).index(name) for name in METADATA]]

    @property
    def slots(self) -> np.ndarray:
        """(n, d) summary, spectrum and profile of the view, without its samples."""
        return self.seen.value[:, : LAYOUT.parts["profile"].stop]


def read_gaia_epochs(epochs: str, labels: str) -> tuple[LightCurves, np.ndarray]:
    """Read Gaia epoch photometry (one transit per row) and the table of its best_class_name."""
    curves = join(read_light_curves(epochs))
    kinds = pd.read_csv(labels).set_index("source_id")["best_class_name"]
    curves = curves.select(np.isin(curves.source_id, kinds.index))
    return curves, kinds.loc[curves.source_id].to_numpy()


def read_asas(table: str) -> tuple[LightCurves, np.ndarray]:
    """Read a table of light curves with a column cls."""
    kinds = pd.read_parquet(table, columns=["cls"])["cls"].to_numpy()
    return read_light_curves(table), kinds


def select_classes(curves: LightCurves, kinds: np.ndarray) -> LabelledCurves:
    """Select stars with a usable light curve, of classes with FEWEST such stars or more."""
    seen = compute_features(curves, quiet=False)
    known = np.isfinite(seen.value).any(1)
    names, counts = np.unique(kinds[known], return_counts=True)
    known &= np.isin(kinds, names[counts >= FEWEST])
    chosen = LightCurveFeatures(seen.value[known], seen.sigma[known])
    return LabelledCurves(curves.select(known), chosen, kinds[known].astype(str))


def compute_published_features(curves: LightCurves) -> np.ndarray:
    """Compute the usual features of the package light-curve: (n, d), NaN where not defined."""
    extractor = _make_extractor()
    out = np.full((len(curves), len(extractor.names)), np.nan)
    for i in track(range(len(curves)), "published features"):
        points = slice(curves.first[i], curves.first[i + 1])
        times, sigma = curves.time[points], curves.sigma[points]
        if len(times) <= FEWEST_POINTS:
            continue
        magnitude = -2.5 * np.log10(np.maximum(1 + curves.flux[points], FAINTEST))
        known = np.isfinite(sigma)
        usual = np.median(sigma[known]) if known.any() else UNKNOWN_ERROR
        error = MAGNITUDES * np.where(known, sigma, usual)
        out[i] = extractor(times, magnitude, error, sorted=True, check=False, fill_value=np.nan)
    return out


def _make_extractor() -> Any:
    lc: Any = importlib.import_module("light_curve")
    plain = (
        "Amplitude AndersonDarlingNormal Cusum Eta EtaE Kurtosis LinearFit LinearTrend "
        "MaximumSlope MedianAbsoluteDeviation OtsuSplit PercentAmplitude ReducedChi2 Skew "
        "StandardDeviation StetsonK"
    )
    features = [getattr(lc, name)() for name in plain.split()]
    features += [lc.BeyondNStd(width) for width in (1.0, 2.0)]
    features += [lc.InterPercentileRange(share) for share in (0.02, 0.1, 0.25)]
    features += [lc.MagnitudePercentageRatio(share, 0.05) for share in (0.4, 0.2)]
    features += [lc.MedianBufferRangePercentage(0.1), lc.Periodogram(peaks=3)]
    return lc.Extractor(*features)


def make_trees() -> Any:
    """Make LightGBM."""
    lightgbm: Any = importlib.import_module("lightgbm")
    return lightgbm.LGBMClassifier(n_estimators=300, n_jobs=1, verbose=-1, random_state=SEED)


def make_probe() -> Any:
    """Make a logistic regression."""
    regression = LogisticRegression(C=0.3, max_iter=2000)
    return make_pipeline(StandardScaler(), regression)


def guess_balanced(classifier: Any, kinds: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """Say the class (m,) that is most above its share among the stars learnt from.

    Of odds (m, classes): what balanced accuracy asks for, and better than weights in training.
    """
    share = np.array([np.mean(kinds == name) for name in classifier.classes_])
    return classifier.classes_[(odds / share).argmax(1)]


def is_eclipsing(names: np.ndarray) -> np.ndarray:
    """Say which classes (n,) are eclipsing binaries."""
    return np.array([str(name).startswith(ECLIPSING) for name in names], bool)


def _iterate_folds(kinds: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    yield from folds.split(np.zeros((len(kinds), 1)), kinds)


def score_features(x: np.ndarray, kinds: np.ndarray, make: Callable[[], Any]) -> dict:
    """Score a classifier on features (n, d) in folds.

    Returns
    -------
    dict
        `accuracy`, balanced over all classes, by fold, and where there are eclipsing ones `auc`,
        theirs against the rest.
    """
    parts = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        for train, test in _iterate_folds(kinds):
            model = make().fit(x[train], kinds[train])
            odds = model.predict_proba(x[test])
            guess = guess_balanced(model, kinds[train], odds)
            parts.append(_score_fold(model.classes_, odds, guess, kinds[test]))
    return _join_folds(parts)


def _score_fold(names: np.ndarray, odds: np.ndarray, guess: np.ndarray, kinds: np.ndarray) -> dict:
    score = {"accuracy": float(balanced_accuracy_score(kinds, guess))}
    eclipsing = is_eclipsing(names)
    if eclipsing.any():
        score["auc"] = float(roc_auc_score(is_eclipsing(kinds), odds[:, eclipsing].sum(1)))
    return score


def _join_folds(parts: Sequence[dict]) -> dict[str, list[float]]:
    return {key: [part[key] for part in parts] for key in parts[0]}


def score_fine_tuning(
    model: Model, stars: LabelledCurves, mode: str, cache: Path | None, name: str
) -> dict:
    """Score the model fine-tuned to the classes, in the same folds, as score_features does."""
    parts = []
    for i, (train, test) in enumerate(_iterate_folds(stars.kinds)):

        def score(train=train, test=test) -> dict:
            return _fine_tune_fold(model, stars, train, test, mode)

        path = cache / f"{name}-tuned-{mode}-{i}.json" if cache else None
        parts.append(keep_result(path, score))
    return _join_folds(parts)


def _fine_tune_fold(model: Model, stars: LabelledCurves, train, test, mode: str) -> dict:
    names, codes = np.unique(stars.kinds, return_inverse=True)
    table, asked = (_make_table(stars, rows) for rows in (train, test))
    # Codes, because the names of classes become columns.
    table["kind"] = np.array([f"c{code}" for code in codes[train]])
    begun = time.perf_counter()
    adapter = finetune(model, table, ["kind:class"], mode, config=FinetuneConfig(seed=SEED))
    seconds = time.perf_counter() - begun
    stars_asked = read_stars(asked, declared=adapter.request.quantities)
    result, _ = predict_columns(adapter, stars_asked)
    odds = np.stack([result[f"kind_c{code}"][0] for code in range(len(names))], 1)
    # as guess_balanced does
    share = np.bincount(codes[train], minlength=len(names)) / len(train)
    guess = names[(odds / share).argmax(1)]
    return _score_fold(names, odds, guess, stars.kinds[test]) | {"seconds": seconds}


def _make_table(stars: LabelledCurves, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "source_id": stars.curves.source_id[rows],
        "light_curve_value": stars.seen.value[rows],
        "light_curve_sigma": stars.seen.sigma[rows],
    }


def embed_curves(model: Model, stars: LabelledCurves) -> np.ndarray:
    """Embed stars by their light curves alone: (n, d)."""
    known = Stars.of_light_curves(stars.curves)
    return np.stack(embed(model, known, quiet=True)["embedding"].to_pylist())


def score_left_out(embedding: np.ndarray, kinds: np.ndarray) -> dict[str, float]:
    """Tell stars of a class that was left out by how far they are from the stars of the others.

    Parameters
    ----------
    embedding : (n, d) array
        Of the stars.
    kinds : (n,) array of str
        Their classes.

    Returns
    -------
    dict
        Class -> area under the curve, of the distance that raises the flag `outside_finetuning`,
        for its stars against stars of the other classes that nothing was fitted to.
    """
    train, test = next(_iterate_folds(kinds))
    aucs = {}
    for name in np.unique(kinds):
        known = train[kinds[train] != name]
        asked = np.concatenate([test[kinds[test] != name], np.flatnonzero(kinds == name)])
        domain = Domain(embedding.shape[1], 1)
        fitted = torch.from_numpy(embedding[known]).float()
        nothing = torch.zeros(len(fitted), 1)
        seen = Measurement(nothing, nothing, nothing.bool())
        domain.fit(fitted, torch.zeros(1), torch.zeros(1), (fitted, seen))
        distance = domain.distance(torch.from_numpy(embedding[asked]).float()).numpy()
        aucs[str(name)] = float(roc_auc_score(kinds[asked] == name, distance))
    return aucs


def score_baselines(
    model: Model, stars: LabelledCurves, cache: Path | None, name: str
) -> dict[str, dict]:
    """Score the probe of the embedding, and the trees on each kind of features."""
    tasks = {
        "embedding, linear probe": (lambda: embed_curves(model, stars), make_probe),
        "embedding, LightGBM": (lambda: embed_curves(model, stars), make_trees),
        "published features, LightGBM": (
            lambda: compute_published_features(stars.curves),
            make_trees,
        ),
        "view (summary, spectrum, profile), LightGBM": (lambda: stars.slots, make_trees),
        "metadata, LightGBM": (lambda: stars.metadata, make_trees),
    }
    results = {}
    for i, (what, (features, make)) in enumerate(tasks.items()):

        def score(features=features, make=make) -> dict:
            return score_features(features(), stars.kinds, make)

        path = cache / f"{name}-baseline-{i}.json" if cache else None
        results[what] = keep_result(path, score)
    return results


def evaluate_variability(
    model: Model,
    curves: LightCurves,
    kinds: np.ndarray,
    modes: Sequence[str],
    cache: Path | None,
    name: str,
) -> dict:
    """Score all baselines, and fine-tuning in each of the modes.

    Parameters
    ----------
    kinds
        (n,) names of the classes.
    name
        "gaia" or "asas"; parts are kept in the cache under it.

    Returns
    -------
    dict
        `stars`, `classes`, `scores`: what -> score_features, `mock`: score_mock_teacher, and
        `left_out`: score_left_out.
    """
    stars = select_classes(curves, kinds)
    scores = score_baselines(model, stars, cache, name)
    for mode in modes:
        scores[f"fine-tuned, {mode}"] = score_fine_tuning(model, stars, mode, cache, name)
    embedding = embed_curves(model, stars)
    return {
        "stars": len(stars.kinds),
        "classes": len(np.unique(stars.kinds)),
        "scores": scores,
        "mock": score_mock_teacher(model, embedding, stars.kinds, name, make_probe),
        "left_out": score_left_out(embedding, stars.kinds),
    }


def summarise_scores(scores: dict[str, dict]) -> list[dict]:
    """List means over the folds and their standard errors."""
    rows = []
    for what, folds in scores.items():
        row: dict = {"features": what}
        for key, values in folds.items():
            row[key] = float(np.mean(values))
            row[f"{key}_error"] = float(np.std(values) / FOLDS**0.5)
        rows.append(row)
    return rows
