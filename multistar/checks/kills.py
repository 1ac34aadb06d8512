"""Runs that are killed at random moments and begun again: do they end with the bytes of a run that was not?

Each kind of run is done once whole. Then it is begun and killed (SIGKILL) at a random moment, a few
times in a row in the same place, and at last left alone; everything that it was asked for is compared
with what the whole run wrote, and nothing else may be left.
"""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.io.files import sha256
from multistar.mock.survey import SurveyConfig, survey

TABLES, STARS = 6, 400
KILLS_IN_A_ROW = 5
SLOWEST = 600.0  # seconds that a run which is left alone may take
DONE = b"exists already"
RUN_FILE = "run.toml"
TRAINING = """
out = "out"
[data]
train = ["{table}"]
[model]
width = 32
encoder_depth = 1
decoder_depth = 1
[training]
steps = 60
batch = 32
checkpoint_every = 10
"""


@dataclass(frozen=True)
class Command:
    """A command of the command line that writes a folder and can go on where it was killed."""

    name: str
    words: tuple[str, ...]
    run: str = ""  # content of the run file that it is given

    def begin(self, out: Path) -> subprocess.Popen:
        """Start it in a process of its own, in the folder that `out` is to be in."""
        if self.run:
            (out.parent / RUN_FILE).write_text(self.run)
        return subprocess.Popen(
            [sys.executable, "-m", "multistar.cli", *self.words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=out.parent,
        )

    def finish(self, out: Path) -> None:
        """Run it to its end. RuntimeError with its last words if it fails.

        One that was killed when its result was there already is refused, as it should be.
        """
        process = self.begin(out)
        _, words = process.communicate(timeout=SLOWEST)
        if process.returncode and DONE not in words:
            raise RuntimeError(f"{self.name} failed: {words.decode()[-500:]}")


def make_commands(folder: Path, stars: int = STARS) -> list[Command]:
    """Write tables of mock stars and a run file into a folder; return what is run with them."""
    tables = folder / "tables"
    tables.mkdir(parents=True)
    everyone = pa.concat_tables(survey(stars, SurveyConfig(seed=5)))
    for number in range(TABLES):
        pq.write_table(everyone, tables / f"{number}.parquet")
    table = str(tables / "0.parquet")
    learn = ("finetune", table, "--labels", "teff,mass", "--steps", "60", "--out", "out")
    folder_of_tables = (str(tables), "--out", "out")
    return [
        Command("embed a folder", ("embed", *folder_of_tables)),
        Command("predict a folder", ("predict", *folder_of_tables, "--samples", "4")),
        Command("finetune", learn),
        Command("pretrain", ("pretrain", RUN_FILE), TRAINING.format(table=table)),
    ]


def hash_files(folder: Path) -> dict[str, str]:
    """File of a folder, by its name within it -> its hash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path) for path in files}


def kill_often(
    command: Command, folder: Path, kills: int, rng: np.random.Generator, in_a_row: int
) -> dict:
    """Kill a command so many times and compare what it writes in the end.

    Returns
    -------
    dict
        `command`, `seconds` of a whole run, `kills`, `finished_first` (runs that ended before
        their moment came), `runs` that were completed, and `differences`: lists of files that are
        not the same, missing or left over.
    """
    whole = folder / "whole" / "out"
    whole.parent.mkdir(parents=True)
    begun = time.monotonic()
    command.finish(whole)
    seconds = time.monotonic() - begun
    wanted = hash_files(whole.parent)
    killed, finished, runs = 0, 0, 0
    differences: list[str] = []
    while killed < kills:
        out = folder / str(runs) / "out"
        out.parent.mkdir()
        ended = False
        for _ in range(min(in_a_row, kills - killed)):
            ended = _kill_after(command.begin(out), rng.uniform(0, seconds))
            killed += not ended
            finished += ended
            if ended:
                break
        if not ended:
            command.finish(out)
        differences += _different_files(wanted, hash_files(out.parent))
        runs += 1
    row = {"command": command.name, "seconds": round(seconds, 1), "kills": killed}
    return row | {"finished_first": finished, "runs": runs, "differences": differences}


def _kill_after(process: subprocess.Popen, seconds: float) -> bool:
    """Kill a process after some time; return whether it had ended before."""
    try:
        _, words = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode and DONE not in words:
        raise RuntimeError(f"a run failed by itself: {words.decode()[-500:]}")
    return True


def _different_files(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """Names of files that are missing, left over, or not the same."""
    return [name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
