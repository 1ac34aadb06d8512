"""The joint posterior of a star as a corner plot."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from multistar.io.tables import read_columns
from multistar.plots.rows import pick_row
from multistar.plots.style import DRAWS, STAR, name_with_unit, styled
from multistar.quantities import QUANTITIES

LABELS_SHOWN = ("teff", "logg", "m_h", "mass", "age")
DIGITS = {
    "teff": 0,
    "logg": 2,
    "m_h": 2,
    "alpha_m": 2,
    "mass": 2,
    "age": 1,
    "ebv": 3,
    "distance": 2,
}
# Of the histogram of a pair of labels, and the width (in bins) by which it is smoothed.
BINS, SMOOTH = 40, 1.5
# Contours hold as much as 1 and 2 sigma of a Gaussian in two dimensions.
INSIDE = (0.39, 0.86)
# Quantiles of the samples between which a label is drawn.
SHOWN = (0.003, 0.997)
SUFFIX = "_samples"
ENDS = ("_lower", "", "_upper")

Interval = tuple[float, float, float]
Limits = dict[str, np.ndarray]


def plot_corner(result: Any, source_id: int | None = None, labels: Sequence[str] = ()) -> Figure:
    """Draw the joint posterior of one star of a result.

    Parameters
    ----------
    result : path, Arrow table or DataFrame
        What `predict` gave with `samples`.
    source_id : int, optional
        The star; the first one of the table without it.
    labels : sequence of str, optional
        What is shown; by default those of LABELS_SHOWN that the table has, or all if it has none.

    Returns
    -------
    Figure

    Raises
    ------
    KeyError
        If the table lacks the star.
    ValueError
        If it has no samples, or none of a label that is named.
    """
    table = read_columns(result)
    there = [name.removesuffix(SUFFIX) for name in table.data if name.endswith(SUFFIX)]
    if not there:
        raise ValueError(
            f"{table.origin}: no joint samples, which a corner plot shows: predict again with "
            "--samples 256"
        )
    if absent := sorted(set(labels) - set(there)):
        raise ValueError(f"{table.origin}: no samples of {absent}; there are those of {there}")
    names = list(labels) or [name for name in LABELS_SHOWN if name in there] or there
    row = pick_row(table, source_id)
    samples, intervals = {}, {}
    for name in names:
        samples[name] = np.asarray(table[name + SUFFIX][row], float)
        lower, median, upper = (float(table[name + end][row]) for end in ENDS)
        intervals[name] = (lower, median, upper)
    return draw_corner(samples, intervals)


def draw_corner(
    samples: Mapping[str, np.ndarray], intervals: Mapping[str, Interval], size: float = 5.8
) -> Figure:
    """Draw histograms of each label, and samples of each pair.

    Contours hold 39 % and 86 % of the samples, as 1 and 2 sigma of a Gaussian do.

    Parameters
    ----------
    samples : mapping of str to (n,) array
        Joint draws of each label, in the order of the panels.
    intervals : mapping of str to tuple
        (lower, median, upper) of each.
    size : float
        Width and height in inches.
    """
    names = list(samples)
    n = len(names)
    limits = {name: np.quantile(samples[name], SHOWN) for name in names}
    with styled():
        picture = Figure(figsize=(size, size))
        axes = picture.subplots(n, n, squeeze=False)
        picture.subplots_adjust(0.1, 0.1, 0.98, 0.95, 0.08, 0.08)
        for i, row in enumerate(names):
            for j, column in enumerate(names):
                axis = axes[i, j]
                if j > i:
                    axis.set_visible(False)
                    continue
                _set_up_panel(axis, limits[column])
                if i == j:
                    _draw_histogram(axis, samples[row], limits[row])
                    _mark_interval(axis, row, intervals[row])
                else:
                    _draw_pair(axis, samples, (column, row), limits)
                _label_panel(axis, names, i, j)
        picture.align_labels()
    return picture


def _set_up_panel(axis, limits: np.ndarray) -> None:
    axis.set_xlim(*limits)
    axis.tick_params(length=2, labelsize=7)
    axis.locator_params(nbins=3)


def _draw_histogram(axis, x: np.ndarray, limits: np.ndarray) -> None:
    low, high = limits
    axis.hist(x, bins=30, range=(low, high), color="#cdeae0", edgecolor="none")


def _mark_interval(axis, name: str, interval: Interval) -> None:
    """Lines at the median and at both ends of the interval, and the numbers above."""
    lower, median, upper = interval
    axis.axvline(lower, color=STAR, lw=0.9, ls=":")
    axis.axvline(median, color=STAR, lw=1.2, ls="-")
    axis.axvline(upper, color=STAR, lw=0.9, ls=":")
    axis.set_title(format_with_errors(name, interval), fontsize=8)


def _draw_pair(
    axis, samples: Mapping[str, np.ndarray], pair: tuple[str, str], limits: Limits
) -> None:
    """Samples of two labels, with contours that hold the shares INSIDE of them."""
    x, y = (samples[name] for name in pair)
    x_limits, y_limits = (limits[name] for name in pair)
    axis.plot(x, y, ",", color=DRAWS, alpha=0.35, rasterized=True)
    axis.set_ylim(*y_limits)
    counts, x_edges, y_edges = np.histogram2d(x, y, BINS, [x_limits, y_limits])
    density = gaussian_filter(counts, SMOOTH)
    levels = _contour_levels(density)
    # A posterior in a single bin has no contours.
    if len(levels) == len(INSIDE):
        centres = _centres(x_edges), _centres(y_edges)
        style: Any = {"levels": levels, "colors": [DRAWS], "linewidths": (0.8, 1.2)}
        axis.contour(*centres, density.T, **style)


def _contour_levels(density: np.ndarray) -> np.ndarray:
    """Densities, in rising order, above which the shares INSIDE of all samples are."""
    ordered = np.sort(density.ravel())
    share_below = np.cumsum(ordered) / ordered.sum()
    places = [np.searchsorted(share_below, 1 - inside) for inside in INSIDE]
    return np.unique(ordered[places])


def _centres(edges: np.ndarray) -> np.ndarray:
    return (edges[1:] + edges[:-1]) / 2


def _label_panel(axis, names: list[str], i: int, j: int) -> None:
    """Names along the lower and the left edge of the whole figure only."""
    if i == len(names) - 1:
        axis.set_xlabel(_title(names[j]))
        axis.tick_params("x", rotation=40)
    else:
        axis.set_xticklabels([])
    if j == 0 and i:
        axis.set_ylabel(_title(names[i]))
    else:
        axis.set_yticklabels([])
    if i == j:
        axis.set_yticks([])


def _title(name: str) -> str:
    return name_with_unit(name, QUANTITIES[name].unit if name in QUANTITIES else "")


def format_with_errors(name: str, interval: Interval) -> str:
    """Write median and errors of a label as text that matplotlib and HTML show alike.

    For instance "4712 +31 −29" of teff.
    """
    lower, median, upper = interval
    digits = DIGITS.get(name, 3)
    above, below = upper - median, median - lower
    text = f"{median:.{digits}f} +{above:.{digits}f} −{below:.{digits}f}"
    return text.replace("-", "−")
