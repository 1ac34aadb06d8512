"""Real light curves, variability classes: a linear probe of the embedding beside boosted trees, five folds by star.

    python scripts/evaluate_variability.py --model DIR --gaia EPOCHS.parquet --labels LABELS.csv [--asas ASAS.parquet]
        [--modes head lora full] [--out DIR]

Rows of the tables: a logistic regression on the model's embeddings (the model has seen mock stars only); LightGBM on
the features of the package light-curve (Malanchev et al. 2021), on the slots of the view, and on metadata alone
(number of points, span, median error), which must not be what tells the classes apart; the model fine-tuned to the
classes. With --out every row, and every fold of a fine-tuning, is kept there as JSON: a run may be cut, and what is
there is not computed again. Needs the extra `variability`.
"""

import argparse
import importlib
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from real_tables import kept
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from multistar.api import MultiStar
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.features import (
    LAYOUT,
    SUMMARY,
    LightCurveFeatures,
    compute_features,
)
from multistar.modalities.light_curve.joining import join
from multistar.modalities.light_curve.read import read_light_curves
from multistar.stars import Stars

FOLDS, SEED = 5, 0
FEWEST = 15  # stars of a class
METADATA = ("ln_points", "ln_span", "ln_error")


def published_features(curves: LightCurves) -> np.ndarray:
    """(n, features) of the package light-curve, its usual set; NaN where a feature is not defined."""
    lc: Any = importlib.import_module("light_curve")
    extractor = lc.Extractor(
        lc.Amplitude(), lc.AndersonDarlingNormal(), lc.BeyondNStd(1.0), lc.BeyondNStd(2.0), lc.Cusum(), lc.Eta(),
        lc.EtaE(), lc.InterPercentileRange(0.02), lc.InterPercentileRange(0.1), lc.InterPercentileRange(0.25),
        lc.Kurtosis(), lc.LinearFit(), lc.LinearTrend(), lc.MagnitudePercentageRatio(0.4, 0.05),
        lc.MagnitudePercentageRatio(0.2, 0.05), lc.MaximumSlope(), lc.MedianAbsoluteDeviation(),
        lc.MedianBufferRangePercentage(0.1), lc.OtsuSplit(), lc.PercentAmplitude(), lc.ReducedChi2(), lc.Skew(),
        lc.StandardDeviation(), lc.StetsonK(), lc.Periodogram(peaks=3),
    )  # fmt: skip
    out = np.full((len(curves), len(extractor.names)), np.nan)
    for i in track(range(len(curves)), "published features"):
        points = slice(curves.first[i], curves.first[i + 1])
        time, sigma = curves.time[points], curves.sigma[points]
        magnitude = -2.5 * np.log10(np.maximum(1 + curves.flux[points], 1e-3))
        error = 1.0857 * np.where(
            np.isfinite(sigma), sigma, np.nanmedian(sigma) if np.isfinite(sigma).any() else 0.01
        )
        if len(time) > 5:
            out[i] = extractor(time, magnitude, error, sorted=True, check=False, fill_value=np.nan)
    return out


def boosted():
    lightgbm: Any = importlib.import_module("lightgbm")
    return lightgbm.LGBMClassifier(
        n_estimators=300, class_weight="balanced", n_jobs=1, verbose=-1, random_state=SEED
    )


def probe():
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=0.3, max_iter=2000, class_weight="balanced")
    )


def folds(x: np.ndarray, y: np.ndarray):
    return StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(x, y)


def is_eclipsing(names: np.ndarray) -> np.ndarray:
    text = names.astype(str)
    return np.char.startswith(text, "ECL") | np.char.startswith(text, "Close Binary")


def score(x: np.ndarray, y: np.ndarray, make: Callable) -> dict[str, list[float]]:
    """Balanced accuracy of all classes, and AUC of the eclipsing ones against the rest, by fold."""
    accuracy, auc = [], []
    for train, test in folds(x, y):
        model = make().fit(x[train], y[train])
        accuracy.append(balanced_accuracy_score(y[test], model.predict(x[test])))
        if (eclipsing := is_eclipsing(model.classes_)).any():
            auc.append(roc_auc_score(eclipsing[np.searchsorted(model.classes_, y[test])],
                                     model.predict_proba(x[test])[:, eclipsing].sum(1)))  # fmt: skip
    return {"accuracy": accuracy, "auc": auc} if auc else {"accuracy": accuracy}


def tuned(
    model: MultiStar,
    seen: LightCurveFeatures,
    ids: np.ndarray,
    y: np.ndarray,
    mode: str,
    keep: Path,
) -> dict:
    """`score` of the model fine-tuned to the classes in every fold: same folds as for the others."""
    names = np.unique(y)
    codes = np.searchsorted(names, y)
    eclipsing = is_eclipsing(names)

    def fold(train: np.ndarray, test: np.ndarray) -> dict:
        tables = [
            {
                "source_id": ids[rows],
                "light_curve_value": seen.value[rows],
                "light_curve_sigma": seen.sigma[rows],
            }
            for rows in (train, test)
        ]
        tables[0]["kind"] = np.array([f"c{code}" for code in codes[train]])
        begun = time.perf_counter()
        adapted = model.finetune(tables[0], ["kind:class"], mode=mode, seed=SEED)
        seconds, result = time.perf_counter() - begun, adapted.predict(tables[1])
        odds = np.stack([result[f"kind_c{code}"].to_numpy() for code in range(len(names))], 1)
        share = np.bincount(codes[train], minlength=len(names)) / len(
            train
        )  # balanced, as the others are told to be
        out = {
            "accuracy": balanced_accuracy_score(codes[test], (odds / share).argmax(1)),
            "seconds": seconds,
        }
        if eclipsing.any():
            out["auc"] = roc_auc_score(eclipsing[codes[test]], odds[:, eclipsing].sum(1))
        return out

    parts = enumerate(folds(np.zeros((len(y), 1)), y))
    results = [
        kept(keep.with_name(f"{keep.name}-{i}.json"), lambda t=t: fold(*t)) for i, t in parts
    ]
    return {key: [r[key] for r in results] for key in results[0]}


def cells(scores: dict[str, list[float]]) -> list[str]:
    means = [
        f"{np.mean(scores[k]):.4f} +- {np.std(scores[k]) / FOLDS**0.5:.4f}"
        for k in ("accuracy", "auc")
        if k in scores
    ]
    return [*means, f"{np.mean(scores['seconds']):.0f}"] if "seconds" in scores else means


def evaluate(
    title: str,
    model: MultiStar,
    curves: LightCurves,
    y: np.ndarray,
    modes: list[str],
    others: bool,
    out: Path,
) -> None:
    seen = compute_features(curves, quiet=False)
    known = np.isfinite(seen.value).any(1)
    names, counts = np.unique(y[known], return_counts=True)
    known &= np.isin(y, names[counts >= FEWEST])
    seen = LightCurveFeatures(seen.value[known], seen.sigma[known])
    curves, y, slots = curves.select(known), y[known].astype(str), seen.value
    vectors = np.stack(model.embed(Stars.of_light_curves(curves))["embedding"].to_pylist())
    metadata = slots[:, [list(SUMMARY).index(name) for name in METADATA]]
    table = Table(title=f"{title}: {len(y)} stars, {len(np.unique(y))} classes, {FOLDS} folds")
    for name in ("features", "balanced accuracy", "AUC of eclipsing", "s per fine-tuning"):
        table.add_column(name)
    half = LAYOUT.parts["profile"].stop
    for name, x, make in (
        ("embedding, linear probe", lambda: vectors, probe),
        ("embedding, LightGBM", lambda: vectors, boosted),
        ("published features, LightGBM", lambda: published_features(curves), boosted),
        ("view (summary, spectrum, profile), LightGBM", lambda: slots[:, :half], boosted),
        ("metadata, LightGBM", lambda: metadata, boosted),
    ):
        if others:
            word = re.sub(r"\W+", "-", name).strip("-").lower()
            path = out / f"{title.split()[0].lower()}-{word}.json"
            table.add_row(name, *cells(kept(path, lambda x=x, make=make: score(x(), y, make))))
    for mode in modes:
        keep = out / f"{title.split()[0].lower()}-tuned-{mode}"
        table.add_row(
            f"the model fine-tuned, {mode}",
            *cells(tuned(model, seen, curves.source_id, y, mode, keep)),
        )
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a model that reads light curves")
    parser.add_argument("--gaia", help="Gaia epoch photometry, one transit per row")
    parser.add_argument("--labels", help="table with source_id and best_class_name")
    parser.add_argument("--asas", help="table of light curves with a column cls")
    parser.add_argument("--modes", nargs="*", default=["head", "lora"], help="of fine-tuning")
    parser.add_argument(
        "--only-modes", action="store_true", help="leave out the probe, the trees and the features"
    )
    parser.add_argument(
        "--out", help="folder for the JSON of every row and fold; otherwise nothing is kept"
    )
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    model = MultiStar.from_pretrained(args.model)
    with tempfile.TemporaryDirectory() as nowhere:
        out = Path(args.out or nowhere)
        if args.gaia:
            curves = join(read_light_curves(args.gaia))
            classes = pd.read_csv(args.labels).set_index("source_id")["best_class_name"]
            curves = curves.select(np.isin(curves.source_id, classes.index))
            y = classes.loc[curves.source_id].to_numpy()
            evaluate(
                "Gaia epoch photometry", model, curves, y, args.modes, not args.only_modes, out
            )
        if args.asas:
            y = pd.read_parquet(args.asas, columns=["cls"])["cls"].to_numpy()
            evaluate(
                "ASAS", model, read_light_curves(args.asas), y, args.modes, not args.only_modes, out
            )


if __name__ == "__main__":
    main()
