"""Atomic writes, overwrite protection and content hashes."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def atomic_write(
    path: str | Path, overwrite: bool = False, owned: Collection[str] = ()
) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, on failure nothing remains.

    For a folder, `owned` names the files that we put there. Raises as refuse_existing does, and OSError that names
    `path` if the disk is full.
    """
    path = Path(path)
    refuse_existing(path, overwrite, owned)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffix stays last, because writers choose a format by it
    temporary = path.with_name(
        f".{path.name.split('.')[0]}-{uuid.uuid4().hex[:8]}.tmp{''.join(path.suffixes)}"
    )
    try:
        yield temporary
        _replace(temporary, path)
    except (OSError, SafetensorError) as error:
        if type(error) in (OSError, SafetensorError) and not getattr(error, "filename", None):
            raise OSError(f"{path}: not written, is the disk full? ({error})") from error
        raise
    finally:
        _remove(temporary)


def require_path(path: str | Path, what: str = "file or folder") -> None:
    """FileNotFoundError if nothing is there."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such {what}")


def refuse_existing(path: str | Path, overwrite: bool, owned: Collection[str] = ()) -> None:
    """FileExistsError if something is there, unless `overwrite`; a folder with others' files is never replaced.

    Called before long work too, so that hours are not spent on a result that may not be written.
    """
    path = Path(path)
    if not path.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{path} exists already; choose another name or pass --overwrite (overwrite=True)"
        )
    if path.is_dir() and (foreign := sorted(set(os.listdir(path)) - set(owned))):
        raise FileExistsError(
            f"{path} is a folder that also holds {foreign[:3]}; choose another name, it is not replaced"
        )


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
