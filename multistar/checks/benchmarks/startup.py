"""How long the command line takes to answer what needs no model."""

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
REPEATS = 3  # new processes, of which the fastest counts


def measure_startup() -> dict[str, float]:
    """Measure each of COMMANDS: its name -> seconds."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in COMMANDS.items():
            found[name] = min(_time_process(arguments, folder) for _ in range(REPEATS))
    return found


def _time_process(arguments: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, cwd=folder)
    return time.perf_counter() - start
