"""Stars in common tie scales together: each survey's measurements with every survey's labels.

Without such rows a model tells the survey from its spectra, by range and resolution, and reads its
pipeline off them rather than off the scale that it is asked for.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from multistar.modalities.label_scale.modality import COLUMN


def cross_labels(surveys: Mapping[str, pa.Table], labels: Sequence[str]) -> dict[str, pa.Table]:
    """Add rows of the stars that several surveys saw, with the labels of the others.

    Parameters
    ----------
    surveys : mapping of str to pyarrow.Table
        Each with `source_id`, the labels and, if any, their errors (`L_error`), all on the scale of
        the survey's name.
    labels : sequence of str
        Columns that hold labels.

    Returns
    -------
    dict of str to pyarrow.Table
        The same tables with more rows, and `label_scale` in all of them.
    """
    columns = []
    for label in labels:
        columns += [label, f"{label}_error"]
    out = {}
    for name, table in surveys.items():
        parts = []
        for scale, other in surveys.items():
            ids = (table["source_id"].to_numpy(), other["source_id"].to_numpy())
            _, own, theirs = np.intersect1d(*ids, return_indices=True)
            part = table if scale == name else table.take(pa.array(own))
            for column in columns:
                if scale == name or column not in table.column_names:
                    continue
                place = table.schema.get_field_index(column)
                part = part.set_column(place, column, other[column].take(pa.array(theirs)))
            if COLUMN in part.column_names:
                part = part.drop_columns([COLUMN])
            parts.append(part.append_column(COLUMN, pa.array([scale] * len(part))))
        out[name] = pa.concat_tables(parts)
    return out
