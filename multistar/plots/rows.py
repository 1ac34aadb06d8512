"""Which row of a result is drawn."""

import numpy as np

from multistar.io.columns import Columns


def pick_row(table: Columns, source_id: int | None) -> int:
    """Number of the row of a star; the first one without an id.

    Raises
    ------
    KeyError
        If no row has this id, or the table has no ids.
    ValueError
        If the table is empty.
    """
    if not len(table):
        raise ValueError(f"{table.origin}: no rows")
    if source_id is None:
        return 0
    if "source_id" not in table:
        raise KeyError(f"{table.origin}: no column source_id, by which a star is found")
    ids = table["source_id"]
    places = np.flatnonzero(ids == source_id)
    if not len(places):
        raise KeyError(
            f"{table.origin}: no star {source_id}; it has {len(table)} stars, the first is {ids[0]}"
        )
    return int(places[0])
