"""A folder of tables in, a folder of Parquet files out.

What is done is never done twice, what fails is said.

Beside each result stands its record: rows, status, and the hashes of what went in and came out. A
result without a record is made again. Results and records appear whole or not at all, so a run
that is killed at any moment goes on as if it had not been, and several processes, each with its
part of the shards, can share one folder.
"""

import errno
import fcntl
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from multistar.batch.job import Job
from multistar.io.chunks import strip_ending, table_format
from multistar.io.files import atomic_write, quick_hash, require_path, sha256

RUN, RECORD, FAILURE = "run.json", ".record.json", ".failed.json"
FORMAT = 2  # of run.json and records; 1 knew sizes only


@dataclass(frozen=True)
class Shard:
    """One table and its result."""

    source: Path
    out: Path  # folder

    @property
    def name(self) -> str:
        """What all files of this table are called by."""
        return strip_ending(self.source).replace(".", "_")

    @property
    def result(self) -> Path:
        """Where the result goes."""
        return self.out / f"{self.name}.parquet"

    @property
    def record(self) -> Path:
        """Where it is written what the result was made of."""
        return self.out / f"{self.name}{RECORD}"

    @property
    def failure(self) -> Path:
        """Where it is written why there is none."""
        return self.out / f"{self.name}{FAILURE}"

    def is_done(self, verify: bool = False) -> bool:
        """Is there the whole result of this very table?

        Parameters
        ----------
        verify : bool
            Hash all of the table, even if size, time, head and tail are those of the record.

        Returns
        -------
        bool
            The result's hash is that of the record, and the table is the one that it was made
            of. A table with another time but the same content, such as a copy, is the same.
        """
        try:
            record = json.loads(self.record.read_text())
            now = self.source.stat()
            if record["bytes_in"] != now.st_size or record["ends_in"] != quick_hash(self.source):
                return False
            is_touched = record["time_in"] != now.st_mtime_ns
            if (verify or is_touched) and record["sha256_in"] != sha256(self.source):
                return False
            return record["sha256_out"] == sha256(self.result)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def rows(self) -> int | None:
        """Of the table, where its header tells."""
        try:
            return (
                pq.read_metadata(self.source).num_rows
                if table_format(self.source) == "parquet"
                else None
            )
        except Exception:  # a broken file: it will be said when it is read
            return None


def shards(source: str | Path, out: str | Path, part: tuple[int, int] = (0, 1)) -> list[Shard]:
    """The tables of a folder (or a single one) by name.

    Of these, number `part[0]` and every part[1]-th after it.

    Raises FileNotFoundError, ValueError for a folder without tables and for names that would have
    one result.
    """
    source, out = Path(source), Path(out)
    require_path(source)
    files = (
        sorted(p for p in source.iterdir() if p.is_file() and table_format(p))
        if source.is_dir()
        else [source]
    )
    files = [p for p in files if not p.name.startswith((".", "_"))]
    if not files:
        raise ValueError(f"{source}: no table in this folder (Parquet, CSV, FITS, VOTable, ECSV)")
    found = [Shard(file, out) for file in files]
    names = [shard.name for shard in found]
    if double := [shard.source.name for shard in found if names.count(shard.name) > 1]:
        raise ValueError(f"{source}: {double[:4]} would have one result; rename some")
    index, of = part
    if not 0 <= index < of:
        raise ValueError(f"part {index + 1} of {of} does not exist")
    return found[index::of]


def results_without_table(source: str | Path, out: str | Path) -> list[str]:
    """Names of the results in a folder whose tables are not, or no longer, in `source`."""
    if not Path(source).is_dir():
        return []
    there = {shard.record.name for shard in shards(source, out)}
    records = sorted(p.name for p in Path(out).glob(f"*{RECORD}"))
    return [f"{name.removesuffix(RECORD)}.parquet" for name in records if name not in there]


def prepare(out: Path, job: Job) -> None:
    """Claim the folder for this job.

    Raises FileExistsError if it holds something else, ValueError for another job.
    """
    settings = {"format": FORMAT, **json.loads(json.dumps(job.described()))}
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; a folder of tables becomes a folder")
    names = (
        set(os.listdir(out)) if out.exists() else set()
    )  # once: another run may be claiming it, too
    if RUN in names:
        try:
            known = dict(json.loads((out / RUN).read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{out / RUN}: not readable ({error}); choose another folder"
            ) from error
        if known != settings:
            differ = sorted(
                k for k in known.keys() | settings.keys() if known.get(k) != settings.get(k)
            )
            raise ValueError(
                f"{out} holds results of another job (different {differ}); choose another folder, "
                "or remove this one"
            )
        return
    if any(not name.startswith(".") for name in names):
        raise FileExistsError(f"{out} is not empty and no earlier run's; choose another folder")
    with atomic_write(out / RUN, overwrite=True) as temporary:
        temporary.write_text(json.dumps(settings, indent=1))


def process(shard: Shard, job: Job, done: Callable[[int], None] = lambda n: None) -> dict:
    """Make the result and record of one shard.

    Whatever goes wrong with one table leaves a record of its failure, and the others are done.

    Raises
    ------
    OSError
        If nothing can be written: that is the matter of all tables.
    """
    try:
        with suppress(FileNotFoundError):
            shard.record.stat()  # a name that is too long is found before any work
        record = {"source": shard.source.name, **_fingerprint(shard.source)}
    except OSError as error:
        return _left_out(shard, error)
    try:
        written = job.write(shard.source, shard.result, True, done)
        record |= {"bytes_out": shard.result.stat().st_size, "sha256_out": sha256(shard.result)}
        record |= written
        _write_json(record, shard.record)
    except OSError as error:
        if not _is_its_own(error, shard):
            raise
        return _left_out(shard, error)
    except Exception as error:
        return _left_out(shard, error)
    shard.failure.unlink(missing_ok=True)
    return record


def _fingerprint(source: Path) -> dict:
    """What tells a table from any other that takes its name later."""
    status = source.stat()
    return {
        "bytes_in": status.st_size,
        "time_in": status.st_mtime_ns,
        "ends_in": quick_hash(source),
        "sha256_in": sha256(source),
    }


def _is_its_own(error: OSError, shard: Shard) -> bool:
    """Is it this table that is at fault, not the place where results are written?"""
    is_too_long = error.errno == errno.ENAMETOOLONG
    return is_too_long or error.filename in (shard.source, str(shard.source))


def _left_out(shard: Shard, error: Exception) -> dict:
    """The record of a table that could not be done."""
    expected = isinstance(error, (ValueError, KeyError, TypeError))
    reason = str(error.args[0] if expected and error.args else error)
    if not isinstance(error, (ValueError, KeyError, TypeError, OSError)):
        reason = f"{type(error).__name__}: {reason}"  # no reader means to raise it
    record = {"source": shard.source.name, "error": reason}
    with suppress(OSError):  # a name that is too long for a result is so for this, too
        _write_json(record, shard.failure)
    return record


@contextmanager
def _shared(out: Path) -> Iterator[None]:
    """While it lasts, others may work in the folder.

    Whoever finds itself alone there removes what killed runs left.

    The lock on the folder falls with the process that holds it, however that dies.
    """
    lock = os.open(out, os.O_RDONLY)
    try:
        _tidy(out, lock)
        with suppress(OSError):  # a file system without locks: nobody tidies there
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield
        _tidy(out, lock)
    finally:
        os.close(lock)


def _tidy(out: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by another run
        return
    for left in out.glob(".*.tmp*"):
        if not left.name.startswith(".run-"):  # of a run that is just claiming the folder
            left.unlink(missing_ok=True)


def _write_json(content: dict, path: Path) -> None:
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def one_after_another(
    todo: list[Shard], job: Job, done: Callable[[int], None]
) -> Iterator[tuple[Shard, dict]]:
    """The plain engine: this process."""
    for shard in todo:
        yield shard, process(shard, job, done)


def run(
    todo: list[Shard],
    job: Job,
    engine=one_after_another,
    log: Path | None = None,
    quiet: bool = False,
) -> dict[str, dict]:
    """Process shards that are not done yet; returns the new records by source name.

    log: a file that gets one line of JSON per shard: time, source, rows, seconds, rows per
    second, peak memory.
    """
    if log:
        log.open("a").close()  # before there is work to lose
    records, total = {}, [shard.rows() for shard in todo]
    known = None if None in total else sum(filter(None, total))
    columns = (
        TextColumn(job.command),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,} rows"),
    )
    progress = Progress(
        *columns, TextColumn("{task.description}"), TimeRemainingColumn(), disable=quiet
    )
    with _shared(todo[0].out) if todo else nullcontext(), progress as bar:
        task = bar.add_task("", total=known)
        start = time.monotonic()
        for shard, record in engine(todo, job, lambda n: bar.advance(task, n)):
            if not (shard.out / RUN).exists():
                raise FileNotFoundError(
                    f"{shard.out / RUN}: gone while tables were written; was the folder removed? "
                    "Run it again"
                )
            records[shard.source.name] = record
            bar.update(task, description=f"{len(records)}/{len(todo)} files")
            if log:
                _log(log, record, time.monotonic() - start)
            start = time.monotonic()
    return records


def _log(path: Path, record: dict, seconds: float) -> None:
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "source": record["source"],
        "seconds": round(seconds, 3),
    }
    line |= {k: record[k] for k in ("rows", "status", "error") if k in record}
    if record.get("rows"):
        line["rows_per_second"] = round(record["rows"] / seconds, 1)
    line["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    with open(path, "a") as stream:
        stream.write(json.dumps(line) + "\n")
