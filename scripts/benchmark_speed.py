"""Stars per second of CPU time of embed, predict, joint sampling and a training step, how they grow, and peak memory.

    OMP_NUM_THREADS=2 python scripts/benchmark_speed.py [--stars 8192] [--rows 20000 200000] [--model mini] [--device D]

All in one run, as ratios to `predict` of the same stars in float32. CPU time of all threads is divided by their number;
on a GPU time is that of the clock.
Memory and time by the clock are those of a process that runs `multistar embed` or `predict` on a Parquet file of ROWS
stars.
"""

import argparse
import dataclasses
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console
from rich.table import Table

from multistar.api import PRECISIONS, MultiStar
from multistar.data.stars import Stars, read_stars
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import device_of
from multistar.training.objective import negative_log_likelihood
from multistar.training.optimiser import build
from multistar.training.run import TrainingConfig
from multistar.training.splits import Splitter

REPEATS = 3
STEPS, BATCH = 6, 128
SAMPLES = (2, 16, 64, 256)
ORDERS = (11, 22, 33, 44)  # a band
CURVES = 512  # stars with light curves


def speed(task, n: int, device: torch.device) -> float:
    """Stars per second, the best of a few repetitions."""
    best, on_cpu = np.inf, device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    for _ in range(REPEATS):
        start = clock()
        task()
        if not on_cpu:
            torch.cuda.synchronize(device)
        best = min(best, clock() - start)
    return n * (torch.get_num_threads() if on_cpu else 1) / best


def training(model: MultiStar, stars: Stars) -> float:
    """Stars per second of optimiser steps without light curves."""
    network, standardised = model.model.network.train(), model.model.standardiser(stars)
    optimiser = build(network, TrainingConfig())
    splitter = Splitter(model.model.vocabulary, model.model.standardiser.scale, 16, 0.25, torch.Generator())
    device = next(network.parameters()).device

    def steps() -> None:
        for i in range(STEPS):
            batch = standardised.rows(slice(i * BATCH, (i + 1) * BATCH))
            optimiser.zero_grad()
            split = splitter(batch).to(device)
            negative_log_likelihood(network, batch.to(device), split, False).backward()
            optimiser.step()

    return speed(steps, STEPS * BATCH, device)


def of_files(
    command: str, precision: str, model: str, device: torch.device, table: pa.Table, rows: int
) -> tuple[float, float]:
    """Peak MB of a process that does `command` to `rows` stars in parts, and stars per second of wall time."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "stars.parquet", Path(folder) / "vectors.parquet"
        with pq.ParquetWriter(source, table.schema) as writer:
            for start in range(0, rows, len(table)):
                writer.write_table(table.slice(0, min(len(table), rows - start)))
        start = time.monotonic()
        arguments = [command, str(source), "--precision", precision, "--model", model, "--out", str(out)]
        arguments += ["--device", str(device)]
        child = subprocess.Popen([sys.executable, "-m", "multistar.cli", *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        if status:
            raise SystemExit(f"multistar {' '.join(arguments)} failed")
    return usage.ru_maxrss / 1024, rows / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stars", type=int, default=8192)
    parser.add_argument("--rows", type=int, nargs="*", default=[20_000, 200_000], help="of files; without any, none")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    args = parser.parse_args()
    device = device_of(args.device)
    table = pa.concat_tables(survey(args.stars, SurveyConfig(seed=77)))
    with_curves = SurveyConfig(78, "kepler-like", light_curves=("kepler",), views=True)
    seen = read_stars(pa.concat_tables(survey(CURVES, with_curves)))
    stars = read_stars(table)
    exact, fast = (
        MultiStar.from_pretrained(args.model, precision=p, device=args.device) for p in ("float32", "bfloat16")
    )
    few = stars.select(slice(0, args.stars // 4))
    sampled = stars.select(slice(0, args.stars // 32))
    rows = {
        "predict": (exact.predict, stars, {}),
        "predict, a quarter of the stars": (exact.predict, few, {}),
        "predict, bfloat16": (fast.predict, stars, {}),
        "predict, photometry and parallax": (exact.predict, dataclasses.replace(stars, xp={}), {}),
        "embed": (exact.embed, stars, {}),
        "embed, bfloat16": (fast.embed, stars, {}),
        "embed, light curves (views) alone": (exact.embed, dataclasses.replace(seen, scalars={}, xp={}), {}),
        "embed, light curves and the rest": (exact.embed, seen, {}),
    }
    for n in ORDERS:
        short = {name: dataclasses.replace(band, value=_first(band.value, n)) for name, band in stars.xp.items()}
        rows[f"predict, {n} orders a band"] = (exact.predict, dataclasses.replace(stars, xp=short), {})
    for n in SAMPLES:
        rows[f"predict, {n} joint samples"] = (exact.predict, sampled, {"samples": n})
    rows[f"predict, {n} joint samples, bfloat16"] = (fast.predict, sampled, {"samples": n})
    found = {}
    for name, (task, some, options) in rows.items():
        found[name] = speed(lambda t=task, s=some, o=options: t(s, **o), len(some), device)
    found["training step"] = training(MultiStar.from_pretrained(args.model, device=args.device), stars)
    machine = f"{torch.get_num_threads()} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    shown = Table(title=f"{args.model}, {machine}, {args.stars} mock stars")
    for name in ("", "stars/s", "ratio to predict", "cost in predictions"):
        shown.add_column(name, justify="right" if name else "left")
    for name, number in found.items():
        shown.add_row(name, f"{number:,.0f}", f"{number / found['predict']:.3f}", f"{found['predict'] / number:.2f}")
    console = Console(width=100)
    console.print(shown)
    one, other = exact.predict(stars), fast.predict(stars)
    moved = {n: moved_by(one, other, n) for n in exact.model.vocabulary.labels}
    console.print("bfloat16 moves labels by, median in errors: " + ", ".join(f"{n} {x:.3f}" for n, x in moved.items()))
    for n, command, precision in itertools.product(args.rows, ("embed", "predict"), PRECISIONS):
        memory, rate = of_files(command, precision, args.model, device, table, n)
        text = f"{command}, {precision}, {n:,} stars, Parquet to Parquet: at most {memory:.0f} MB, {rate:,.0f} stars/s"
        console.print(f"{text} by the clock")


def moved_by(one: pa.Table, other: pa.Table, name: str) -> float:
    width = (one[f"{name}_upper"].to_numpy() - one[f"{name}_lower"].to_numpy()) / 2
    return float(np.median(np.abs(other[name].to_numpy() - one[name].to_numpy()) / width))


def _first(values: np.ndarray, orders: int) -> np.ndarray:
    out = values.copy()
    out[:, orders:] = np.nan
    return out


if __name__ == "__main__":
    main()
