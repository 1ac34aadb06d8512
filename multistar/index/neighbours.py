"""What a search found -> a table of neighbours."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from multistar.index.metadata import Metadata


def tabulate_neighbours(
    query_ids: np.ndarray,
    found_ids: np.ndarray,
    distance: np.ndarray,
    k: int,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """List the neighbours of each star, without the star itself.

    Parameters
    ----------
    query_ids : (n,) int64 ndarray
    found_ids : (n, m) int64 ndarray
        Nearest first, -1 where nothing was found.
    distance : (n, m) ndarray
    k : int
        Neighbours of a star that are kept, at most.

    Returns
    -------
    columns : dict of str to (r,) ndarray
        query_id, rank (from 1), neighbour_id and distance.
    keep : (n, m) bool ndarray
        Which of those that were found these r are, row by row.
    """
    keep = (found_ids >= 0) & (found_ids != query_ids[:, None])
    rank = np.cumsum(keep, axis=1, dtype=np.int32)
    keep &= rank <= k
    columns = {
        "query_id": np.repeat(query_ids, keep.sum(1)),
        "rank": rank[keep],
        "neighbour_id": found_ids[keep],
        "distance": distance[keep],
    }
    return columns, keep


def make_table(
    columns: dict[str, np.ndarray],
    numbers: Metadata,
    names: Sequence[str],
    rows: np.ndarray,
    metadata: dict[str, str],
) -> pa.Table:
    """Put numbers of the neighbours beside them.

    Parameters
    ----------
    columns : dict of str to (r,) ndarray
        Of tabulate_neighbours.
    numbers : Metadata
        Of the whole index.
    names : sequence of str
        Those that are wanted. One that is a name of `columns`, too, gets "neighbour_" before it.
    rows : (r,) int ndarray
        Where the neighbours stand in the index.
    metadata : dict of str to str
        Of the table.
    """
    columns, units = dict(columns), {}
    for name in names:
        title = f"neighbour_{name}" if name in columns else name
        columns[title] = numbers[name][rows]
        units[title] = numbers.units[numbers.names.index(name)]
    fields = []
    for title, values in columns.items():
        unit = {"unit": units[title]} if title in units else None
        fields.append(pa.field(title, pa.array(values[:0]).type, metadata=unit))
    return pa.table(list(columns.values()), schema=pa.schema(fields, metadata=metadata))
