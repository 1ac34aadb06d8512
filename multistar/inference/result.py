"""A result of `predict`: columns, units and metadata, before and as a table."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from multistar import status
from multistar.inference.request import Request
from multistar.io.write import to_arrow
from multistar.model.checkpoint import Model

# What stands behind a label's name in its columns: the median and the central 68 % interval.
SUFFIXES = ("", "_lower", "_upper")
LEVELS = (0.5, 0.16, 0.84)
# How the metadata describe `covariance`; the names of the labels follow.
ROW_MAJOR = "row-major, "


@dataclass
class Prediction:
    """A result of `predict` before it becomes a table.

    Attributes
    ----------
    flags : (stars,) uint16 ndarray
        What `status` will say.
    columns : dict of str to (stars,) or (stars, k) ndarray
        All others, in order.
    units : dict of str to str
        Column -> its unit; a column without an entry has none.
    metadata : dict of str to str
    """

    flags: np.ndarray
    columns: dict[str, np.ndarray]
    units: dict[str, str]
    metadata: dict[str, str]

    def to_table(self) -> pa.Table:
        """Make the table: source_id, status, and the other columns with their units."""
        first = {"source_id": self.columns["source_id"], "status": status.words(self.flags)}
        table = to_arrow(first | self.columns, self.metadata)
        fields = []
        for column in table.schema:
            if column.name in self.units:
                column = column.with_metadata({"unit": self.units[column.name]})
            fields.append(column)
        return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def describe_result(model: Model, request: Request) -> dict[str, str]:
    """Say in the table's metadata which model answered, how precisely, and what was asked."""
    names = request.names(model)
    units = ", ".join(f"{n} [{model.vocabulary.quantity(n).unit or '1'}]" for n in names)
    out = {
        "model_sha256": model.hash,
        "precision": model.precision,
        "units": units,
        "quantiles": "L = 50 %, L_lower = 16 %, L_upper = 84 %",
    }
    if request.given:
        out["given"] = ", ".join(request.given)
    if request.prior:
        out["prior"] = request.prior
    if request.samples:
        out |= {
            "samples": f"{request.samples} joint draws, seed {request.seed}",
            "covariance": ROW_MAJOR + ", ".join(names),
        }
    return out
