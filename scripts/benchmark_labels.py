"""Labels of held-out apogee-like mock giants: a model beside the median, XGBoost on the same rows, and labels alone.

    python scripts/benchmark_labels.py MODEL --train MOCK --out DIR [--test-seed 1000] [--no-parallax] [--samples 64]

MOCK is the table that the model was trained on; its held-out stars are left out of the baselines, too. The test
stars are 10,000 new ones of another seed. Residuals are taken against labels as the survey gives them (with its
errors, as the baselines of the literature are) and against the truth. Coverage is that of the truths by 68 % intervals,
overall and in the worst bin of G, E(B-V) and logg. The ratio of the truth is what a model that knows all would get
against the surveyed labels. The joint score is the energy score of joint samples over that of
samples shuffled among each other (below 1: the joint posterior knows more than its marginals).
"""

import argparse
import dataclasses
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from multistar.api import MultiStar
from multistar.checks import baselines
from multistar.checks.calibration import energy_score
from multistar.checks.metrics import coverage, scatter
from multistar.io.files import atomic_write
from multistar.mock.survey import SurveyConfig, survey
from multistar.stars import Stars, read_stars
from multistar.training.data import held_out

TEST_STARS = 10_000
EVOLUTIONARY, ATMOSPHERIC = ("mass", "age"), ("teff", "logg", "m_h")
BINS = {
    "phot_g_mean_mag": (11, 12, 13, 14, 15),
    "true_ebv": (0.1, 0.3, 0.8),
    "true_logg": (1.5, 2.3, 2.7),
}
MIN_IN_BIN = 200
console = Console(width=150)


def without_parallax(stars: Stars) -> Stars:
    return dataclasses.replace(
        stars, scalars={k: v for k, v in stars.scalars.items() if k != "parallax"}
    )


def cached(path: Path, make) -> dict[str, np.ndarray]:
    """Predictions from `path`, or made and kept there: the baselines take longer than everything else."""
    if path.exists():
        return dict(np.load(path, allow_pickle=False))
    made = make()
    with atomic_write(path) as temporary:
        np.savez(temporary, **made)
    return made


def worst_coverage(lower, upper, truth, frame: pd.DataFrame) -> tuple[float, str]:
    """The coverage farthest from 0.68 among the bins, and which bin that is."""
    found = []
    for column, edges in BINS.items():
        place = np.searchsorted(edges, frame[column])
        for i in range(len(edges) + 1):
            rows = place == i
            if rows.sum() >= MIN_IN_BIN:
                limits = f"{edges[i - 1] if i else ''}..{edges[i] if i < len(edges) else ''}"
                found.append(
                    (coverage(lower[rows], upper[rows], truth[rows]), f"{column} {limits}")
                )
    return max(found, key=lambda pair: abs(pair[0] - 0.68))


def score(name: str, predicted: np.ndarray, frame: pd.DataFrame) -> dict[str, float]:
    surveyed, truth = (
        scatter(predicted, frame[column].to_numpy()) for column in (name, f"true_{name}")
    )
    return {
        "surveyed": surveyed["mad_std"],
        "truth": truth["mad_std"],
        "std": surveyed["std"],
        "bias": surveyed["bias"],
    }


def energy_ratio(table: pd.DataFrame, frame: pd.DataFrame, names) -> float:
    """Energy score (Gneiting & Raftery 2007) of joint samples over that of shuffled ones; labels over their MAD."""
    rng = np.random.default_rng(0)
    scale = [1.4826 * np.median(np.abs(frame[n] - np.median(frame[n]))) for n in names]
    joint = np.stack(
        [np.stack(list(table[f"{n}_samples"])) / s for n, s in zip(names, scale, strict=True)], -1
    )
    truth = np.stack(
        [frame[f"true_{n}"].to_numpy() / s for n, s in zip(names, scale, strict=True)], -1
    )
    shuffled = np.stack([rng.permuted(joint[..., i], axis=1) for i in range(len(names))], -1)
    return float(energy_score(joint, truth).mean() / energy_score(shuffled, truth).mean())


def report(
    title: str,
    results: dict[str, dict[str, dict]],
    predicted: pd.DataFrame,
    frame: pd.DataFrame,
    names,
) -> dict:
    heads = [
        "median",
        "labels only",
        "XGBoost",
        "model",
        "ratio",
        "ratio to truth",
        "ratio of the truth",
        "std ratio",
        "bias",
        "in 68 %",
        "worst bin",
    ]
    table, out = Table("label", *heads, title=title), {}
    for name in names:
        cells, trees, ours = (
            {k: r[name] for k, r in results.items() if name in r},
            results["XGBoost"][name],
            results["model"][name],
        )
        truth = frame[f"true_{name}"].to_numpy()
        lower, upper = predicted[f"{name}_lower"].to_numpy(), predicted[f"{name}_upper"].to_numpy()
        inside, (worst, where) = (
            coverage(lower, upper, truth),
            worst_coverage(lower, upper, truth, frame),
        )
        perfect = scatter(truth, frame[name].to_numpy())["mad_std"] / trees["surveyed"]
        surveyed, exact, std = (ours[k] / trees[k] for k in ("surveyed", "truth", "std"))
        ratios = {"surveyed": surveyed, "truth": exact, "perfect": perfect, "std": std}
        mad = [f"{cells[k]['surveyed']:.4g}" if k in cells else "" for k in heads[:4]]
        table.add_row(name, *mad, *(f"{r:.2f}" for r in ratios.values()), f"{ours['bias']:.2g}",
                      f"{100 * inside:.0f} %", f"{100 * worst:.0f} % ({where})")  # fmt: skip
        out[name] = cells | {"ratios": ratios, "coverage": inside, "worst_coverage": [worst, where]}
    console.print(table)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--train", required=True, help="the table that the model was trained on")
    parser.add_argument(
        "--out", required=True, help="folder for the baselines' predictions and the JSON"
    )
    parser.add_argument(
        "--held-out", type=float, default=0.05, help="share of MOCK that training did not see"
    )
    parser.add_argument(
        "--test-seed", type=int, default=1000, help="of stars that no training has seen"
    )
    parser.add_argument("--samples", type=int, default=64, help="joint samples of 2,000 stars")
    parser.add_argument(
        "--no-parallax", action="store_true", help="also everything without parallaxes"
    )
    args = parser.parse_args()
    out = Path(args.out)
    model = MultiStar.from_pretrained(args.model)
    names = model.model.vocabulary.labels
    train = read_stars(args.train)
    train = train.select(~held_out(train.source_id, args.held_out))
    test_table = pa.concat_tables(survey(TEST_STARS, SurveyConfig(args.test_seed)))
    test, frame = read_stars(test_table), test_table.to_pandas()
    summary: dict = {
        "model": model.model.hash,
        "training_stars": len(train),
        "test_stars": len(test),
    }
    for variant in ("with parallax", "without parallax")[: 1 + args.no_parallax]:
        left_out = () if variant == "with parallax" else ("parallax",)
        stars = without_parallax(test) if left_out else test
        begun = time.perf_counter()
        predicted = model.predict(stars, quiet=False).to_pandas()
        speed = len(stars) / (time.perf_counter() - begun)
        title = f"XGBoost {variant}"
        file = out / f"xgboost-{variant.replace(' ', '-')}.npz"
        labels_only = partial(baselines.from_labels, train, test, EVOLUTIONARY, ATMOSPHERIC)
        boosted = partial(baselines.trees, model.model, train, test, names, left_out, title)
        guesses = {
            "median": baselines.median(train, test, names),
            "labels only": cached(out / "labels-only.npz", labels_only),
            "XGBoost": cached(file, boosted),
            "model": {name: predicted[name].to_numpy() for name in names},
        }
        results = {
            k: {n: score(n, x, frame) for n, x in guess.items()} for k, guess in guesses.items()
        }
        summary[variant] = report(
            f"MAD-std, {variant}; predict {speed:,.0f} stars/s", results, predicted, frame, names
        )
        summary[variant]["stars_per_second"] = speed
    few = slice(0, 2000)
    begun = time.perf_counter()
    joint = model.predict(test.select(few), quiet=False, samples=args.samples).to_pandas()
    speed = len(joint) / (time.perf_counter() - begun)
    summary["joint"] = {
        "energy_ratio": energy_ratio(joint, frame[few], names),
        "stars_per_second": speed,
    }
    console.print(f"joint over shuffled energy score {summary['joint']['energy_ratio']:.4f}; "
                  f"{args.samples} samples: {speed:,.0f} stars/s")  # fmt: skip
    with atomic_write(out / "benchmark.json", True) as temporary:
        temporary.write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
