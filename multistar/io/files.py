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
    """Give a temporary path that becomes `path` on success; on failure nothing remains.

    Parameters
    ----------
    path : str or Path
        The file or folder that is to be written; folders above it are made.
    overwrite : bool
        Whether something that is there may be replaced.
    owned : collection of str
        For a folder, the names of the files that we put there.

    Yields
    ------
    Path
        Beside `path`, with the same suffixes.

    Raises
    ------
    FileExistsError
        As `refuse_existing`.
    OSError
        Names `path` if the disk is full.
    """
    path = Path(path)
    refuse_existing(path, overwrite, owned)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffixes stay last, because writers choose a format by them
    start = path.name.split(".")[0]
    suffixes = "".join(path.suffixes)
    temporary = path.with_name(f".{start}-{uuid.uuid4().hex[:8]}.tmp{suffixes}")
    try:
        yield temporary
        _replace(temporary, path)
    except (OSError, SafetensorError) as error:
        # subclasses of OSError, and errors with a file name, already say what is wrong
        is_bare = type(error) in (OSError, SafetensorError)
        if is_bare and not getattr(error, "filename", None):
            raise OSError(f"{path}: not written, is the disk full? ({error})") from error
        raise
    finally:
        _remove(temporary)


def require_path(path: str | Path, what: str = "file or folder") -> None:
    """Raise FileNotFoundError, which calls it `what`, if nothing is there."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such {what}")


def refuse_existing(path: str | Path, overwrite: bool, owned: Collection[str] = ()) -> None:
    """Refuse to replace what is already there.

    Called before long work too, so that hours are not spent on a result that may not be written.

    Parameters
    ----------
    path, overwrite, owned
        As of `atomic_write`.

    Raises
    ------
    FileExistsError
        If something is there, unless `overwrite`; and for a folder that holds files of others,
        which is never replaced.
    """
    path = Path(path)
    if not path.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{path} exists already; choose another name or pass --overwrite (overwrite=True)"
        )
    if not path.is_dir():
        return
    foreign = sorted(set(os.listdir(path)) - set(owned))
    if foreign:
        raise FileExistsError(
            f"{path} is a folder that also holds {foreign[:3]}; choose another name, "
            "it is not replaced"
        )


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
