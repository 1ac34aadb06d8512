"""Temperature and gravity of all stars of a result: the Kiel diagram."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from multistar.io.columns import Columns
from multistar.io.tables import read_columns
from multistar.plots.style import COLOUR_MAP, MUTED, name_with_unit, new_figure, styled
from multistar.quantities import QUANTITIES

MISTRUSTED = ("outside_training", "inconsistent", "no_data")


def plot_kiel(result: Any, colour: str = "m_h") -> Figure:
    """Draw log g over Teff, coloured by another label.

    Stars whose status says that labels are not to be trusted are grey, and counted.

    Parameters
    ----------
    result : path, Arrow table or DataFrame
        What `predict` gave, with teff, logg and the label that colours.
    colour : str
        A column of numbers.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or not a number.
    """
    table = read_columns(result)
    names = ("teff", "logg", colour)
    if absent := [name for name in names if name not in table]:
        raise ValueError(f"{table.origin}: no column {absent}; there are {list(table.data)}")
    teff, logg, value = (table.numbers(name) for name in names)
    grey = _mistrusted(table)
    known = np.isfinite(value) & ~grey
    size = float(np.clip(2e4 / max(len(teff), 1), 0.5, 10))
    with styled():
        picture = new_figure(5.6, 4.6)
        axis = picture.subplots()
        label = f"{grey.sum():,} of {len(grey):,} flagged"
        axis.scatter(teff[grey], logg[grey], s=size, lw=0, color="#c3cad1", label=label)
        low, high = np.percentile(value[known], [2, 98]) if known.any() else (0, 1)
        dots = axis.scatter(
            teff[known],
            logg[known],
            c=value[known],
            s=size,
            lw=0,
            vmin=low,
            vmax=high,
            cmap=COLOUR_MAP,
            rasterized=True,
        )
        unit = QUANTITIES[colour].unit if colour in QUANTITIES else ""
        picture.colorbar(dots, ax=axis, label=name_with_unit(colour, unit), extend="both")
        axis.invert_xaxis()
        axis.invert_yaxis()
        axis.set(xlabel="Teff [K]", ylabel="log g [dex]")
        if grey.any():
            axis.legend(loc="upper left", fontsize=8, labelcolor=MUTED)
    return picture


def _mistrusted(table: Columns) -> np.ndarray:
    """(n,) True for the stars whose labels are not to be trusted."""
    if "status" not in table:
        return np.zeros(len(table), bool)
    words = table["status"].astype(str)
    return np.array([any(reason in word for reason in MISTRUSTED) for word in words], bool)
