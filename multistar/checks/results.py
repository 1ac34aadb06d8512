"""Results of evaluations: shown as tables, cached in parts, written as JSON with their origin."""

import datetime
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from multistar.io.files import atomic_write

FOLDER = Path("docs", "results")
# The environment variable that names the folder of real data, which no record shall spell out.
REAL_DATA = "MULTISTAR_REAL_DATA"


def write_result(
    name: str,
    figures: Mapping[str, Any],
    n: int | Mapping[str, int],
    weights: str | None = None,
    folder: str | Path = FOLDER,
) -> Path:
    """Write FOLDER/NAME.json: figures, and all that is needed to make them again.

    Beside `figures`, `n` and `weights` the file holds the command, the version of multistar, the
    commit (where git knows one), the date (UTC) and the machine. It replaces an earlier result of
    the same name, atomically.

    Parameters
    ----------
    name
        Name of the result, which becomes the file's.
    figures
        What was measured; arrays and numbers of NumPy are converted, NaN becomes null.
    n
        Number of stars that the figures rest on, one number or one by part.
    weights
        SHA-256 of the model's weights (`model.hash`), if a model took part.
    folder
        Folder of results, made if it is not there.

    Returns
    -------
    Path
        The file that was written.
    """
    record = {
        "name": name,
        "figures": figures,
        "n": n,
        "weights_sha256": weights,
        "command": describe_command(sys.argv),
        "multistar": version("multistar"),
        "commit": find_commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }
    path = Path(folder) / f"{name}.json"
    text = json.dumps(_plain(record), indent=1, allow_nan=False)
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(text + "\n")
    return path


def keep_result(path: Path | None, make: Callable[[], dict]) -> dict:
    """Read a part of an evaluation from its cache, or make it and keep it there.

    Hours of work can then be interrupted. Arrays come back as lists, NaN stays NaN. Nothing tells
    whether the code or the data have changed since: delete the cache when they have. Without a
    path nothing is kept.
    """
    if path is None:
        return _plain(make(), math.nan)
    if not path.exists():
        made = json.dumps(_plain(make(), math.nan))
        with atomic_write(path) as temporary:
            temporary.write_text(made)
    return json.loads(path.read_text())


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], digits: int = 3) -> None:
    """Print dictionaries as the rows of a table; columns are their keys, numbers are rounded.

    Keys that hold lists or dictionaries are left out; a row without a key has an empty cell.
    """
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            if not isinstance(value, (dict, list, tuple, np.ndarray)):
                names[name] = None
    table = Table(title=escape(title))
    for name in names:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(row.get(name), digits) for name in names))
    Console(width=160).print(table)


def describe_command(arguments: Sequence[str]) -> str:
    """Spell out a command line without the places of one machine.

    Absolute paths are given relative to the working folder or to $MULTISTAR_REAL_DATA, and by
    their last part elsewhere.
    """
    words = [_portable(word) for word in arguments]
    return "python " + " ".join(words)


def describe_machine() -> dict[str, Any]:
    """Name the processor, its cores, PyTorch's instruction set and threads, and a GPU."""
    machine: dict[str, Any] = {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    return machine


def find_commit() -> str | None:
    """Return the commit of the code, with "+changes" if files differ; None without git.

    Results themselves are no changes: one command may write many.
    """
    here = Path(__file__).parent
    try:
        commit = _run_git(here, "rev-parse", "HEAD")
        top = Path(_run_git(here, "rev-parse", "--show-toplevel"))
        changed = _run_git(
            top, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/results"
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if changed else commit


def _run_git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return finished.stdout.strip()


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _portable(word: str) -> str:
    path = Path(word)
    if not path.is_absolute():
        return shlex.quote(word)
    data = os.environ.get(REAL_DATA)
    if data and path.is_relative_to(data):
        inside = path.relative_to(data)
        return f"${REAL_DATA}" if inside == Path() else f"${REAL_DATA}/{inside}"
    if path.is_relative_to(Path.cwd()):
        return shlex.quote(str(path.relative_to(Path.cwd())))
    return shlex.quote(path.name)


def _plain(value: Any, missing: float | None = None) -> Any:
    """Only dictionaries, lists, strings and numbers, which JSON knows; NaN becomes `missing`."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, missing) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), missing)
    if isinstance(value, (list, tuple)):
        return [_plain(item, missing) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item(), missing)
    if isinstance(value, float) and not np.isfinite(value):
        return missing
    return value


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, (float, np.floating)):
        return f"{value:,.{digits}g}" if abs(value) < 1e3 else f"{value:,.0f}"
    return escape(str(value))
