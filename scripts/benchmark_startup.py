"""Seconds until the command line answers what needs no model, best of three new processes.

python scripts/benchmark_startup.py
"""

import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "import multistar": ["-c", "import multistar"],
    "multistar --help": ["-m", "multistar.cli", "--help"],
    "multistar predict --help": ["-m", "multistar.cli", "predict", "--help"],
    "a wrong option": ["-m", "multistar.cli", "predict", "x.csv", "--out", "y.csv", "--wrong"],
    "a missing file": ["-m", "multistar.cli", "predict", "absent.csv", "--out", "y.csv"],
    "a missing index": ["-m", "multistar.cli", "search", "absent", "--source-id", "1"],
    "import torch, for comparison": ["-c", "import torch"],
}
REPEATS = 3


def seconds(arguments: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, cwd=folder)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in COMMANDS.items():
            best = min(seconds(arguments, folder) for _ in range(REPEATS))
            print(f"{name:30s} {best:6.2f} s")


if __name__ == "__main__":
    main()
