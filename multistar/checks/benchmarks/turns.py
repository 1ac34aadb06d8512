"""Speeds that are compared fairly: processes of one thread take turns, alone and two at once.

What is compared runs round after round on the same machine, so that one that is busy with something else slows all
alike. The figures are medians over the rounds.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch

from multistar.checks.benchmarks.predecessor import RandomStars, find_fastest_batch
from multistar.inference.embed import embed
from multistar.inference.predict import predict
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars

VERBS = ("predict", "embed", "predecessor")
SEED = 77  # of the mock stars
# The predecessor, which is slower, gets so many times fewer stars, but at least a batch of its best size.
FEWER, LEAST = 8, 256
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
READY = "ready"


@dataclass(frozen=True)
class Turn:
    """Median time per star of one process [us], by the clock and of the CPU."""

    clock: float
    cpu: float


def describe_processor() -> str:
    """Name the processor, and which of the instructions that decide speed it has."""
    used = torch.backends.cpu.get_cpu_capability()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return used
    fields = {}
    for line in lines:
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    flags = set(fields.get("flags", "").split())
    has = ", ".join(f"{name} {'yes' if name in flags else 'no'}" for name in FLAGS)
    return f"{fields.get('model name', 'unknown')} ({has}; torch uses {used})"


def prepare_task(verb: str, model: str, n: int) -> tuple[Callable[[], object], int]:
    """Prepare what a turn of a verb does; returns it, and for how many stars it is."""
    if verb == "predecessor":
        some = max(LEAST, n // FEWER)
        return RandomStars(some, find_fastest_batch(some)), some
    stars = read_stars(pa.concat_tables(survey(n, SurveyConfig(seed=SEED))))
    loaded = load_model(model)
    task = {"predict": predict, "embed": embed}[verb]
    return lambda: task(loaded, stars, quiet=True), n


def serve_turns(verb: str, model: str, n: int) -> None:
    """In a child process: say that it is ready, then do a turn for each line that comes, and say its times."""
    torch.set_num_threads(1)
    task, done = prepare_task(verb, model, n)
    task()
    print(READY, flush=True)
    for _ in sys.stdin:
        clock, cpu = time.perf_counter(), time.process_time()
        task()
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
        print(1e6 * clock / done, 1e6 * cpu / done, flush=True)


class TurnProcess:
    """A process that serves one verb."""

    def __init__(self, verb: str, model: str, n: int):
        module = "multistar.checks.benchmarks.turns"
        code = f"from {module} import serve_turns; serve_turns({verb!r}, {model!r}, {n})"
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self) -> None:
        """Let it do a turn."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def wait(self) -> list[float]:
        """Wait for its next line; the numbers in it. RuntimeError if the process died."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the benchmark died; what it said stands above")
        return [float(word) for word in line.split() if word != READY]

    def end(self) -> None:
        """Close it."""
        self.process.communicate()


def compare_speeds(
    model: str, n: int, rounds: int, verbs: Sequence[str] = VERBS
) -> dict[tuple[str, int], Turn]:
    """Measure verbs with one process and with two at once.

    Parameters
    ----------
    model : str
        Folder, or name of a shipped model.
    n : int
        Stars per turn.
    rounds : int
    verbs : sequence of str
        Of VERBS.

    Returns
    -------
    dict
        (verb, processes at once) -> Turn.
    """
    processes = {verb: [TurnProcess(verb, model, n) for _ in range(2)] for verb in verbs}
    found: dict[tuple[str, int], list[list[float]]] = {}
    try:
        for pair in processes.values():
            for process in pair:
                process.wait()
        for _ in range(rounds):
            for verb, pair in processes.items():
                for together in (1, 2):
                    busy = pair[:together]
                    for process in busy:
                        process.begin()
                    times = [process.wait() for process in busy]
                    found.setdefault((verb, together), []).extend(times)
    finally:
        for pair in processes.values():
            for process in pair:
                process.end()
    medians = {}
    for key, times in found.items():
        clock, cpu = zip(*times, strict=True)
        medians[key] = Turn(statistics.median(clock), statistics.median(cpu))
    return medians


def summarise_speeds(found: dict[tuple[str, int], Turn]) -> list[dict]:
    """List stars per second of all processes together, and how many times the predecessor's that is."""
    rows = []
    for (verb, together), turn in found.items():
        slow = found["predecessor", together]
        row = {"verb": verb, "processes": together}
        row["stars_per_second"] = together * 1e6 / turn.clock
        row["stars_per_cpu_second"] = 1e6 / turn.cpu
        row["ratio_by_clock"] = slow.clock / turn.clock
        row["ratio_of_cpu_time"] = slow.cpu / turn.cpu
        rows.append(row)
    return rows
