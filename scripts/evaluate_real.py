"""Fine-tuning on the real sky beside XGBoost and a small network from scratch: same stars, same inputs, same rows.

    python scripts/evaluate_real.py DATA --out DIR [--part lamost kepler] [--mode lora] [--labels 1000]

DATA is the folder of real tables; DIR keeps every comparison as JSON, so that a run may be cut into pieces: what is
there is not computed again.

lamost    13 magnitudes and parallax -> Teff, log g, [M/H] of LAMOST, learnt from 100 ... 5,000 stars, three
          draws of them; 5,000 others are predicted. In a third of the rows the columns H and Ks hold W1 and
          W2 (their colours say so), which are put back; W1 and W2 are AB and made Vega.
kepler    giants: spectroscopic labels, magnitudes and parallaxes where there are any -> seismic mass and age, in
          folds, with and without [C/N]. Ages above 14 Gyr are left out, age errors (absurd ones among them) unused.
"""

import argparse
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from real_tables import LAMOST, kepler, kept, lamost
from rich.console import Console
from rich.table import Table
from torch import nn

from multistar.checks.baselines import XGBOOST
from multistar.checks.metrics import scatter
from multistar.finetune.adapter import Adapter
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import decoded, predictions
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.stream import shown
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model, load_model
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars

TEST_STARS, SEEDS, FOLDS = 5000, 3, 5
console = Console(width=150)


def numbers(model: Model, stars: Stars, given: Collection[str]) -> np.ndarray:
    """(n, 2 inputs) values and log errors, all that an adapter's encoder is shown; NaN where not observed."""
    m = shown(model, stars, stars.mock, given)
    columns = []
    for x in (m.value, m.sigma.log()):
        columns.append(np.where(m.observed.numpy(), x.numpy(), np.nan))
    both = np.hstack(columns)
    return both[:, np.isfinite(both).any(0)]


def boosted(x, y, x_test) -> np.ndarray:
    import xgboost

    known = np.isfinite(y)
    trees = xgboost.XGBRegressor(
        **XGBOOST, tree_method="hist", random_state=0, n_jobs=torch.get_num_threads()
    )
    return trees.fit(x[known], y[known]).predict(x_test)


def small_network(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, seed: int) -> np.ndarray:
    """(n_test, labels) two hidden layers of 128, all labels at once; Huber loss, stopped by 15 % of the stars."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    center, scale = np.nanmean(x, 0), np.nanstd(x, 0) + 1e-6
    prepared = [
        np.hstack([np.nan_to_num((a - center) / scale), np.isfinite(a)]) for a in (x, x_test)
    ]
    inputs, test = (torch.tensor(a, dtype=torch.float32) for a in prepared)
    middle, width = np.nanmean(y, 0), np.nanstd(y, 0)
    target = torch.tensor((y - middle) / width, dtype=torch.float32)
    known, target = torch.isfinite(target), torch.nan_to_num(target)
    layers = [nn.Linear(inputs.shape[1], 128), nn.SiLU(), nn.Dropout(0.1), nn.Linear(128, 128), nn.SiLU(),
              nn.Dropout(0.1), nn.Linear(128, y.shape[1])]  # fmt: skip
    network = nn.Sequential(*layers)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    order = rng.permutation(len(x))
    held, rest = order[: max(5, len(x) // 7)], order[max(5, len(x) // 7) :]
    best, result, since = np.inf, np.zeros((len(x_test), y.shape[1])), 0
    for _ in range(200):
        network.train()
        rest = rng.permutation(rest)
        for start in range(0, len(rest), 64):
            rows = rest[start : start + 64]
            loss = nn.functional.huber_loss(
                network(inputs[rows])[known[rows]], target[rows][known[rows]]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            score = float(
                nn.functional.huber_loss(
                    network(inputs[held])[known[held]], target[held][known[held]]
                )
            )
            since += 1
            if score < best:
                best, since, result = score, 0, network(test).numpy() * width + middle
        if since > 25:
            break
    return result


def coverage(adapter: Adapter, stars: Stars) -> list[float]:
    """For each target the share of labels in the central 68 % of the predictions, widened by the labels' errors."""
    places = adapter.slots
    z = adapter.model.standardiser(stars)
    value, error, known = (x[:, places] for x in (z.value, torch.nan_to_num(z.sigma), z.observed))
    low, high = adapter.levels(torch.tensor([0.16, 0.84])).unbind(-1)
    pit = torch.cat(
        [mixture.cdf(value[rows], error[rows]) for rows, mixture, _ in decoded(adapter, stars)]
    )
    return [
        float(((pit > low) & (pit < high))[seen, i].double().mean())
        for i, seen in enumerate(known.T)
    ]


def compare(
    base: Model,
    frame: pd.DataFrame,
    rows: tuple[np.ndarray, np.ndarray],
    labels: list[str],
    inputs: list[str],
    columns: dict[str, str],
    mode: str,
    seed: int,
    labels_only: list[str] | None = None,
) -> dict:
    """Label -> who -> scatter over the second rows, learnt from the first; with what it cost."""
    begun, (train, test) = time.perf_counter(), rows
    adapter: Adapter = finetune(
        base, frame.iloc[train], labels, mode, inputs, columns, FinetuneConfig(seed=seed), quiet=False
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    request = adapter.request
    one, other = (
        read_stars(frame.iloc[r], columns, declared=request.quantities) for r in (train, test)
    )
    truth = {name: other.scalars[name].value for name in labels}
    ours = predictions(adapter, other)
    guesses = {"multistar": {name: ours[name][0] for name in labels}}
    x, x_test = (numbers(adapter.model, stars, request.given) for stars in (one, other))
    y = np.stack([to_even_scale(QUANTITIES[name], one.scalars[name].value) for name in labels], -1)

    def physical(z: np.ndarray) -> dict[str, np.ndarray]:
        return {name: from_even_scale(QUANTITIES[name], z[:, i]) for i, name in enumerate(labels)}

    guesses["XGBoost"] = physical(
        np.stack([boosted(x, y[:, i], x_test) for i in range(len(labels))], -1)
    )
    guesses["network"] = physical(small_network(x, y, x_test, seed))
    if labels_only:
        alone, alone_test = (
            np.stack([s.scalars[k].value for k in labels_only], -1) for s in (one, other)
        )
        columns_ = [boosted(alone, y[:, i], alone_test) for i in range(len(labels))]
        guesses["labels only"] = physical(np.stack(columns_, -1))
    out: dict = {
        name: {who: scatter(g[name], truth[name]) for who, g in guesses.items()} for name in labels
    }
    for name, share in zip(labels, coverage(adapter, other), strict=True):
        out[name]["multistar"]["coverage"] = share
    return out | {"seconds": seconds, "bytes": adapter.bytes, "steps": adapter.provenance["steps"]}


def show(title: str, results: list[dict], labels: list[str]) -> None:
    """Means over the draws or folds of MAD-std and std, and ratios to XGBoost."""
    table = Table("label", "who", "MAD-std", "ratio", "std", "ratio", "bias", title=title)
    for name in labels:
        for who in results[0][name]:
            mean = {
                k: np.mean([r[name][who][k] for r in results]) for k in ("mad_std", "std", "bias")
            }
            trees = {
                k: np.mean([r[name]["XGBoost"][k] for r in results]) for k in ("mad_std", "std")
            }
            cells = [
                mean["mad_std"],
                mean["mad_std"] / trees["mad_std"],
                mean["std"],
                mean["std"] / trees["std"],
            ]
            table.add_row(name, who, *(f"{c:.4g}" for c in cells), f"{mean['bias']:.2g}")
    console.print(table)
    inside = (
        f"{name} {np.mean([r[name]['multistar']['coverage'] for r in results]):.0%}"
        for name in labels
    )
    console.print(f"labels in our central 68 %, widened by their errors: {', '.join(inside)}")
    seconds, size = (np.mean([r[k] for r in results]) for k in ("seconds", "bytes"))
    console.print(
        f"{len(results)} runs, {seconds:.0f} s of fine-tuning each, adapter of {size / 1e6:.2f} MB"
    )


def part_lamost(base: Model, args) -> None:
    frame, labels = lamost(Path(args.data)), ["teff", "logg", "m_h"]
    order = np.random.default_rng(0).permutation(len(frame))
    test, pool = order[:TEST_STARS], order[TEST_STARS:]
    for number in args.labels:
        results = []
        for seed in args.seeds:
            rows = np.random.default_rng(seed).permutation(pool)[:number], test
            path = Path(args.out) / f"lamost-{args.mode}-{number}-{seed}.json"
            results.append(
                kept(
                    path,
                    lambda r=rows, s=seed: compare(
                        base, frame, r, labels, [], LAMOST, args.mode, s
                    ),
                )
            )
        show(f"LAMOST, {number} labels, mode {args.mode}", results, labels)


def part_kepler(base: Model, args) -> None:
    frame, labels = kepler(Path(args.data)), ["mass", "age"]
    console.print(
        f"{len(frame)} giants; with J {frame['j_m'].notna().sum()}, parallax {frame['parallax'].notna().sum()}"
    )
    fold = np.random.default_rng(0).permutation(len(frame)) % FOLDS
    given = ["teff", "logg", "m_h", "alpha_m"]
    for context in ([], ["c_n"]):
        results = []
        for k in args.folds:
            rows = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            path = Path(args.out) / f"kepler-{args.mode}-{'cn' if context else 'no-cn'}-{k}.json"
            wanted = [*given, *context]
            results.append(
                kept(
                    path,
                    lambda r=rows, w=wanted: compare(
                        base, frame, r, labels, w, {}, args.mode, 0, given[:3]
                    ),
                )
            )
        show(
            f"Kepler giants, {'with' if context else 'without'} [C/N], mode {args.mode}",
            results,
            labels,
        )


PARTS = {"lamost": part_lamost, "kepler": part_kepler}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", help="folder of the real tables")
    parser.add_argument("--out", required=True, help="folder for the JSON of every comparison")
    parser.add_argument("--part", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--mode", default="lora")
    parser.add_argument(
        "--labels", type=int, nargs="*", default=[100, 300, 1000, 5000], help="lamost: how many"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="*", default=list(range(SEEDS)), help="lamost: draws of them"
    )
    parser.add_argument(
        "--folds", type=int, nargs="*", default=list(range(FOLDS)), help="kepler: which of five"
    )
    args = parser.parse_args()
    base = load_model(args.model)
    for part in args.part:
        PARTS[part](base, args)


if __name__ == "__main__":
    main()
