"""Vectors -> a FAISS index of them, filled chunk by chunk."""

import faiss
import numpy as np

from multistar.index import kinds
from multistar.index.folder import Card, Content
from multistar.index.recall import RecallSample
from multistar.index.source import Source


def fill_index(source: Source, kind: str | None) -> tuple[Content, RecallSample]:
    """Train an index on some stars of a source, and add all of them.

    Parameters
    ----------
    source : Source
        Memory holds its ids and numbers; its vectors are read twice.
    kind : str, optional
        See kinds.KINDS; by default the number of stars decides.

    Returns
    -------
    content : Content
        With the recall not yet measured, as 1.
    sample : RecallSample
        A few stars and their true neighbours.
    """
    kind, reason = kinds.choose(len(source), kind)
    # spread over the sorted ids, so that the order of rows does not matter
    by_id = np.argsort(source.source_id)
    rows = by_id[_spread(len(source), kinds.sample_size(len(source), kind))]
    vectors = source.vectors(rows)
    index, parameters = kinds.trained(kind, vectors, len(source))
    some = _spread(len(rows), min(kinds.RECALL_STARS, len(rows)))
    sample = RecallSample(rows[some], vectors[some])
    _add_all(index, source, sample)
    card = Card(
        model_sha256=source.model_sha256,
        dimension=source.dimension,
        stars=len(source),
        deleted=0,
        kind=kind,
        reason=reason,
        parameters=parameters,
        recall=1.0,
        columns=list(source.metadata.names),
        units=list(source.metadata.units),
        ignore=source.ignore,
    )
    ids = source.source_id.copy()
    return Content(card, index, ids, by_id, source.metadata.values), sample


def _add_all(index: faiss.Index, source: Source, sample: RecallSample) -> None:
    """Add all vectors, and look among them for the true neighbours of the sample."""
    for here, vectors in source.checked():
        index.add(vectors)  # pyright: ignore[reportCallIssue]
        sample.compare(here.start, vectors)


def _spread(n: int, m: int) -> np.ndarray:
    """m indices below n, evenly spaced."""
    return np.linspace(0, n - 1, m).astype(np.int64)
