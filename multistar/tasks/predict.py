"""Stars -> labels with errors: median and the central 68 % interval, one row per input row."""

import numpy as np
import pyarrow as pa
import torch

from multistar.data import status
from multistar.data.stars import Stars
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.tasks.stream import encoded

LEVELS = (0.5, 0.16, 0.84)
SUFFIXES = ("", "_lower", "_upper")


def predict(model: Model, stars: Stars, quiet: bool = False) -> pa.Table:
    """source_id, status, and for each label L the columns L, L_lower, L_upper in the label's unit.

    These are quantiles of the marginal posterior given everything that was measured of the star. A
    star without data gets the prior and says so in `status`.
    """
    vocabulary = model.vocabulary
    query, levels = torch.tensor(list(vocabulary.label_slots)), torch.tensor(LEVELS, dtype=torch.float64)
    out = np.empty((len(stars), len(query), len(LEVELS)))
    for rows, memory in encoded(model, stars, "predict", quiet):
        with torch.inference_mode():
            quantiles = model.network.decode(memory, query.to(memory.features.device)).quantile(levels)
        out[rows] = quantiles.cpu().numpy()
    columns = {"source_id": pa.array(stars.source_id), "status": pa.array(status.words(stars.flags), pa.string())}
    fields = [pa.field("source_id", pa.int64()), pa.field("status", pa.string())]
    for i, name in enumerate(vocabulary.labels):
        for j, suffix in enumerate(SUFFIXES):
            columns[name + suffix] = pa.array(model.standardiser.physical(name, out[:, i, j]))
            fields.append(pa.field(name + suffix, pa.float64(), metadata={"unit": QUANTITIES[name].unit}))
    schema = pa.schema(fields, metadata=_metadata(model))
    return pa.table(list(columns.values()), schema=schema)


def _metadata(model: Model) -> dict[str, str]:
    units = ", ".join(f"{n} [{QUANTITIES[n].unit or '1'}]" for n in model.vocabulary.labels)
    return {"model_sha256": model.hash, "units": units, "quantiles": "L = 50 %, L_lower = 16 %, L_upper = 84 %"}
