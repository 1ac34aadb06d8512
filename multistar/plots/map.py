"""Maps of stars, as UMAP places them, coloured by what is known of them."""

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from multistar.index.metadata import Metadata
from multistar.index.umap_map import EMBEDDED
from multistar.plots.style import INK, in_style, name_with_unit, new_figure

# The quantities of a map are told apart by their colours.
COLOUR_MAPS = {
    "teff": "RdYlBu",
    "logg": "viridis",
    "m_h": "plasma",
    "alpha_m": "cividis",
    "mass": "YlGnBu",
    "age": "copper_r",
    "ebv": "magma_r",
    "distance": "GnBu",
}


@in_style
def plot_map(table: pa.Table, colours: list[str]) -> Figure:
    """The map, once for each column of numbers it is coloured by.

    ValueError for columns that it does not have.
    """
    if absent := sorted(set(colours) - set(table.column_names)):
        raise ValueError(
            f"the map has no column {absent} to colour by; it has {table.column_names}: add "
            "--metadata"
        )
    columns = min(3, len(colours))
    rows = -(-len(colours) // columns)
    picture = new_figure(4.6 * columns, 4 * rows)
    axes = picture.subplots(rows, columns, squeeze=False).flat
    units = dict(zip((of := Metadata.of(table)).names, of.units, strict=True))
    for axis, name in zip(axes, colours, strict=False):
        x, y = table["umap_x"].to_numpy(), table["umap_y"].to_numpy()
        coloured_map(axis, x, y, of[name], name_with_unit(name, units.get(name, "")), name)
        _mark_outside(axis, table, x, y)
    for axis in list(axes):
        axis.set_visible(False)
    return picture


def _mark_outside(axis, table: pa.Table, x: np.ndarray, y: np.ndarray) -> None:
    """Cross out the stars whose vectors are flagged as unlike the training stars."""
    if EMBEDDED not in table.column_names:
        return
    words = table[EMBEDDED].to_pylist()
    outside = np.array(["outside_training" in (word or "") for word in words])
    if outside.any():
        style = {"s": 12, "marker": "x", "lw": 0.6, "color": INK, "rasterized": True}
        axis.scatter(x[outside], y[outside], label="outside_training", **style)
        axis.legend(fontsize=7)


def coloured_map(
    axis, x: np.ndarray, y: np.ndarray, colour: np.ndarray, label: str, name: str = ""
) -> None:
    """Points (n,) coloured by a number, from its 2nd to its 98th percentile.

    Grey where it is not known. name: of the quantity, which has colours of its own; those of log g
    run downwards, as in a Kiel diagram.
    """
    known = np.isfinite(colour)
    axis.scatter(x[~known], y[~known], s=1, color="0.85", rasterized=True)
    low, high = np.nanpercentile(colour, [2, 98]) if known.any() else (0, 1)
    size = float(np.clip(2e4 / max(len(x), 1), 0.5, 8))
    dots = axis.scatter(
        x[known],
        y[known],
        c=colour[known],
        s=size,
        vmin=low,
        vmax=high,
        lw=0,
        cmap=COLOUR_MAPS.get(name, "viridis"),
        rasterized=True,
    )
    bar = axis.figure.colorbar(dots, ax=axis, label=label)
    if name == "logg":
        bar.ax.invert_yaxis()
    axis.set(xlabel="UMAP x", ylabel="UMAP y")
