"""The alignment of a trained model, learnt again with all else at rest.

Pretraining compares the views of some dozens of stars at a time, while the embeddings still move.
Once they stand still, the one matrix learns in a minute from batches of hundreds. docs/measured says
what that gives.
"""

from collections.abc import Sequence
from pathlib import Path

from multistar.checks.benchmarks.alignment import embed_pairs, teach
from multistar.io.tables import read_columns
from multistar.model.alignment import ALIGNED
from multistar.model.checkpoint import Model
from multistar.stars import Stars, concatenate_stars, read_stars

PAIRS = 24_000  # stars in all


def read_pairs(tables: Sequence[Path], most: int = PAIRS) -> Stars:
    """Read stars with light curves, as many from each table of mock stars that has some."""
    with_curves = [table for table in tables if ALIGNED in read_stars(read_columns(table)).blocks]
    if not with_curves:
        raise ValueError(f"none of {len(tables)} tables has light curves")
    share = most // len(with_curves)
    return concatenate_stars(
        [read_stars(read_columns(table)).select(slice(0, share)) for table in with_curves]
    )


def fit_alignment(model: Model, stars: Stars, seed: int = 0) -> None:
    """Let the alignment of a model learn from both views of these stars; nothing else changes.

    Parameters
    ----------
    model : Model
        Its alignment is changed.
    stars : Stars
        With light curves and other measurements.
    seed : int
        Of the order of the stars.

    Raises
    ------
    ValueError
        If the model has no alignment.
    """
    if model.network.alignment is None:
        raise ValueError("the model has no alignment: its run needs [model] alignment")
    teach(model.network.alignment, embed_pairs(model, stars), seed)
