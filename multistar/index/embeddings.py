"""Tables that `embed` returned or wrote -> a Source, read row group by row group."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from multistar.index.metadata import Metadata, is_number
from multistar.index.source import CHUNK, Source

Batches = Callable[[list[str]], Iterator[pa.RecordBatch]]  # of the columns that are named


@dataclass
class Embeddings:
    """Vectors of stars in memory.

    Attributes
    ----------
    source_id : (n,) int64 ndarray
    vector : (n, dimension) float32 ndarray
    has_data : (n,) bool ndarray
    model_sha256 : str
        The hash of the model that made the vectors.
    ignore : str
        What the vectors ignore, see `_made`; "" for plain vectors.
    """

    source_id: np.ndarray
    vector: np.ndarray
    has_data: np.ndarray
    model_sha256: str
    ignore: str = ""

    @classmethod
    def from_table(cls, table: pa.Table, origin: str = "table") -> "Embeddings":
        """From what `embed` returns or writes."""
        dimension = _dimension(table.schema, origin)
        parts = [_vectors(batch, origin) for batch in table.select(["embedding"]).to_batches()]
        vector = np.concatenate([np.empty((0, dimension), np.float32), *parts])
        ids, has_data = _ids(table, origin)
        return cls(ids, vector, has_data, _said(table.schema, "model_sha256"), _made(table.schema))

    def searchable(self) -> tuple["Embeddings", int]:
        """Only the stars with an id and data, and how many were left out.

        A star without data is like any other.
        """
        keep = self.has_data & (self.source_id >= 0)
        kept = replace(
            self,
            source_id=self.source_id[keep],
            vector=self.vector[keep],
            has_data=self.has_data[keep],
        )
        return kept, int((~keep).sum())

    def source(self) -> Source:
        """All of them, as they are."""

        def chunks() -> Iterator[np.ndarray]:
            return (
                self.vector[start : start + CHUNK] for start in range(0, len(self.vector), CHUNK)
            )

        n, dimension = self.vector.shape
        empty = Metadata.empty(n)
        return Source(
            "embeddings",
            self.model_sha256,
            dimension,
            self.source_id,
            empty,
            chunks,
            ignore=self.ignore,
        )


def embedding_sources(embeddings: Embeddings | pa.Table | str | Path) -> list[Source]:
    """From Embeddings, an Arrow table, or a Parquet file as `embed` writes it.

    A folder gives a Source for each file.

    Rows of a table or file without data or id are left out and counted; other numeric columns are
    metadata. Raises FileNotFoundError, and ValueError if it is no such table, or of another
    metric than cosine.
    """
    if isinstance(embeddings, Embeddings):
        return [embeddings.source()]
    if isinstance(embeddings, pa.Table):
        return [_table_source(embeddings)]
    path = Path(embeddings)
    if not path.is_dir():
        return [_file_source(path)]
    if not (shards := sorted(path.glob("*.parquet"))):
        raise ValueError(f"{path}: holds no Parquet files; expected the output of multistar embed")
    return [_file_source(shard) for shard in shards]


def _table_source(table: pa.Table) -> Source:
    return _source(table.schema, lambda names: iter(table.select(names).to_batches(CHUNK)), "table")


def _file_source(path: Path) -> Source:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        schema = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a readable Parquet file ({error})") from error

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(CHUNK, columns=names)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(
                f"{path}: not readable to its end ({error}); copy or make it again"
            ) from error

    return _source(schema, batches, str(path))


def _source(schema: pa.Schema, batches: Batches, origin: str) -> Source:
    dimension = _dimension(schema, origin)
    metric = (schema.metadata or {}).get(b"metric", b"cosine").decode()
    if metric != "cosine":
        raise ValueError(f"{origin}: made for the metric {metric!r}; an index knows only 'cosine'")
    numbers = [field for field in schema if is_number(field)]
    fields = [schema.field(name) for name in ("source_id", "status") if name in schema.names]
    light = pa.schema([*fields, *numbers])
    table = pa.Table.from_batches(batches(light.names), light)
    ids, has_data = _ids(table, origin)
    keep = has_data & (ids >= 0)

    def chunks() -> Iterator[np.ndarray]:
        return (_vectors(batch, origin) for batch in batches(["embedding"]))

    said = _said(schema, "model_sha256"), _made(schema)
    whole = Source(
        origin, said[0], dimension, ids, Metadata.of(table), chunks, int((~keep).sum()), said[1]
    )
    return whole.kept(keep)


def _dimension(schema: pa.Schema, origin: str) -> int:
    missing = {"source_id", "embedding"} - set(schema.names)
    if missing:
        raise ValueError(
            f"{origin}: no column {sorted(missing)}; expected the output of multistar embed"
        )
    kind = schema.field("embedding").type
    if not pa.types.is_fixed_size_list(kind):
        raise ValueError(f"{origin}: column embedding must be a fixed-size list, it is {kind}")
    if not pa.types.is_integer(schema.field("source_id").type):
        raise ValueError(
            f"{origin}: column source_id must hold integers, not {schema.field('source_id').type}"
        )
    return kind.list_size


def _made(schema: pa.Schema) -> str:
    """Name of the projection, or "space:" and the name of a space other than that of all data.

    "" for plain vectors.
    """
    space = _said(schema, "space")
    return f"space:{space}" if space else _said(schema, "ignore")


def _said(schema: pa.Schema, key: str) -> str:
    return (schema.metadata or {}).get(key.encode(), b"").decode()


def _ids(table: pa.Table, origin: str) -> tuple[np.ndarray, np.ndarray]:
    """source_id (n,) with -1 where it is missing, and has_data (n,)."""
    ids = table["source_id"].fill_null(-1).to_numpy().astype(np.int64)
    if "status" not in table.column_names:
        return ids, np.ones(len(ids), bool)
    words = table["status"].fill_null("")
    blank = pc.match_substring(words, "no_data")  # pyright: ignore[reportAttributeAccessIssue]
    return ids, ~blank.to_numpy()


def _vectors(batch: pa.RecordBatch, origin: str) -> np.ndarray:
    column = batch.column("embedding")
    if column.null_count:
        raise ValueError(
            f"{origin}: {column.null_count} rows have no embedding; embed them again or leave "
            "them out"
        )
    values = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1).astype(np.float32, copy=False)
