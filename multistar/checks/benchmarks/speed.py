"""Stars per second of what one does with a model, how they grow, and the memory of long files."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from multistar.inference.embed import embed
from multistar.inference.predict import predict
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import Model, load_model
from multistar.stars import Stars, read_stars
from multistar.training.masks import Splitter
from multistar.training.objective import negative_log_likelihood
from multistar.training.optimiser import build
from multistar.training.run import TrainingConfig

REPEATS = 3
BATCH, STEPS = 128, 20  # of training
SAMPLES = (2, 16, 64, 256)
ORDERS = (11, 22, 33, 44)  # a band
CURVES = 512  # stars with light curves
COMPARED = 512  # stars for which precisions are compared: one of the two may be very slow


@dataclass(frozen=True)
class TrainingSpeed:
    """Stars per second of optimiser steps, and the share of a step that the optimiser itself takes."""

    stars_per_second: float
    optimiser_share: float


def measure_speed(task: Callable[[], object], n: int, device: torch.device) -> float:
    """Measure stars per second, the best of REPEATS: per core of CPU time, on a GPU by the clock."""
    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    best = np.inf
    for _ in range(REPEATS):
        start = clock()
        task()
        if not on_cpu:
            torch.cuda.synchronize(device)
        best = min(best, clock() - start)
    threads = torch.get_num_threads() if on_cpu else 1
    return n * threads / best


def measure_training(model: Model, stars: Stars) -> TrainingSpeed:
    """Measure optimiser steps on stars without light curves; the model is changed by it."""
    network, standardiser = model.network.train(), model.standardiser
    standardised = standardiser(stars)
    optimiser = build(network, TrainingConfig())
    generator = torch.Generator()
    splitter = Splitter(model.vocabulary, standardiser.scale, 16, 0.25, generator)
    device = next(network.parameters()).device
    spent: list[tuple[float, float]] = []

    def take_steps() -> None:
        for i in range(STEPS):
            start = i * BATCH % max(len(stars) - BATCH, 1)
            batch = standardised.rows(slice(start, start + BATCH))
            begun = time.process_time()
            split = splitter(batch).to(device)
            optimiser.zero_grad()
            negative_log_likelihood(network, batch.to(device), split, False).backward()
            moved = time.process_time()
            optimiser.step()
            spent.append((moved - begun, time.process_time() - moved))

    rate = measure_speed(take_steps, STEPS * BATCH, device)
    others, own = np.median(spent, axis=0)
    return TrainingSpeed(rate, float(own / (others + own)))


def measure_file(
    command: str, precision: str, model: str, device: str, table: pa.Table, rows: int
) -> dict:
    """Measure a process that does `command` to a Parquet file of `rows` stars, part by part."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "stars.parquet"), Path(folder, "result.parquet")
        with pq.ParquetWriter(source, table.schema) as writer:
            for start in range(0, rows, len(table)):
                writer.write_table(table.slice(0, min(len(table), rows - start)))
        arguments = [command, str(source), "--model", model, "--out", str(out)]
        arguments += ["--precision", precision, "--device", device]
        start = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-m", "multistar.cli", *arguments], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
    if status:
        raise RuntimeError(f"multistar {' '.join(arguments)} failed")
    return {
        "command": command,
        "precision": precision,
        "stars": rows,
        "peak_MB": usage.ru_maxrss / 1024,
        "stars_per_second": rows / seconds,
    }


class SpeedBenchmark:
    """The verbs of a model on mock stars, in one run.

    Parameters
    ----------
    model : str
        Folder, or name of a shipped model.
    n : int
        Mock stars.
    device : str
    """

    def __init__(self, model: str, n: int, device: str = "cpu"):
        self.name, self.device = model, torch.device(device)
        self.table = pa.concat_tables(survey(n, SurveyConfig(seed=77)))
        self.stars = read_stars(self.table)
        curves = SurveyConfig(78, "kepler-like", light_curves=("kepler",), views=True)
        self.seen = read_stars(pa.concat_tables(survey(CURVES, curves)))
        self.exact = self._load("float32")

    def _load(self, precision: str) -> Model:
        return load_model(self.name).in_precision(precision).to(self.device)

    def measure_verbs(self, only: str = "") -> dict[str, float]:
        """Measure stars per second of each verb whose name has `only`, in float32."""
        found = {}
        for name, (task, stars, options) in self._verbs().items():
            if only not in name:
                continue

            def work(task=task, stars=stars, options=options) -> None:
                task(self.exact, stars, quiet=True, **options)

            found[name] = measure_speed(work, len(stars), self.device)
        return found

    def _verbs(self) -> dict[str, tuple[Callable, Stars, dict]]:
        n = len(self.stars)
        sampled = self.stars.select(slice(0, max(8, n // 32)))
        verbs: dict[str, tuple[Callable, Stars, dict]] = {
            "predict": (predict, self.stars, {}),
            "predict, a quarter of the stars": (predict, self.stars.select(slice(0, n // 4)), {}),
            "predict, photometry and parallax": (predict, self.stars.with_blocks(xp=None), {}),
            "embed": (embed, self.stars, {}),
            "embed, light curves alone": (
                embed,
                self.seen.with_blocks(scalars=None, xp=None),
                {},
            ),
            "embed, light curves and the rest": (embed, self.seen, {}),
        }
        for orders in ORDERS:
            verbs[f"predict, {orders} orders a band"] = (predict, self._with_orders(orders), {})
        two = {"labels": ("teff", "mass")}
        verbs["predict, 2 of 8 labels"] = (predict, self.stars, two)
        scalars = {n: s for n, s in self.stars.scalars.items() if n != "parallax"}
        bare = self.stars.with_blocks(xp=None, scalars=scalars)
        verbs["predict, photometry"] = (predict, bare, {})
        verbs["predict, photometry, 2 of 8 labels"] = (predict, bare, two)
        verbs["predict, 64 joint samples of 2 labels"] = (predict, sampled, two | {"samples": 64})
        for samples in SAMPLES:
            verbs[f"predict, {samples} joint samples"] = (predict, sampled, {"samples": samples})
        return verbs

    def _with_orders(self, orders: int) -> Stars:
        """The stars with the first orders of each band only."""
        shorter = {}
        for band, xp in self.stars.xp.items():
            value = xp.value.copy()
            value[:, orders:] = np.nan
            shorter[band] = type(xp)(value, xp.sigma)
        return self.stars.with_blocks(xp=shorter)

    def compare_precisions(self) -> dict[str, float]:
        """Measure bfloat16: its speed over that of float32, and how far it moves labels, in their errors."""
        fast, few = self._load("bfloat16"), self.stars.select(slice(0, COMPARED))
        exact_rate = measure_speed(lambda: predict(self.exact, few, True), len(few), self.device)
        fast_rate = measure_speed(lambda: predict(fast, few, True), len(few), self.device)
        result = {"speed_over_float32": fast_rate / exact_rate}
        one, other = predict(self.exact, few, True), predict(fast, few, True)
        for name in self.exact.vocabulary.labels:
            upper, lower = one[f"{name}_upper"].to_numpy(), one[f"{name}_lower"].to_numpy()
            moved = np.abs(other[name].to_numpy() - one[name].to_numpy())
            result[f"moved_{name}"] = float(np.median(2 * moved / (upper - lower)))
        return result

    def measure_training_step(self) -> TrainingSpeed:
        """Measure a training step of a copy of the model."""
        return measure_training(self._load("float32"), self.stars)
