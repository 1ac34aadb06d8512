"""Neighbours of stars that are given as a table of embeddings, as measurements, or as labels."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from multistar.data.stars import Stars, read_stars
from multistar.index.embeddings import Embeddings, embedding_sources
from multistar.index.source import check_same_model
from multistar.index.star_index import StarIndex
from multistar.model.checkpoint import Model
from multistar.tasks.embed import embed

AT_ONCE = 4_000_000  # neighbours in memory
LABELS_ID = -1  # the query_id of labels, which no star has


def search_table(
    index: StarIndex, embeddings: Embeddings | pa.Table | str | Path, k: int, columns: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """Neighbours of all stars of a table, chunk by chunk; rows without data or id are left out.

    See StarIndex.neighbours_of for the columns; the metadata say how many rows were "left_out". Raises ValueError if
    another model made the vectors, or no row is left.
    """
    sources = embedding_sources(embeddings)
    if not sum(map(len, sources)):
        raise ValueError(f"{sources[0].origin}: no row has data and an id; there is nothing to search for")
    left_out = {"left_out": str(sum(source.left_out for source in sources))}
    for source in sources:
        check_same_model(source, index)
        for rows, vectors in source.checked():
            step = max(1, AT_ONCE // max(k, 1))
            for start in range(0, len(vectors), step):
                part = slice(start, start + step)
                found = index.neighbours_of(vectors[part], source.source_id[rows][part], k, columns)
                yield found.replace_schema_metadata(found.schema.metadata | left_out)


def search_stars(
    index: StarIndex, model: Model, stars: Stars, k: int, columns: Sequence[str] = (), quiet: bool = True
) -> pa.Table:
    """Neighbours of stars that are embedded first, as search_table gives them."""
    return pa.concat_tables(search_table(index, embed(model, stars, quiet), k, columns))


def search_like(
    index: StarIndex, model: Model, values: Mapping[str, float], k: int, columns: Sequence[str] = ()
) -> tuple[pa.Table, str]:
    """Neighbours (query_id -1) of a star of which labels, or other numbers that the model reads, are all that is known.

    And "ok" or the reasons to doubt them. The labels themselves are embedded, not a spectrum that they generate: the
    neighbours' labels are then closer to those asked for (see README). Measured stars lie far from a star of which
    only labels are known, so distances are large and tell only the order.

    Raises ValueError for names that the model does not know, impossible values, and an index of another model.
    """
    known = model.vocabulary.scalars
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"the model knows no {unknown}; it knows {list(known)}")
    table = {"source_id": np.array([LABELS_ID])} | {name: np.array([value]) for name, value in values.items()}
    stars = read_stars(table, {name: name for name in values})
    if absent := [name for name in values if not np.isfinite(stars.scalars[name].value[0])]:
        raise ValueError(f"impossible values: {', '.join(f'{name}={values[name]}' for name in absent)}")
    stars.flags[:] = 0  # that there is no spectrum is meant
    vectors = embed(model, stars, quiet=True, labels=True)
    query = Embeddings.from_table(vectors)
    check_same_model(query.source(), index)
    return index.neighbours_of(query.vector, query.source_id, k, columns), vectors["status"][0].as_py()
