"""An index on disk: one folder, written atomically, every file hashed in its card."""

import os
import weakref
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import faiss
import numpy as np

from multistar.io.artifact import Kind
from multistar.io.config import from_table
from multistar.io.files import atomic_write, sha256
from multistar.io.folders import CARD, require_index

INDEX, IDS, ORDER, METADATA = "index.faiss", "source_ids.npy", "id_order.npy", "metadata.npy"
FILES = (INDEX, IDS, ORDER, METADATA)
OWNED = (*FILES, CARD)
FOLDER = Kind("an index card", CARD, 2, (2,), "build it again")
ROWS_AT_ONCE = 1 << 20
MAP = getattr(
    faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP
)  # the first maps vectors of every kind, not only lists


@dataclass(frozen=True)
class Card:
    """What an index is.

    Attributes
    ----------
    recall : float
        Share of the ten true neighbours that a search finds, measured when it was built; 1 if exact.
    ignore : str
        Name of the projection that the vectors went through, "" for none.
    """

    model_sha256: str
    dimension: int
    stars: int
    deleted: int
    kind: str
    reason: str
    parameters: dict[str, int]
    recall: float
    columns: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    metric: str = "cosine"
    ignore: str = ""


@dataclass(frozen=True)
class Content:
    """What an index holds.

    Attributes
    ----------
    card : Card
    index : faiss.Index
        Of n rows.
    source_id : (n,) int64 ndarray
        -1 where deleted.
    order : (n,) int ndarray
        That sorts it.
    metadata : (n, c) float64 ndarray
    mapped : MappedFiles, optional
    """

    card: Card
    index: faiss.Index
    source_id: np.ndarray
    order: np.ndarray
    metadata: np.ndarray
    mapped: "MappedFiles | None" = None


class MappedFiles:
    """The files of an index that is read from disk as needed.

    Reading a mapped file beyond its end kills the process, so their sizes are looked at before.
    (A file that shrinks during a search still does; replacing the whole folder harms nothing.)
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._open = {name: os.open(folder / name, os.O_RDONLY) for name in FILES}
        weakref.finalize(self, _close, list(self._open.values()))
        self._size = {name: self._now(name) for name in FILES}

    def check(self) -> None:
        """Raise OSError if a file has shrunk since it was opened."""
        for name, size in self._size.items():
            if (now := self._now(name)) < size:
                raise OSError(
                    f"{self.folder / name}: {now} bytes, but {size} when it was opened; it was "
                    "cut off meanwhile: build the index again"
                )

    def _now(self, name: str) -> int:
        return os.fstat(self._open[name]).st_size


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)


def write_folder(folder: str | Path, content: Content, overwrite: bool = False) -> None:
    """Raises FileExistsError as atomic_write does."""
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        _write_index(content.index, temporary / INDEX)
        for name, values in (
            (IDS, content.source_id),
            (ORDER, content.order),
            (METADATA, content.metadata),
        ):
            np.save(temporary / name, values, allow_pickle=False)
        files = {
            name: {"bytes": (temporary / name).stat().st_size, "sha256": sha256(temporary / name)}
            for name in FILES
        }
        described = {"faiss": faiss.__version__, "index": asdict(content.card), "files": files}
        FOLDER.describe(temporary, described)


def _write_index(index: faiss.Index, path: Path) -> None:
    """Through a file of Python's: faiss's own only prints that the disk was full when it closed."""
    try:
        with open(path, "wb") as stream:
            write = stream.write
            writer = faiss.PyCallbackIOWriter(write)  # pyright: ignore[reportAttributeAccessIssue]
            faiss.write_index(index, writer)
    except RuntimeError as error:
        raise OSError(" ".join(str(error).split())[-120:]) from error


def read_folder(folder: str | Path, mapped: bool = False, verify: bool = True) -> Content:
    """What write_folder wrote.

    mapped  files stay on disk and are read where a search needs them; nothing can be added or
            deleted then
    verify  False compares the sizes of the files with the card, but not their hashes

    Raises FileNotFoundError if it is no index folder, ValueError if a file is not the one that
    was saved.
    """
    folder, written = Path(folder), {}
    for name in (CARD, *FILES):
        require_index(folder, [name])
        if name == CARD:
            written = FOLDER.read(folder)  # first: an older format lacks files
    try:
        card = from_table(Card, written["index"], "index")
        expected = {
            name: (written["files"][name]["bytes"], written["files"][name]["sha256"])
            for name in FILES
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / CARD}: not readable as an index card ({error!r})") from error
    for name, (size, digest) in expected.items():
        found = (folder / name).stat().st_size
        if found != size:
            raise ValueError(
                f"{folder / name}: {found} bytes, {CARD} says {size}; it was cut off, build it "
                "again"
            )
        if verify:
            FOLDER.check_file(folder / name, digest)
    files = MappedFiles(folder) if mapped else None
    content = _read_files(folder, card, mapped)
    _check_arrays(folder, content, verify)
    return replace(content, mapped=files)


def _read_files(folder: Path, card: Card, mapped: bool) -> Content:
    try:
        index = faiss.read_index(str(folder / INDEX), MAP if mapped else 0)
        mode = "r" if mapped else None
        ids, order = (
            np.load(folder / name, mmap_mode=mode, allow_pickle=False) for name in (IDS, ORDER)
        )
        metadata = np.load(
            folder / METADATA, mmap_mode=mode if card.columns else None, allow_pickle=False
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[-200:]
        raise ValueError(
            f"{folder}: not readable by faiss {faiss.__version__}; build it again ({reason})"
        ) from error
    rows = {index.ntotal, len(ids), len(order), len(metadata), card.stars + card.deleted}
    if len(rows) > 1 or index.d != card.dimension:
        raise ValueError(
            f"{folder}: its files hold {sorted(rows)} stars of {index.d} dimensions and do not "
            "fit together"
        )
    return Content(card, index, ids, order, metadata)


def _check_arrays(folder: Path, content: Content, verify: bool) -> None:
    """Refuse files of the right hash that hold something else: anyone can write a hash."""
    ids, order, metadata, card = content.source_id, content.order, content.metadata, content.card
    expected = {
        IDS: ((len(ids),), np.int64, ids),
        ORDER: ((len(ids),), np.int64, order),
        METADATA: ((len(ids), len(card.columns)), np.float64, metadata),
    }
    for name, (shape, kind, values) in expected.items():
        if values.shape != shape or values.dtype != kind:
            raise ValueError(
                f"{folder / name}: holds {values.dtype} of the shape {values.shape}, expected "
                f"{np.dtype(kind)} of {shape}; build it again"
            )
    if len(card.units) != len(card.columns) or min(card.stars, card.deleted) < 0:
        raise ValueError(f"{folder / CARD}: not readable as an index card; build it again")
    if verify and not _is_order(order, ids):
        raise ValueError(f"{folder / ORDER}: does not sort {IDS}; build it again")


def _is_order(order: np.ndarray, ids: np.ndarray) -> bool:
    """Whether each row is there once, by rising id."""
    if not len(ids):
        return True
    seen = np.zeros(len(ids), bool)
    last = np.iinfo(np.int64).min
    for start in range(0, len(order), ROWS_AT_ONCE):
        rows = np.asarray(order[start : start + ROWS_AT_ONCE])
        if rows.min() < 0 or rows.max() >= len(ids):
            return False
        seen[rows] = True
        of_rows = np.concatenate([[last], ids[rows]])
        if np.any(of_rows[1:] < of_rows[:-1]):
            return False
        last = of_rows[-1]
    return bool(seen.all())
