"""An index, a map and measurements of stars to explore."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.api import MultiStar
from multistar.explore.data import Explorer, read_places
from multistar.index.star_index import StarIndex

# What a page must not run, though files and columns are called so.
HOSTILE = "<img src=x onerror='window.hacked=1'>"


def write_example(model: MultiStar, table: pa.Table, folder: Path, hostile: bool = False) -> None:
    """Write the folders idx and dust_free, and the files map.parquet and stars.parquet.

    If `hostile`, the index has a column of the name HOSTILE, and there is a map of this name, too.

    The first star has no place on the map, the first twenty are not in the dust-free index, and the
    first two have a light curve.
    """
    numbers = model.predict(table)
    if hostile:
        numbers = numbers.append_column(HOSTILE, pa.array(np.arange(len(table)) * 1.0))
    index = StarIndex.build(model.embed(table), metadata=numbers)
    index.save(folder / "idx")
    StarIndex.build(model.embed(table.slice(20)), metadata=table).save(folder / "dust_free")
    x, y = np.random.default_rng(0).normal(size=(2, len(table) - 1))
    ids = table["source_id"].to_numpy()
    places = pa.table({"source_id": ids[1:], "umap_x": x, "umap_y": y})
    pq.write_table(places, folder / "map.parquet")
    if hostile:
        pq.write_table(places, folder / f"{HOSTILE}.parquet")
    times = [np.arange(5.0)] * 2 + [np.empty(0)] * (len(table) - 2)
    fluxes = [1 + 0.01 * np.sin(time) for time in times]
    curves = table.append_column("gaia_time", pa.array(times))
    curves = curves.append_column("gaia_flux", pa.array(fluxes))
    pq.write_table(curves, folder / "stars.parquet", row_group_size=100)


def load_explorer(folder: Path) -> Explorer:
    """The explorer of what `write_example` wrote."""
    index = StarIndex.load(folder / "idx", mapped=True)
    dust_free = StarIndex.load(folder / "dust_free", mapped=True)
    return Explorer(index, read_places(index, folder / "map.parquet"), dust_free)
