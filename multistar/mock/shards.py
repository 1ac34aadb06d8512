"""A mock survey on disk: one Parquet file, or a folder of shards that an interrupted run can go on with."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from multistar import __version__
from multistar.io.files import atomic_write, refuse_existing, sha256
from multistar.mock.survey import Place, SurveyConfig

MANIFEST = "manifest.json"
SHARD_KEYS = {"file", "rows", "sha256", "next_block", "next_row"}
SHARD_SIZE = 100_000  # stars; about 100 MB


def write_survey(
    n_stars: int,
    config: SurveyConfig,
    path: str | Path,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    quiet: bool = False,
) -> None:
    """Stream a survey to one file (`path` ends in .parquet) or to a folder of shards; memory does not grow with it.

    A folder holds part-00000.parquet ... and a manifest with the settings, rows and SHA-256 of every
    shard. Calling again with the same settings goes on after the last whole shard.
    Raises ValueError for sizes below one and other endings, FileExistsError where something else is in the way.
    """
    for name, number in (("number of stars", n_stars), ("shard size", shard_size)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    path = Path(path)
    if path.suffix not in ("", ".parquet"):
        raise ValueError(
            f"{path}: a mock survey is written as one .parquet file or as a folder, whose name has no ending"
        )
    columns = (
        TextColumn("mock"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,} stars"),
    )
    with Progress(*columns, TimeRemainingColumn(), disable=quiet) as bar:
        task = bar.add_task("", total=n_stars)
        if path.suffix == ".parquet":
            _write(path, Place(config).take(n_stars), overwrite, lambda n: bar.advance(task, n))
        else:
            _write_shards(
                path, n_stars, config, overwrite, shard_size, lambda n: bar.advance(task, n)
            )


def _write(path: Path, tables: Iterator[pa.Table], overwrite: bool, done) -> int:
    first = next(tables)
    rows = 0
    with (
        atomic_write(path, overwrite) as temporary,
        pq.ParquetWriter(temporary, first.schema) as writer,
    ):
        for table in itertools.chain([first], tables):
            writer.write_table(table)
            rows += len(table)
            done(len(table))
    return rows


def _write_shards(
    folder: Path, n_stars: int, config: SurveyConfig, overwrite: bool, size: int, done
) -> None:
    settings = json.loads(
        json.dumps(dataclasses.asdict(config))
    )  # as the manifest will give them back
    described = {"multistar": __version__, "config": settings, "stars": n_stars, "shard_size": size}
    manifest = _open_manifest(folder, described, overwrite)
    shards = manifest["shards"]
    written = sum(shard["rows"] for shard in shards)
    place = (
        Place(config, shards[-1]["next_block"], shards[-1]["next_row"]) if shards else Place(config)
    )
    done(written)
    while written < n_stars:
        name = shard_name(len(shards))
        rows = _write(folder / name, place.take(min(size, n_stars - written)), True, done)
        written += rows
        content = {"file": name, "rows": rows, "sha256": sha256(folder / name)}
        shards.append(content | {"next_block": place.block, "next_row": place.row})
        _save_manifest(folder, manifest)


def _open_manifest(folder: Path, described: dict, overwrite: bool) -> dict:
    if not (folder / MANIFEST).exists():
        refuse_existing(folder, False)
        folder.mkdir(parents=True)
        manifest = described | {"shards": []}
        _save_manifest(folder, manifest)
        return manifest
    manifest = _read_manifest(folder)
    if {k: v for k, v in manifest.items() if k != "shards"} == described:
        _check_shards(folder, manifest["shards"])
        return manifest
    if not overwrite:
        raise FileExistsError(
            f"{folder} holds a survey of other settings ({manifest['stars']:,} stars, {manifest['config']}); "
            "choose another name or pass --overwrite"
        )
    owned = {MANIFEST, *map(shard_name, range(len(manifest["shards"]) + 1))}
    refuse_existing(folder, True, owned)
    for name in owned:
        (folder / name).unlink(missing_ok=True)
    manifest = described | {"shards": []}
    _save_manifest(folder, manifest)
    return manifest


def _read_manifest(folder: Path) -> dict:
    """ValueError if it is not ours: shards are named by us alone, so that no path in it leads elsewhere."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        names = [shard["file"] for shard in manifest["shards"]]
        whole = {"stars", "config"} <= manifest.keys() and all(
            s.keys() >= SHARD_KEYS for s in manifest["shards"]
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder / MANIFEST}: not readable as a manifest ({error!r}); start anew"
        ) from error
    if not whole or names != [shard_name(i) for i in range(len(names))]:
        raise ValueError(
            f"{folder / MANIFEST}: not a manifest of ours (its shards are {names[:3]}); start anew"
        )
    return manifest


def shard_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def _check_shards(folder: Path, shards: list[dict]) -> None:
    """That all shards are there and the last one is whole; hashing all would take as long as reading them."""
    missing = [shard["file"] for shard in shards if not (folder / shard["file"]).exists()]
    if missing or (shards and sha256(folder / shards[-1]["file"]) != shards[-1]["sha256"]):
        raise ValueError(
            f"{folder}: shard {(missing or [shards[-1]['file']])[0]} is missing or was changed; start anew"
        )


def _save_manifest(folder: Path, manifest: dict) -> None:
    with atomic_write(folder / MANIFEST, True) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1))
