"""A mock survey on disk: one Parquet file, or a folder of shards that a later run can continue."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from multistar import __version__
from multistar.io.files import atomic_write, refuse_existing, sha256
from multistar.mock.survey import SurveyConfig, SurveyCursor

MANIFEST = "manifest.json"
SHARD_KEYS = {"file", "rows", "sha256", "next_block", "next_row"}
SHARD_SIZE = 100_000  # stars; about 100 MB

Advance = Callable[[int], None]  # called with the number of stars just written


def write_survey(
    n_stars: int,
    config: SurveyConfig,
    path: str | Path,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    quiet: bool = False,
) -> None:
    """Write a mock survey to one file or to a folder of shards, in bounded memory.

    A folder holds part-00000.parquet ... and a manifest with the settings, rows and SHA-256 of
    every shard. Calling again with the same settings continues after the last whole shard.

    Parameters
    ----------
    n_stars : int
        Number of stars.
    config : SurveyConfig
        Settings of the survey.
    path : str or Path
        One file if it ends in .parquet, a folder if it has no ending.
    overwrite : bool
        Whether to replace a file or a survey of other settings.
    shard_size : int
        Stars per shard of a folder.
    quiet : bool
        Whether to hide the progress bar.

    Raises
    ------
    ValueError
        For sizes below one, other endings, and a folder whose shards are damaged.
    FileExistsError
        If something else is in the way.
    """
    for name, number in (("number of stars", n_stars), ("shard size", shard_size)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    path = Path(path)
    if path.suffix not in ("", ".parquet"):
        raise ValueError(
            f"{path}: a mock survey is written as one .parquet file or as a folder, "
            "whose name has no ending"
        )
    with _progress_bar(quiet) as bar:
        advance = partial(bar.advance, bar.add_task("", total=n_stars))
        if path.suffix == ".parquet":
            _write_file(path, SurveyCursor(config).take(n_stars), overwrite, advance)
        else:
            manifest = _open_manifest(path, _describe_run(n_stars, config, shard_size), overwrite)
            _write_shards(path, config, manifest, advance)


def _progress_bar(quiet: bool) -> Progress:
    return Progress(
        TextColumn("mock"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,} stars"),
        TimeRemainingColumn(),
        disable=quiet,
    )


def _write_file(path: Path, tables: Iterator[pa.Table], overwrite: bool, advance: Advance) -> int:
    """Write tables to one Parquet file and return its number of rows."""
    first = next(tables)
    rows = 0
    with (
        atomic_write(path, overwrite) as temporary,
        pq.ParquetWriter(temporary, first.schema) as writer,
    ):
        for table in itertools.chain([first], tables):
            writer.write_table(table)
            rows += len(table)
            advance(len(table))
    return rows


def _write_shards(folder: Path, config: SurveyConfig, manifest: dict, advance: Advance) -> None:
    """Write the shards that the manifest lacks; it is saved after each of them."""
    shards = manifest["shards"]
    cursor = SurveyCursor(config)
    if shards:
        cursor = SurveyCursor(config, shards[-1]["next_block"], shards[-1]["next_row"])
    written = sum(shard["rows"] for shard in shards)
    advance(written)
    while written < manifest["stars"]:
        name = shard_name(len(shards))
        missing = manifest["stars"] - written
        tables = cursor.take(min(manifest["shard_size"], missing))
        rows = _write_file(folder / name, tables, True, advance)
        written += rows
        shard = {
            "file": name,
            "rows": rows,
            "sha256": sha256(folder / name),
            "next_block": cursor.block,
            "next_row": cursor.row,
        }
        shards.append(shard)
        _save_manifest(folder, manifest)


def _describe_run(n_stars: int, config: SurveyConfig, shard_size: int) -> dict:
    settings = json.dumps(dataclasses.asdict(config))
    return {
        "multistar": __version__,
        "config": json.loads(settings),  # as a manifest will give them back: lists, no tuples
        "stars": n_stars,
        "shard_size": shard_size,
    }


def _open_manifest(folder: Path, run: dict, overwrite: bool) -> dict:
    """The manifest of an interrupted run of the same settings, or a new one."""
    if not (folder / MANIFEST).exists():
        refuse_existing(folder, False)
        folder.mkdir(parents=True)
        return _new_manifest(folder, run)
    manifest = _read_manifest(folder)
    settings = {key: value for key, value in manifest.items() if key != "shards"}
    if settings == run:
        _check_shards(folder, manifest["shards"])
        return manifest
    if not overwrite:
        raise FileExistsError(
            f"{folder} holds a survey of other settings ({manifest['stars']:,} stars, "
            f"{manifest['config']}); choose another name or pass --overwrite"
        )
    _delete_survey(folder, len(manifest["shards"]))
    return _new_manifest(folder, run)


def _new_manifest(folder: Path, run: dict) -> dict:
    manifest = run | {"shards": []}
    _save_manifest(folder, manifest)
    return manifest


def _delete_survey(folder: Path, n_shards: int) -> None:
    """Delete the files of a survey; FileExistsError if the folder holds others, too."""
    owned = {MANIFEST}
    for number in range(n_shards + 1):  # a shard may have been written but not yet noted
        owned.add(shard_name(number))
    refuse_existing(folder, True, owned)
    for name in owned:
        (folder / name).unlink(missing_ok=True)


def _read_manifest(folder: Path) -> dict:
    """Read a manifest of ours, whose shards have our names, so that no path leads elsewhere."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        names = [shard["file"] for shard in manifest["shards"]]
        complete = {"stars", "config"} <= manifest.keys()
        for shard in manifest["shards"]:
            complete = complete and shard.keys() >= SHARD_KEYS
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not readable as a manifest ({error!r}); start anew") from error
    expected = [shard_name(number) for number in range(len(names))]
    if not complete or names != expected:
        raise ValueError(f"{path}: not a manifest of ours (its shards are {names[:3]}); start anew")
    return manifest


def shard_name(number: int) -> str:
    """File name of a shard, counted from 0."""
    return f"part-{number:05d}.parquet"


def _check_shards(folder: Path, shards: list[dict]) -> None:
    """Check that all shards are there and the last one is whole.

    Hashing all of them would take as long as reading them.
    """
    if not shards:
        return
    last = shards[-1]
    damaged = [shard["file"] for shard in shards if not (folder / shard["file"]).exists()]
    if not damaged and sha256(folder / last["file"]) != last["sha256"]:
        damaged = [last["file"]]
    if damaged:
        raise ValueError(f"{folder}: shard {damaged[0]} is missing or was changed; start anew")


def _save_manifest(folder: Path, manifest: dict) -> None:
    with atomic_write(folder / MANIFEST, True) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1))
