"""Why two stars are neighbours.

How near each part of their data puts them, and how their labels differ.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from multistar.index.metadata import Metadata, joined
from multistar.index.search import LABELS_ID
from multistar.index.star_index import StarIndex
from multistar.inference.stream import stream_measurements
from multistar.model.checkpoint import Model
from multistar.model.vocabulary import Vocabulary
from multistar.quantities import LABELS, QUANTITIES
from multistar.stars import Stars

PART_COLUMN = "distance_"  # then the part
# Characters on a screen: of the names of what is compared, and of a neighbour's column.
WIDTH_OF_NAMES, WIDTH_OF_NEIGHBOUR = 28, 24


def explain(
    found: pa.Table,
    index: StarIndex,
    model: Model | None = None,
    data: Stars | None = None,
    labels: pa.Table | None = None,
) -> pa.Table:
    """`found` (neighbours from an index) with columns that say why.

    distance_P         for each part P of the data (photometry, parallax, xp, ...): 1 - cosine of
                       the embeddings of this part alone; NaN where one of the stars is not in
                       `data` or has no such data. Only if model and data are given
    delta_L            for each label L of the index's metadata: neighbour - query, in the label's
                       unit
    delta_L_error      from L_lower and L_upper of both, which are taken as independent; NaN where
                       one has none

    labels  L and perhaps L_lower, L_upper of queries that are not in the index (by source_id)
    Raises ValueError if the model is not that of the index.
    """
    query, neighbour = found["query_id"].to_numpy(), found["neighbour_id"].to_numpy()
    columns: dict[str, tuple[np.ndarray, str]] = {}
    if model is not None and data is not None:
        if model.hash != index.model_sha256:
            raise ValueError(
                f"the index is of the model {index.model_sha256[:12]}, this one is "
                f"{model.hash[:12]}"
            )
        distances = part_distances(model, data, query, neighbour)
        columns |= {f"distance_{part}": (values, "") for part, values in distances.items()}
    one, other = _numbers(index, query, labels), index.numbers(neighbour)
    for name in LABELS:
        if name in index.metadata.names and name in one.names:
            unit = QUANTITIES[name].unit
            columns[f"delta_{name}"] = other[name] - one[name], unit
            columns[f"delta_{name}_error"] = np.hypot(_error(one, name), _error(other, name)), unit
    for name, (values, unit) in columns.items():
        found = found.append_column(
            pa.field(name, pa.float64(), metadata={"unit": unit}), pa.array(values)
        )
    return found


def part_distances(
    model: Model, data: Stars, one: np.ndarray, other: np.ndarray
) -> dict[str, np.ndarray]:
    """Part of the data -> (n,) 1 - cosine between the stars of ids one (n,) and other (n,).

    NaN where unknown.
    """
    order = np.argsort(data.source_id, kind="stable")
    place = np.minimum(np.searchsorted(data.source_id, [one, other], sorter=order), len(data) - 1)
    rows = order[place]
    present = (data.source_id[rows] == [one, other]) & (np.array([one, other]) >= 0)
    needed, inverse = np.unique(rows[present], return_inverse=True)
    pair = np.full(rows.shape, -1)  # places in `needed`; the last one is NaN
    pair[present] = inverse
    out = {}
    for part, vectors in part_embeddings(model, data.select(needed)).items():
        known = np.vstack([vectors, np.full((1, vectors.shape[1]), np.nan)])
        out[part] = np.maximum(1 - np.einsum("nd,nd->n", known[pair[0]], known[pair[1]]), 0)
    return out


@torch.inference_mode()
def part_embeddings(model: Model, stars: Stars) -> dict[str, np.ndarray]:
    """Part of the data -> (n, dimension) embeddings of the stars if it were all that was measured;
    NaN without it.
    """
    slots = slots_of_parts(model.vocabulary)
    out = {part: np.full((len(stars), model.config.embedding), np.nan) for part in slots}
    for rows, m in stream_measurements(model, stars, "embed parts of", quiet=True):
        for part, chosen in slots.items():
            alone = torch.zeros_like(m.observed)
            alone[:, chosen] = True
            seen = m.hide(alone)
            vectors = model.network.encode(seen).embedding.cpu().numpy()
            known = seen.observed.any(1, keepdim=True).cpu().numpy()
            out[part][rows] = np.where(known, vectors, np.nan)
    return out


def slots_of_parts(vocabulary: Vocabulary) -> dict[str, list[int]]:
    """Part of the data that a reason names -> its slots, from all modalities of the model."""
    slots = {}
    for modality in vocabulary.modalities:
        start = vocabulary.slots(modality.name).start
        for part, own in modality.parts().items():
            slots[part] = [start + slot for slot in own]
    return slots


def _numbers(index: StarIndex, ids: np.ndarray, labels: pa.Table | None) -> Metadata:
    """Numbers of the queries: from `labels` where they are, otherwise from the index.

    NaN where in neither.
    """
    inside = index.contains(ids)
    values = np.full((len(ids), len(index.metadata.names)), np.nan)
    values[inside] = index.numbers(ids[inside]).values
    own = Metadata(index.metadata.names, index.metadata.units, values)
    if labels is None:
        return own
    given, _ = joined(ids, labels)
    both = own.beside(given)
    for name in set(own.names) & set(given.names):
        column = both.names.index(name)
        both.values[:, column] = np.where(np.isfinite(given[name]), given[name], own[name])
    return both


def _error(numbers: Metadata, name: str) -> np.ndarray:
    """Half of the central 68 %; NaN where it is not known."""
    if not {f"{name}_lower", f"{name}_upper"} <= set(numbers.names):
        return np.full(len(numbers.values), np.nan)
    return (numbers[f"{name}_upper"] - numbers[f"{name}_lower"]) / 2


def exactly(values: Mapping[str, float]) -> pa.Table:
    """Labels of a query that is nothing else (LABELS_ID), without errors."""
    columns = {
        name + suffix: [value]
        for name, value in values.items()
        for suffix in ("", "_lower", "_upper")
    }
    return pa.table({"source_id": [LABELS_ID]} | columns)


def print_explanation(explained: pa.Table, columns: Sequence[str] = ()) -> None:
    """Print a table for each query, a column for each neighbour; of many, several below each other.

    Parameters
    ----------
    explained : pyarrow.Table
        What `explain` gives.
    columns : sequence of str
        Columns of the neighbours that are printed, too.
    """
    parts = [
        name.removeprefix(PART_COLUMN)
        for name in explained.column_names
        if name.startswith(PART_COLUMN)
    ]
    labels = [name for name in LABELS if f"delta_{name}" in explained.column_names]
    distances = {"distance": "distance"}
    for part in parts:
        if np.isfinite(explained[PART_COLUMN + part].to_numpy()).any():
            distances[f"  in {part}"] = PART_COLUMN + part
    console = Console()
    queries: dict[int, list[dict]] = {}
    for row in explained.to_pylist():
        queries.setdefault(row["query_id"], []).append(row)
    at_once = max(1, (console.width - WIDTH_OF_NAMES) // WIDTH_OF_NEIGHBOUR)
    for query, rows in queries.items():
        title = f"neighbours of {query}" if query >= 0 else "stars like these labels"
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            table = Table("", *(str(row["neighbour_id"]) for row in some), title=title)
            table.add_row("rank", *(str(row["rank"]) for row in some))
            for head, key in distances.items():
                table.add_row(head, *(f"{row[key]:.5f}" for row in some))
            for name in labels:
                unit = escape(f"{name} - query [{QUANTITIES[name].unit}]")
                keys = f"delta_{name}", f"delta_{name}_error"
                table.add_row(unit, *(_difference(*(row[key] for key in keys)) for row in some))
            for name in columns:
                table.add_row(name, *(f"{row[name]:.5g}" for row in some))
            console.print(table)


def _difference(value: float, error: float) -> str:
    """To two digits of the error, which often is all that is known; "-" for nothing."""
    if not np.isfinite(value):
        return "-"
    if not (np.isfinite(error) and error > 0):
        return f"{value:+.3g}"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:+.{digits}f} ± {error:.{digits}f}"
