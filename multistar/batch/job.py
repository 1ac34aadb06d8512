"""What is done to a table of any length.

A command with its model and options, part by part, into one Parquet file.
"""

import inspect
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar import __version__, status
from multistar.api import MultiStar
from multistar.inference.request import Request
from multistar.io.chunks import ROWS, read_chunks
from multistar.io.columns import Columns
from multistar.io.files import atomic_write, sha256
from multistar.io.folders import ADAPTER_FILES, MODEL_FILES, find_model
from multistar.io.untrusted import SECONDS, SLOWEST, time_limit
from multistar.model.checkpoint import device_of
from multistar.precision import resolve

COMMANDS = ("embed", "predict")


@dataclass(frozen=True)
class Job:
    """command of COMMANDS; model: folder or name.

    Options and columns as MultiStar's method takes them.
    """

    command: str
    model: str = "mini"
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    adapters: tuple[str, ...] = ()  # folders
    precision: str = "auto"  # as MultiStar.from_pretrained takes it
    device: str | None = None  # as MultiStar.from_pretrained takes it; no part of what a job is
    # for reading a part of a table; no part of what a job is
    time_limit: float | None = SECONDS

    def __post_init__(self):
        if self.command not in COMMANDS:
            raise ValueError(f"a job is one of {COMMANDS}, got {self.command!r}")
        known = self._defaults().keys()
        if unknown := sorted(set(self.options) - known):
            raise ValueError(
                f"{self.command} knows no options {unknown}; known are {sorted(known)}"
            )

    def __reduce__(self):  # other processes get the settings and load the model themselves
        settings = (
            dict(self.options),
            dict(self.columns),
            self.adapters,
            self._precision(),
            self.device,
            self.time_limit,
        )
        return Job, (self.command, self.model, *settings)

    def _precision(self) -> str:
        """What "auto" is here. Processes on other hardware take the same.

        One job writes one kind.
        """
        return resolve(self.precision, device_of(self.device))

    def _defaults(self) -> dict[str, Any]:
        """Option -> its value where the job does not say."""
        parameters = inspect.signature(getattr(MultiStar, self.command)).parameters.values()
        given = ("self", "table", "columns", "quiet", "light_curves")
        return {p.name: p.default for p in parameters if p.name not in given}

    @cached_property
    def star_model(self) -> MultiStar:
        """The model with its adapters, loaded when it is first needed."""
        return MultiStar.from_pretrained(self.model, self.adapters, self.precision, self.device)

    def described(self) -> dict:
        """As JSON gives it back; equal for jobs that write the same.

        Raises ValueError for labels and a prior that the model does not have, before any table is read.
        """
        self._check_options()
        model, ignore = find_model(self.model), self.options.get("ignore")
        return {
            "multistar": __version__,
            "command": self.command,
            "model_sha256": self.star_model.model.hash,
            "model_files": {name: sha256(model / name) for name in MODEL_FILES},
            "options": self._defaults() | dict(self.options),
            "columns": dict(self.columns),
            "precision": self._precision(),
            "adapters": [_hashes(Path(folder)) for folder in self.adapters],
            # its name holds a hash of its numbers, of which a file may hold others later
            "nuisance_projection": self.star_model.model.projection(ignore).name if ignore else "",
            "rows_at_once": ROWS,  # parts have seeds of their own
        }

    def _check_options(self) -> None:
        if self.command != "predict":
            return
        request = Request(
            labels=tuple(self.options.get("labels", ())), prior=self.options.get("prior")
        )
        request.populations(self.star_model.model)
        if not self.adapters:
            request.names(self.star_model.model)

    def write(
        self,
        source: Path,
        out: Path,
        overwrite: bool = False,
        done: Callable[[int], None] = lambda n: None,
        describe: Callable[[str], None] = lambda text: None,
    ) -> dict:
        """The rows of `source` -> rows of `out`, in order, atomically.

        {"rows": n, "status": {words: n}}.

        Memory is that of a part of the table, and 8 bytes per row for the ids. A seed of the
        options counts up from part to part. Raises what reading raises; nothing is written then.
        """
        ids, counts, writer = [], Counter(), None
        with atomic_write(out, overwrite) as temporary:
            try:
                for part in self._parts(source, done, describe):
                    ids.append(part["source_id"].to_numpy())
                    counts.update(part["status"].to_pylist())
                    writer = writer or pq.ParquetWriter(temporary, part.schema)
                    writer.write_table(part)
            finally:
                if writer is not None:
                    writer.close()
            if (twice := _repeated(ids)).size:
                counts = _flag_duplicates(temporary, twice)
            _to_disk(temporary)
        return {"rows": sum(counts.values()), "status": dict(sorted(counts.items()))}

    def _parts(
        self, source: Path, done: Callable[[int], None], describe: Callable[[str], None]
    ) -> Iterator[pa.Table]:
        rows = 0
        for number, part in enumerate(self._read(source)):
            part.first_row = rows
            rows += len(part)
            if number == 0:
                given = self.options.get("given", ())
                describe(str(self.star_model.describe(part, self.columns or None, given)))
            options = dict(self.options)
            if "seed" in options:
                options["seed"] += number
            yield getattr(self.star_model, self.command)(part, self.columns or None, **options)
            done(len(part))

    def _read(self, source: Path) -> Iterator[Columns]:
        """The parts of a table, each within the time that it may take."""
        parts = read_chunks(source, ROWS)
        limit = self.time_limit
        if limit is not None:
            limit += source.stat().st_size / SLOWEST  # some formats are read whole
        while True:
            with time_limit(limit, str(source)):
                part = next(parts, None)
            if part is None:
                return
            yield part


def _hashes(folder: Path) -> dict[str, str]:
    """File -> hash, for all files of an adapter."""
    return {name: sha256(folder / name) for name in ADAPTER_FILES}


def _repeated(ids: list[np.ndarray]) -> np.ndarray:
    """Ids of the whole table that occur more than once, if they do so in different parts.

    Missing ones (-1) do not.
    """
    if len(ids) < 2:
        return np.empty(0, np.int64)
    found = np.sort(np.concatenate(ids))
    twice = np.unique(found[1:][found[1:] == found[:-1]])
    return twice[twice >= 0]


def _flag_duplicates(path: Path, twice: np.ndarray) -> Counter:
    """Add the word to the rows of these ids; a part knew of its own ids only."""
    flagged, counts = path.with_name(f"{path.name}.flagged"), Counter()
    try:
        with pq.ParquetFile(path) as file, pq.ParquetWriter(flagged, file.schema_arrow) as writer:
            for i in range(file.num_row_groups):
                part = file.read_row_group(i)
                words = part["status"].to_numpy(zero_copy_only=False).astype(object)
                rows = np.isin(part["source_id"].to_numpy(), twice)
                words[rows] = status.with_word(words[rows], "duplicate_id")
                counts.update(words)
                writer.write_table(
                    part.set_column(
                        part.schema.get_field_index("status"), "status", pa.array(words)
                    )
                )
        os.replace(flagged, path)
    finally:
        flagged.unlink(missing_ok=True)
    return counts


def _to_disk(path: Path) -> None:
    """So that a name that exists after a power failure has its content."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
