"""Atomic writes, overwrite protection and content hashes."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, on failure nothing remains.

    Works for a file or a folder. Raises FileExistsError unless `overwrite`.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffix stays last, because writers choose a format by it
    temporary = path.with_name(f".{path.name.split('.')[0]}-{uuid.uuid4().hex[:8]}.tmp{''.join(path.suffixes)}")
    try:
        yield temporary
        _replace(temporary, path)
    finally:
        _remove(temporary)


def refuse_existing(path: str | Path, overwrite: bool) -> None:
    """Called before long work too, so that hours are not spent on a result that may not be written."""
    if Path(path).exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; choose another name or pass --overwrite (overwrite=True)")


def _replace(temporary: Path, path: Path) -> None:
    if path.is_dir():
        old = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}.old")
        os.replace(path, old)
        os.replace(temporary, path)
        shutil.rmtree(old)
    else:
        os.replace(temporary, path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
