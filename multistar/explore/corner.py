"""The joint posterior of a star: a corner plot, and the same in words."""

import base64
import html
import io
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from multistar.explore.data import DIGITS, join_unit
from multistar.explore.star import Interval, Posterior
from multistar.explore.theme import DRAWS, FONT, INK, LINE, MUTED, STAR
from multistar.quantities import QUANTITIES

LABELS_SHOWN = ("teff", "logg", "m_h", "mass", "age")
# Of the histogram of a pair of labels, and the width (in bins) by which it is smoothed.
BINS, SMOOTH = 40, 1.5
# Contours hold as much as 1 and 2 sigma of a Gaussian in two dimensions.
INSIDE = (0.39, 0.86)
# Quantiles of the samples between which a label is drawn.
SHOWN = (0.003, 0.997)
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
}

Limits = dict[str, np.ndarray]


def draw_corner(posterior: Posterior) -> str:
    """Draw the joint posterior of LABELS_SHOWN.

    Gives an HTML image: histograms of each label, and for each pair the samples with contours that
    hold 39 % and 86 % of them.
    """
    names = [name for name in LABELS_SHOWN if name in posterior.samples]
    drawing = _draw_svg(posterior, names)
    # Text is laid out in a font that matplotlib has, and shown in that of the page.
    drawing = drawing.replace(b"'DejaVu Sans'", FONT.encode())
    data = base64.b64encode(drawing).decode()
    values = describe_posterior(posterior, names)
    text = html.escape(f"Joint posterior of {', '.join(names)}: {values}")
    return f'<img class="corner" alt="{text}" src="data:image/svg+xml;base64,{data}">'


def _draw_svg(posterior: Posterior, names: list[str]) -> bytes:
    n = len(names)
    limits = {name: np.quantile(posterior.samples[name], SHOWN) for name in names}
    stream = io.BytesIO()
    with rc_context(STYLE):
        picture = Figure(figsize=(5.8, 5.8))
        axes = picture.subplots(n, n, squeeze=False)
        picture.subplots_adjust(0.1, 0.1, 0.98, 0.95, 0.08, 0.08)
        for i, row in enumerate(names):
            for j, column in enumerate(names):
                axis = axes[i, j]
                if j > i:
                    axis.set_visible(False)
                else:
                    _draw_panel(axis, posterior, row, column, limits)
                _label_panel(axis, names, i, j)
        picture.align_labels()
        picture.savefig(stream, format="svg")
    return stream.getvalue()


def _draw_panel(axis, posterior: Posterior, row: str, column: str, limits: Limits) -> None:
    axis.set_xlim(*limits[column])
    axis.tick_params(length=2, labelsize=7)
    axis.locator_params(nbins=3)
    if row == column:
        _draw_histogram(axis, posterior, row, limits)
    else:
        _draw_pair(axis, posterior, row, column, limits)


def _draw_histogram(axis, posterior: Posterior, name: str, limits: Limits) -> None:
    """Samples of one label, with lines at the median and at both ends of the interval."""
    x = posterior.samples[name]
    lower, median, upper = interval = posterior.interval[name]
    axis.hist(x, bins=30, range=limits[name], color="#cdeae0", edgecolor="none")
    axis.axvline(lower, color=STAR, lw=0.9, ls=":")
    axis.axvline(median, color=STAR, lw=1.2, ls="-")
    axis.axvline(upper, color=STAR, lw=0.9, ls=":")
    axis.set_title(format_with_errors(name, interval), fontsize=8)


def _draw_pair(axis, posterior: Posterior, row: str, column: str, limits: Limits) -> None:
    """Samples of two labels, with contours that hold the shares INSIDE of them."""
    x, y = posterior.samples[column], posterior.samples[row]
    axis.plot(x, y, ",", color=DRAWS, alpha=0.35, rasterized=True)
    axis.set_ylim(*limits[row])
    counts, x_edges, y_edges = np.histogram2d(x, y, BINS, [limits[column], limits[row]])
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
        axis.set_xlabel(join_unit(names[j], QUANTITIES[names[j]].unit))
        axis.tick_params("x", rotation=40)
    else:
        axis.set_xticklabels([])
    if j == 0 and i:
        axis.set_ylabel(join_unit(names[i], QUANTITIES[names[i]].unit))
    else:
        axis.set_yticklabels([])
    if i == j:
        axis.set_yticks([])


def format_with_errors(name: str, interval: Interval) -> str:
    """Write median and errors of a label as text that matplotlib and HTML show alike.

    For instance "4712 +31 −29" of teff.
    """
    lower, median, upper = interval
    digits = DIGITS.get(name, 3)
    above, below = upper - median, median - lower
    text = f"{median:.{digits}f} +{above:.{digits}f} −{below:.{digits}f}"
    return text.replace("-", "−")


def describe_posterior(posterior: Posterior, names: list[str]) -> str:
    """Write labels with errors and units in one line."""
    parts = []
    for name in names:
        value = format_with_errors(name, posterior.interval[name])
        parts.append(f"{name} {value} {QUANTITIES[name].unit}".strip())
    return ", ".join(parts)
