"""`predict` and `embed` against the predecessor's network: by the clock and by CPU time, one process and two at once.

    python scripts/benchmark_predecessor.py [--model mini] [--stars 2048] [--rounds 5]

Every process has one thread. Those that are compared take turns, round after round, each does the same number of stars
per turn, and what is shown is the median over the rounds, so that a machine that is busy with something else slows all
alike. `predict` gives eight labels with intervals from a table, the predecessor's network six from arrays.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from predecessor import RandomStars, fastest
from rich.console import Console
from rich.table import Table

VERBS = ("predict", "embed", "predecessor")
SEED = 77  # of the mock stars
PREDECESSOR_STARS = 8  # times fewer for a turn of the predecessor, which is slower


def processor() -> str:
    """Its name, and which of the instructions that decide speed it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return torch.backends.cpu.get_cpu_capability()
    fields = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    has = set(fields.get("flags", "").split())
    asked = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
    told = ", ".join(f"{name} {'yes' if name in has else 'no'}" for name in asked)
    used = torch.backends.cpu.get_cpu_capability()
    return f"{fields.get('model name', 'unknown')} ({told}; torch uses {used})"


def task_of(verb: str, model: str, n: int) -> tuple[Callable[[], object], int]:
    """What a turn of this verb does, and for how many stars."""
    if verb == "predecessor":
        some = max(1, n // PREDECESSOR_STARS)
        return RandomStars(some, fastest(some)), some
    import pyarrow as pa

    from multistar.api import MultiStar
    from multistar.mock.survey import SurveyConfig, survey
    from multistar.stars import read_stars

    stars = read_stars(pa.concat_tables(survey(n, SurveyConfig(seed=SEED))))
    method = getattr(MultiStar.from_pretrained(model, device="cpu"), verb)
    return lambda: method(stars), n


def serve(verb: str, model: str, n: int) -> None:
    """A child: says that it is ready, then for each line that it gets does a turn and says us per star twice."""
    torch.set_num_threads(1)
    task, done = task_of(verb, model, n)
    task()
    print("ready", flush=True)
    for _ in sys.stdin:
        clock, cpu = time.perf_counter(), time.process_time()
        task()
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
        print(1e6 * clock / done, 1e6 * cpu / done, flush=True)


class Child:
    """A process that serves one verb."""

    def __init__(self, verb: str, model: str, n: int):
        command = [sys.executable, __file__, "--serve", verb, "--model", model, "--stars", str(n)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> list[float]:
        """Numbers of the next line (none for "ready"). Raises SystemExit if the child died."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark died; what it said stands above")
        return [float(word) for word in line.split() if word != "ready"]

    def end(self) -> None:
        self.process.communicate()


def compare(model: str, n: int, rounds: int) -> dict[tuple[str, int], tuple[float, float]]:
    """(verb, processes at once) -> us per star of one process by the clock, and of CPU time."""
    children = {verb: [Child(verb, model, n) for _ in range(2)] for verb in VERBS}
    turns: dict[tuple[str, int], list[list[float]]] = {
        (verb, k): [] for verb in VERBS for k in (1, 2)
    }
    try:
        for child in (child for pair in children.values() for child in pair):
            child.answer()
        for _ in range(rounds):
            for (verb, together), found in turns.items():
                busy = children[verb][:together]
                for child in busy:
                    child.begin()
                found += [child.answer() for child in busy]
    finally:
        for child in (child for pair in children.values() for child in pair):
            child.end()
    return {
        key: (
            statistics.median(clock for clock, _ in found),
            statistics.median(cpu for _, cpu in found),
        )
        for key, found in turns.items()
    }


def show(found: dict[tuple[str, int], tuple[float, float]], console: Console) -> None:
    """Stars per second of all processes together, and how many times the predecessor's that is."""
    table = Table(title=f"{processor()}; one thread per process")
    for name in (
        "",
        "processes",
        "stars/s by the clock",
        "of CPU time",
        "ratio by the clock",
        "of CPU time",
    ):
        table.add_column(name, justify="right" if name else "left")
    for (verb, together), (clock, cpu) in found.items():
        slow_clock, slow_cpu = found["predecessor", together]
        rates = f"{together * 1e6 / clock:,.0f}", f"{1e6 / cpu:,.0f}"
        table.add_row(
            verb, str(together), *rates, f"{slow_clock / clock:.1f}", f"{slow_cpu / cpu:.1f}"
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--stars", type=int, default=2048, help="per turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", choices=VERBS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.model, args.stars)
    else:
        show(compare(args.model, args.stars, args.rounds), Console(width=120))


if __name__ == "__main__":
    main()
