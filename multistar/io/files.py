"""Atomic writes, overwrite protection and content hashes."""

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

ENDS = 1 << 16  # bytes at the head and the tail of a file that its quick hash looks at, at least
LONGEST_FOOTER = 1 << 26


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
    if owned:
        _tidy_leftovers(path)
    # the suffixes stay last, because writers choose a format by them
    suffixes = "".join(path.suffixes)
    temporary = path.with_name(f".{_start(path)}-{_mark()}.tmp{suffixes}")
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


def quick_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's size, head and tail, which tells most changes in no time.

    The tail holds the footer of a Parquet file, with the statistics of all of its columns.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        digest.update(str(size).encode())
        stream.seek(max(0, size - 8))
        last = stream.read(8)
        footer = int.from_bytes(last[:4], "little") + 8 if last[4:] == b"PAR1" else 0
        tail = min(size, max(ENDS, min(footer, LONGEST_FOOTER)))
        stream.seek(0)
        digest.update(stream.read(ENDS))
        stream.seek(size - tail)
        digest.update(stream.read(tail))
    return digest.hexdigest()


def _start(path: Path) -> str:
    """What the names of temporary files for this path begin with; short enough for any name."""
    return path.name.split(".")[0][:100]


def _mark(process: int | None = None) -> str:
    """Whose temporary file it is: this computer's and process', and a word of its own."""
    host = hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:6]
    return f"{host}-{os.getpid() if process is None else process}-{uuid.uuid4().hex[:8]}"


def _tidy_leftovers(path: Path) -> None:
    """Remove what processes of this computer that are no more left of earlier writes of `path`."""
    host = _mark().partition("-")[0]
    pattern = re.compile(rf"\.{re.escape(_start(path))}-{host}-(\d+)-\w+\.(tmp|old)(\..*)?")
    for left in path.parent.iterdir():
        match = pattern.fullmatch(left.name)
        if not match or _is_alive(int(match[1])):
            continue
        if match[2] == "tmp" or path.exists():  # an old one may be all that there is
            _remove(left)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _replace(temporary: Path, path: Path) -> None:
    if path.is_dir():
        old = path.with_name(f".{_start(path)}-{_mark()}.old")
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
