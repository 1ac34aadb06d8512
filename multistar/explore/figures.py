"""The page's figures: the map, spectra, a light curve, the joint posterior."""

import base64
import html
import io
from typing import Any

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper, Range1d, Title
from bokeh.palettes import Cividis256, Viridis256
from bokeh.plotting import figure
from bokeh.themes import Theme
from matplotlib import rc_context
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from multistar.explore.data import DIGITS, titled
from multistar.explore.star import Posterior
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH
from multistar.modalities.light_curve.curves import LightCurves
from multistar.quantities import QUANTITIES

FONT = "'Helvetica Neue', Helvetica, Arial, sans-serif"
INK, MUTED, LINE, STAR, DRAWN = "#1d2733", "#5b6773", "#d9dee4", "#d55e00", "#0072b2"
BANDS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#1d2733",
)  # Okabe and Ito
CORNER = ("teff", "logg", "m_h", "mass", "age")
MOST_POINTS = 20_000  # of a light curve
ERROR_BARS = 300  # points; more than these have none
BINS, SMOOTH, INSIDE = (
    40,
    1.5,
    (0.39, 0.86),
)  # of a pair of labels: contours that hold as much as 1 and 2 sigma

_axis_text = {"text_font": FONT, "text_font_size": "12px", "text_color": MUTED}
THEME = Theme(
    json={
        "attrs": {
            "Plot": {
                "background_fill_color": "white",
                "border_fill_color": "white",
                "outline_line_color": LINE,
            },
            "Axis": {
                "axis_line_color": LINE,
                "major_tick_line_color": LINE,
                "minor_tick_line_color": None,
                "major_tick_in": 0,
                "axis_label_text_font_style": "normal",
                "axis_label_text_font": FONT,
                "axis_label_text_font_size": "13px",
                "axis_label_text_color": INK,
                **{f"major_label_{key}": value for key, value in _axis_text.items()},
            },
            "Grid": {"grid_line_color": "#eef1f4"},
            "Legend": {
                "border_line_color": None,
                "background_fill_alpha": 0,
                "padding": 0,
                "spacing": 16,
                "margin": 4,
                "glyph_width": 16,
                "orientation": "horizontal",
                **{f"label_{key}": value for key, value in _axis_text.items()},
            },
            "Title": {
                "text_font": FONT,
                "text_font_size": "13px",
                "text_font_style": "normal",
                "text_color": INK,
            },
            "ColorBar": {
                "bar_line_color": None,
                "major_tick_line_color": None,
                "width": 12,
                "padding": 6,
                **{f"major_label_{key}": value for key, value in _axis_text.items()},
            },
        }
    }
)


class MapFigure:
    """The map as a figure: an image with its colour bar, the star and its neighbours marked."""

    def __init__(self, height: int):
        self.figure: Any = figure(
            height=height,
            sizing_mode="stretch_width",
            tools="pan,wheel_zoom,box_zoom,reset,tap",
            active_scroll="wheel_zoom",
            toolbar_location="above",
            x_axis_label="UMAP 1",
            y_axis_label="UMAP 2",
            x_range=Range1d(start=0, end=1),
            y_range=Range1d(start=0, end=1),
            min_border_left=56,
        )
        self.figure.toolbar.logo = None
        self.figure.grid.visible = False
        self._image = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
        self._marks, self._star = (
            ColumnDataSource({"x": [], "y": []}, name=name)
            for name in ("marked neighbours", "marked star")
        )
        self._mapper = LinearColorMapper(palette=Viridis256, nan_color="rgba(0,0,0,0)")
        self._fitted = False
        self.figure.image(
            "image", "x", "y", "dw", "dh", source=self._image, color_mapper=self._mapper
        )
        self._bar = ColorBar(color_mapper=self._mapper)
        self._bar_title = Title(align="center")
        for part in (self._bar, self._bar_title):
            self.figure.add_layout(part, "right")
        for width, colour in ((4.5, "white"), (2, "#111111")):
            self.figure.scatter(
                "x",
                "y",
                source=self._marks,
                size=13,
                fill_color=None,
                line_color=colour,
                line_width=width,
            )
        self.figure.scatter(
            "x",
            "y",
            source=self._star,
            marker="star",
            size=24,
            fill_color=STAR,
            line_color="white",
            line_width=1.5,
        )

    def paint(self, picture: np.ndarray, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._image.data = {
            "image": [picture],
            "x": [x[0]],
            "y": [y[0]],
            "dw": [x[1] - x[0]],
            "dh": [y[1] - y[0]],
        }
        if self._fitted:
            seen = picture[np.isfinite(picture)]
            low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
            self._mapper.update(low=low, high=max(high, low + 0.1))

    def colour(self, title: str, limits: tuple[float, float] | None) -> None:
        """Between limits, or from the lowest to the highest of each picture."""
        self._fitted = limits is None
        self._mapper.palette = Cividis256 if limits is None else Viridis256
        if limits is not None:
            self._mapper.update(low=limits[0], high=limits[1])
        self._bar_title.text = title

    def look(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        for axis, (low, high) in ((self.figure.x_range, x), (self.figure.y_range, y)):
            axis.update(start=low, end=high)

    def home(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Where the reset button leads."""
        for axis, (low, high) in ((self.figure.x_range, x), (self.figure.y_range, y)):
            axis.update(reset_start=low, reset_end=high)

    def mark(self, x: np.ndarray, y: np.ndarray) -> None:
        """The star, which comes first, and its neighbours; those that are not on the map are NaN."""
        self._star.data = {"x": x[:1], "y": y[:1]}
        self._marks.data = {"x": x[1:], "y": y[1:]}


def spectra_figure(flux: np.ndarray, drawn: np.ndarray | None, height: int) -> Any:
    """flux (n, 343): the star, then neighbours; drawn (m, 343) or None. Neighbours are scaled to their median."""
    plot = _figure(height, "wavelength [nm]", "flux / median")
    scale = np.nanmedian(flux, axis=1) if len(flux) else np.empty(0)
    lines = [y / s for y, s in zip(flux[1:], scale[1:], strict=True) if np.isfinite(s) and s > 0]
    if lines:
        x = [WAVELENGTH] * len(lines)
        plot.multi_line(x, lines, color=MUTED, alpha=0.45, line_width=1, legend_label="neighbours")
    own = scale[0] if np.isfinite(scale[0]) else (np.nanmedian(drawn) if drawn is not None else 1.0)
    if drawn is not None:
        x = [WAVELENGTH] * len(drawn)
        plot.multi_line(
            x, list(drawn / own), color=DRAWN, alpha=0.3, line_width=1, legend_label="model draws"
        )
    if np.isfinite(scale[0]):
        plot.line(WAVELENGTH, flux[0] / own, color=STAR, line_width=2, legend_label="this star")
    plot.x_range = Range1d(start=WAVELENGTH[0], end=WAVELENGTH[-1])
    seen = [flux[0] / own, *([] if drawn is None else drawn / own)]
    top = np.nanquantile(np.concatenate(seen)[np.tile(WAVELENGTH > 400, len(seen))], 0.995)
    plot.y_range = Range1d(start=min(0, -0.03 * top), end=1.12 * top)
    return _with_legend(plot)


def light_curve_figure(curve: LightCurves, height: int) -> Any:
    """All points, or MOST_POINTS evenly taken; one colour for each band."""
    plot = _figure(height, "time [d]", "flux / median − 1")
    every = max(1, int(np.ceil(len(curve.time) / MOST_POINTS)))
    for code, name in enumerate(curve.bands):
        of_band = np.flatnonzero(curve.band == code)[::every]
        if len(of_band):
            size = 2 if len(of_band) > 1000 else 5
            plot.scatter(
                curve.time[of_band],
                curve.flux[of_band],
                size=size,
                color=BANDS[code % len(BANDS)],
                alpha=0.7,
                legend_label=name,
            )
            if len(of_band) <= ERROR_BARS:
                t, y, e = (x[of_band] for x in (curve.time, curve.flux, np.nan_to_num(curve.sigma)))
                plot.segment(t, y - e, t, y + e, color=BANDS[code % len(BANDS)], alpha=0.5)
    return _with_legend(plot)


def _with_legend(plot: Any) -> Any:
    """Above the axes, where it hides nothing."""
    plot.add_layout(plot.legend[0], "above")
    return plot


def _figure(height: int, x: str, y: str) -> Any:
    plot: Any = figure(
        height=height,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,reset",
        toolbar_location="right",
        x_axis_label=x,
        y_axis_label=y,
        min_border_left=56,
    )
    plot.toolbar.logo = None
    plot.yaxis.formatter.use_scientific = False
    return plot


def corner(posterior: Posterior) -> str:
    """An image (HTML) of the joint posterior of CORNER: histograms, and contours that hold 39 % and 86 %."""
    names = [name for name in CORNER if name in posterior.samples]
    look: Any = {
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
    with rc_context(look):
        picture = Figure(figsize=(5.8, 5.8))
        axes = picture.subplots(len(names), len(names), squeeze=False)
        picture.subplots_adjust(0.1, 0.1, 0.98, 0.95, 0.08, 0.08)
        limits = {name: np.quantile(posterior.samples[name], [0.003, 0.997]) for name in names}
        for i, row in enumerate(names):
            for j, column in enumerate(names):
                _panel(axes[i, j], posterior, row, column, limits, j > i)
                _label_axes(axes[i, j], i, j, len(names), row, column)
        picture.align_labels()
        stream = io.BytesIO()
        picture.savefig(stream, format="svg")
    words = html.escape(f"Joint posterior of {', '.join(names)}: {spoken(posterior, names)}")
    drawing = stream.getvalue().replace(
        b"'DejaVu Sans'", FONT.encode()
    )  # laid out with the one, shown in the page's
    data = base64.b64encode(drawing).decode()
    return f'<img class="corner" alt="{words}" src="data:image/svg+xml;base64,{data}">'


def _panel(axis, posterior: Posterior, row: str, column: str, limits: dict, empty: bool) -> None:
    if empty:
        axis.set_visible(False)
        return
    x = posterior.samples[column]
    axis.set_xlim(*limits[column])
    axis.tick_params(length=2, labelsize=7)
    axis.locator_params(nbins=3)
    if row == column:
        axis.hist(x, bins=30, range=limits[column], color="#cfe3f1", edgecolor="none")
        for value, style in zip(posterior.interval[column], (":", "-", ":"), strict=True):
            axis.axvline(value, color=STAR, lw=1.2 if style == "-" else 0.9, ls=style)
        axis.set_title(with_errors(column, posterior.interval[column]), fontsize=8)
        return
    y = posterior.samples[row]
    axis.plot(x, y, ",", color=DRAWN, alpha=0.35, rasterized=True)
    axis.set_ylim(*limits[row])
    density, left, low = np.histogram2d(x, y, BINS, [limits[column], limits[row]])
    density = gaussian_filter(density, SMOOTH)
    ordered = np.sort(density.ravel())
    share = np.cumsum(ordered) / ordered.sum()
    levels = np.unique([ordered[np.searchsorted(share, 1 - inside)] for inside in INSIDE])
    middle = [(edges[1:] + edges[:-1]) / 2 for edges in (left, low)]
    if len(levels) == len(INSIDE):
        axis.contour(*middle, density.T, levels=levels, colors=[DRAWN], linewidths=(0.8, 1.2))


def _label_axes(axis, i: int, j: int, n: int, row: str, column: str) -> None:
    if i == n - 1:
        axis.set_xlabel(titled(column, QUANTITIES[column].unit))
        axis.tick_params("x", rotation=40)
    else:
        axis.set_xticklabels([])
    if j == 0 and i:
        axis.set_ylabel(titled(row, QUANTITIES[row].unit))
    else:
        axis.set_yticklabels([])
    if i == j:
        axis.set_yticks([])


def with_errors(name: str, interval: tuple[float, float, float]) -> str:
    """Median and errors, as text that matplotlib and HTML show alike."""
    lower, median, upper = interval
    digits = DIGITS.get(name, 3)
    return f"{median:.{digits}f} +{upper - median:.{digits}f} −{median - lower:.{digits}f}".replace(
        "-", "−"
    )


def spoken(posterior: Posterior, names: list[str]) -> str:
    """Labels with errors and units in one line."""
    return ", ".join(
        f"{name} {with_errors(name, posterior.interval[name])} {QUANTITIES[name].unit}".strip()
        for name in names
    )
