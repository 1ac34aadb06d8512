"""Neighbours of stars that are given as a table of embeddings, as measurements, or as labels."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from multistar.index.embeddings import Embeddings, embedding_sources
from multistar.index.source import check_same_model
from multistar.index.star_index import StarIndex
from multistar.inference.embed import embed
from multistar.model.checkpoint import Model
from multistar.model.nuisance import NuisanceProjection
from multistar.stars import Stars, read_stars

AT_ONCE = 4_000_000  # neighbours in memory
LABELS_ID = -1  # the query_id of labels, which no star has


def search_table(
    index: StarIndex,
    embeddings: Embeddings | pa.Table | str | Path,
    k: int,
    columns: Sequence[str] = (),
    projection: NuisanceProjection | None = None,
) -> Iterator[pa.Table]:
    """Neighbours of all stars of a table, chunk by chunk; rows without data or id are left out.

    See StarIndex.neighbours_of for the columns; the metadata say how many rows were "left_out".
    Plain embeddings go through the `projection` first. Raises ValueError if another model made the
    vectors, they ignore something else than those of the index, or no row is left.
    """
    sources = [
        source.erased(projection) if projection else source
        for source in embedding_sources(embeddings)
    ]
    if not sum(map(len, sources)):
        raise ValueError(
            f"{sources[0].origin}: no row has data and an id; there is nothing to search for"
        )
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
    index: StarIndex,
    model: Model,
    stars: Stars,
    k: int,
    columns: Sequence[str] = (),
    quiet: bool = True,
    ignore: str | None = None,
) -> pa.Table:
    """Neighbours of stars that are embedded first, as search_table gives them.

    They are embedded with `ignore` (see tasks/embed.py), by default as the vectors of the index
    are.
    """
    vectors = embed(
        model, stars, quiet, False, *((ignore, "fused") if ignore else embed_options(index))
    )
    return pa.concat_tables(search_table(index, vectors, k, columns))


def embed_options(index: StarIndex) -> tuple[str | None, str]:
    """What `embed` must be told to make vectors like those of the index.

    What to ignore, and the space.
    """
    first, _, rest = index.ignore.partition(":")
    return (None, rest) if first == "space" else (first or None, "fused")


def search_like(
    index: StarIndex,
    model: Model,
    values: Mapping[str, float],
    k: int,
    columns: Sequence[str] = (),
) -> tuple[pa.Table, str]:
    """Neighbours (query_id -1) of a star of which labels, or other numbers that the model reads, are
    all that is known.

    And "ok" or the reasons to doubt them. The labels themselves are embedded, not a spectrum that
    they generate: the neighbours' labels are then closer to those asked for (docs/guides/similar-stars.md).
    Measured stars lie far from a star of which only labels are known, so distances are large and
    tell only the order.

    Raises ValueError for names that the model does not know, impossible values, an index of
    another model, and one that ignores a quantity: projections know measured stars only.
    """
    if index.ignore:
        raise ValueError(
            f"{index.origin} ignores {index.ignore} and compares measured stars only; search a "
            "plain one for labels "
            f"and leave {index.ignore.split(':')[0]} out of them"
        )
    known = model.vocabulary.scalars
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"the model knows no {unknown}; it knows {list(known)}")
    table = {"source_id": np.array([LABELS_ID])} | {
        name: np.array([value]) for name, value in values.items()
    }
    stars = read_stars(table, {name: name for name in values})
    if absent := [name for name in values if not np.isfinite(stars.scalars[name].value[0])]:
        raise ValueError(
            f"impossible values: {', '.join(f'{name}={values[name]}' for name in absent)}"
        )
    stars = stars.with_flags(np.zeros_like(stars.flags))  # that there is no spectrum is meant
    vectors = embed(model, stars, quiet=True, labels=True)
    query = Embeddings.from_table(vectors)
    check_same_model(query.source(), index)
    return index.neighbours_of(query.vector, query.source_id, k, columns), vectors["status"][
        0
    ].as_py()
