"""The page's interactive figures: the map, spectra, a light curve."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper, Range1d, Title
from bokeh.palettes import Cividis256, Viridis256
from bokeh.plotting import figure

from multistar.modalities.gaia_xp.synthesis import WAVELENGTH
from multistar.modalities.light_curve.curves import LightCurves
from multistar.plots.style import DRAWS, MUTED, SERIES, STAR

# Of a light curve.
MOST_POINTS = 20_000
# Bands with more points than this are drawn without error bars, and with small points.
ERROR_BARS, LARGE_POINTS = 300, 1000
# nm; below it spectra are so noisy that they do not set the range of the axis
BLUE_END = 400

Range = tuple[float, float]


class MapFigure:
    """The map as a figure: an image with its colour bar, the star and its neighbours marked.

    Parameters
    ----------
    height : int
        [pixels]

    Attributes
    ----------
    figure
        The figure of Bokeh.
    """

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
        self._neighbours = ColumnDataSource({"x": [], "y": []}, name="marked neighbours")
        self._star = ColumnDataSource({"x": [], "y": []}, name="marked star")
        self._mapper = LinearColorMapper(palette=Viridis256, nan_color="rgba(0,0,0,0)")
        self._limits_follow_image = False
        self._add_image()
        self._add_marks()

    def _add_image(self) -> None:
        """The image, its colour bar and the bar's title."""
        image = {"source": self._image, "color_mapper": self._mapper}
        self.figure.image("image", "x", "y", "dw", "dh", **image)
        self._bar_title = Title(align="center")
        self.figure.add_layout(ColorBar(color_mapper=self._mapper), "right")
        self.figure.add_layout(self._bar_title, "right")

    def _add_marks(self) -> None:
        """Black circles with white edges for neighbours, and a star."""
        circle = {"source": self._neighbours, "size": 13, "fill_color": None}
        self.figure.scatter("x", "y", **circle, line_color="white", line_width=4.5)
        self.figure.scatter("x", "y", **circle, line_color="#111111", line_width=2)
        star = {"source": self._star, "marker": "star", "size": 24, "fill_color": STAR}
        self.figure.scatter("x", "y", **star, line_color="white", line_width=1.5)

    def paint(self, picture: np.ndarray, x: Range, y: Range) -> None:
        """Show an image (height, width) between these limits of x and y; NaN is transparent."""
        self._image.data = {
            "image": [picture],
            "x": [x[0]],
            "y": [y[0]],
            "dw": [x[1] - x[0]],
            "dh": [y[1] - y[0]],
        }
        if self._limits_follow_image:
            known = picture[np.isfinite(picture)]
            low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
            self._mapper.update(low=float(low), high=max(float(high), float(low) + 0.1))

    def set_colours(self, title: str, limits: Range | None) -> None:
        """Name the colour bar, and set its limits.

        With limits of None colours go from the lowest to the highest of each picture.
        """
        self._limits_follow_image = limits is None
        self._mapper.palette = Cividis256 if limits is None else Viridis256
        if limits is not None:
            self._mapper.update(low=limits[0], high=limits[1])
        self._bar_title.text = title

    def set_view(self, x: Range, y: Range) -> None:
        """Show this part of the map."""
        self.figure.x_range.update(start=x[0], end=x[1])
        self.figure.y_range.update(start=y[0], end=y[1])

    def set_home(self, x: Range, y: Range) -> None:
        """Set where the reset button leads."""
        self.figure.x_range.update(reset_start=x[0], reset_end=x[1])
        self.figure.y_range.update(reset_start=y[0], reset_end=y[1])

    def mark(self, x: np.ndarray, y: np.ndarray) -> None:
        """Mark the star, which comes first, and its neighbours, at x and y (n,).

        Those that are not on the map are NaN.
        """
        self._star.data = {"x": x[:1], "y": y[:1]}
        self._neighbours.data = {"x": x[1:], "y": y[1:]}


def draw_spectra(flux: np.ndarray, draws: np.ndarray | None, height: int) -> Any:
    """Draw the spectrum of a star beside those of its neighbours and draws of the model.

    Parameters
    ----------
    flux : ndarray, shape (n, 343)
        Of the star, then of its neighbours, at WAVELENGTH; rows of NaN where unknown.
    draws : ndarray, shape (m, 343), or None
        Of the model, for the star.
    height : int
        [pixels]

    Returns
    -------
    A figure of Bokeh, in which every neighbour is divided by its own median, and the draws by that
    of the star.
    """
    plot = _make_figure(height, "wavelength [nm]", "flux / median")
    medians = np.nanmedian(flux, axis=1) if len(flux) else np.empty(0)
    neighbours = []
    for spectrum, median in zip(flux[1:], medians[1:], strict=True):
        if np.isfinite(median) and median > 0:
            neighbours.append(spectrum / median)
    if neighbours:
        style = {"color": MUTED, "alpha": 0.45, "legend_label": "neighbours"}
        plot.multi_line([WAVELENGTH] * len(neighbours), neighbours, line_width=1, **style)
    scale = _scale_of_star(medians[0], draws)
    own = flux[0] / scale
    shown = [own]
    if draws is not None:
        scaled = draws / scale
        shown += list(scaled)
        style = {"color": DRAWS, "alpha": 0.3, "legend_label": "model draws"}
        plot.multi_line([WAVELENGTH] * len(scaled), list(scaled), line_width=1, **style)
    if np.isfinite(medians[0]):
        plot.line(WAVELENGTH, own, color=STAR, line_width=2, legend_label="this star")
    plot.x_range = Range1d(start=WAVELENGTH[0], end=WAVELENGTH[-1])
    top = np.nanquantile(np.stack(shown)[:, WAVELENGTH > BLUE_END], 0.995)
    plot.y_range = Range1d(start=min(0, -0.03 * top), end=1.12 * top)
    return _move_legend(plot)


def _scale_of_star(median: float, draws: np.ndarray | None) -> float:
    """Median flux of the star; where it has no spectrum, that of the draws."""
    if np.isfinite(median):
        return median
    return 1.0 if draws is None else float(np.nanmedian(draws))


def draw_own_spectra(spectra: Sequence[tuple[np.ndarray, np.ndarray]], height: int) -> Any:
    """Draw the spectrum of a star, which comes first, and those of its neighbours.

    Each is divided by its own median; neighbours whose median is not positive are left out. Arms of
    a spectrum stand one after the other. Gives a figure of Bokeh, `height` pixels high.
    """
    plot = _make_figure(height, "wavelength [nm]", "flux / median")
    neighbours = []
    for wavelength, flux in spectra[1:]:
        median = np.nanmedian(flux)
        if median > 0:
            neighbours.append((wavelength, flux / median))
    if neighbours:
        style = {"color": MUTED, "alpha": 0.35, "legend_label": "neighbours"}
        waves, fluxes = (list(part) for part in zip(*neighbours, strict=True))
        plot.multi_line(waves, fluxes, line_width=1, **style)
    wavelength, flux = spectra[0]
    median = np.nanmedian(flux)
    own = flux / median if median > 0 else flux
    plot.line(wavelength, own, color=STAR, line_width=1.5, legend_label="this star")
    plot.x_range = Range1d(start=np.nanmin(wavelength), end=np.nanmax(wavelength))
    top = np.nanquantile(own, 0.995)
    plot.y_range = Range1d(start=min(0, np.nanquantile(own, 0.005)), end=1.15 * top)
    return _move_legend(plot)


def draw_light_curve(curve: LightCurves, height: int) -> Any:
    """Draw the light curve of one star; one colour for each band.

    Of more than MOST_POINTS points an even part is taken. Gives a figure of Bokeh, `height` pixels
    high.
    """
    plot = _make_figure(height, "time [d]", "flux / median − 1")
    every = max(1, int(np.ceil(len(curve.time) / MOST_POINTS)))
    for code, name in enumerate(curve.bands):
        rows = np.flatnonzero(curve.band == code)[::every]
        if not len(rows):
            continue
        time, flux = curve.time[rows], curve.flux[rows]
        colour = SERIES[code % len(SERIES)]
        size = 2 if len(rows) > LARGE_POINTS else 5
        plot.scatter(time, flux, size=size, color=colour, alpha=0.7, legend_label=name)
        if len(rows) <= ERROR_BARS:
            error = np.nan_to_num(curve.sigma[rows])
            plot.segment(time, flux - error, time, flux + error, color=colour, alpha=0.5)
    return _move_legend(plot)


def _move_legend(plot: Any) -> Any:
    """Put the legend above the axes, where it hides nothing."""
    plot.add_layout(plot.legend[0], "above")
    return plot


def _make_figure(height: int, x_label: str, y_label: str) -> Any:
    plot: Any = figure(
        height=height,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,reset",
        toolbar_location="right",
        x_axis_label=x_label,
        y_axis_label=y_label,
        min_border_left=56,
    )
    plot.toolbar.logo = None
    plot.yaxis.formatter.use_scientific = False
    return plot
