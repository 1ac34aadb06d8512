"""The map as a part of the page: choice of colours, zoom, clicks, marks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import panel as pn
from bokeh.events import RangesUpdate, Reset, Tap

from multistar.explore.data import Explorer
from multistar.explore.figures import MapFigure
from multistar.explore.map import View, draw_image, view_all, view_around, zoom
from multistar.explore.widgets import STYLE, make_button, make_note, render_note
from multistar.plots.style import name_with_unit

DENSITY = "density of stars"
# pixels; the width until the browser tells
HEIGHT, WIDTH = 470, 640
# How far one can zoom in, as a share of the whole map.
CLOSEST = 1e-3
# The least width of a view of neighbours, as a share of the whole map.
CLOSE_UP = 0.02


class MapPanel:
    """The map, with its controls and a note below.

    Parameters
    ----------
    explorer : Explorer
        The stars.
    on_click : callable
        Called with the star that was clicked, or None where there is none.
    on_recolour : callable
        Called when other colours were chosen.

    Attributes
    ----------
    controls, pane, note
        What the page shows.
    """

    def __init__(
        self,
        explorer: Explorer,
        on_click: Callable[[int | None], Any],
        on_recolour: Callable[[], Any],
    ):
        self.explorer, self._on_click, self._on_recolour = explorer, on_click, on_recolour
        self._marked = np.empty((2, 0))
        self._painting = False
        self._figure = MapFigure(HEIGHT)
        self._view = self._home = view_all(explorer.places, WIDTH, HEIGHT)
        self._sizes: dict[str, int] = {}
        self._make_controls()
        self.pane = pn.pane.Bokeh(self._figure.figure, sizing_mode="stretch_width")
        self.note = make_note("")
        self._listen()
        self._later(self._figure.set_home, self._view.x, self._view.y)
        self._later(self._figure.set_view, self._view.x, self._view.y)
        self._recolour()

    def _make_controls(self) -> None:
        columns = self.explorer.columns
        self._colour = pn.widgets.Select(
            name="Colour",
            options=[DENSITY, *columns],
            width=190,
            margin=0,
            stylesheets=[STYLE],
        )
        if columns:
            self._colour.value = columns[0]
        self._colour.param.watch(lambda _: self._recolour(), "value")
        self.controls = pn.Row(
            self._colour,
            pn.Spacer(sizing_mode="stretch_width"),
            make_button("Zoom in", lambda: self._go(zoom(self._view, 0.5))),
            make_button("Zoom out", lambda: self._go(zoom(self._view, 2.0))),
            make_button("Whole map", lambda: self._go(self._home)),
            make_button("To neighbours", self._go_to_neighbours),
            align="end",
            sizing_mode="stretch_width",
            styles={"align-items": "end"},
        )

    def _listen(self) -> None:
        """Follow what happens on the figure in the browser."""
        plot = self._figure.figure
        plot.on_event(RangesUpdate, self._moved)
        plot.on_event(Reset, lambda _: self._go(self._home))
        plot.on_event(Tap, self._tapped)
        for side in ("inner_width", "inner_height"):
            plot.on_change(side, self._resized)

    @property
    def column(self) -> str:
        """The column that the map is coloured by, or DENSITY."""
        return str(self._colour.value)

    def mark(self, source_ids: np.ndarray) -> None:
        """Mark a star, which comes first, and its neighbours; a note counts those off the map."""
        x, y = self.explorer.places.of_stars(source_ids)
        self._marked = np.stack([x, y])
        self._later(self._figure.mark, x, y)
        absent = int(np.isnan(x).sum())
        text = f"{absent} of these {len(source_ids)} stars are not on the map."
        self.note.object = render_note(text if absent else "")

    def _recolour(self) -> None:
        name = self.column
        if name == DENSITY:
            title, limits = "log10 of stars per dot", None
        else:
            title = name_with_unit(name, self.explorer.unit(name))
            limits = self.explorer.limits(name)
        self._later(self._figure.set_colours, title, limits)
        self._paint()
        self._on_recolour()

    def _paint(self) -> None:
        """Paint what is in view; where several ask for it at once, once."""
        if not self._painting:
            self._painting = True
            self._later(self._paint_now)

    def _paint_now(self) -> None:
        self._painting = False
        view = self._view
        if self.column == DENSITY:
            picture = np.log10(draw_image(self.explorer.places, None, view))
        else:
            values = self.explorer.colour(self.column)
            picture = draw_image(self.explorer.places, values, view)
        self._figure.paint(picture, view.x, view.y)

    def _later(self, change: Callable[..., None], *arguments: Any) -> None:
        """Change the figure when its document is locked, which events of widgets do not ensure."""
        pn.state.execute(partial(change, *arguments), schedule=True)

    def _resized(self, side: str, _, pixels: int) -> None:
        """Fit the map; the browser tells its width and height one after the other."""
        self._sizes[side] = pixels
        width = self._sizes.get("inner_width", 0)
        height = self._sizes.get("inner_height", 0)
        known = width and height
        if not known or (width, height) == (self._view.width, self._view.height):
            return
        at_home = self._view == self._home
        self._home = view_all(self.explorer.places, width, height)
        self._later(self._figure.set_home, self._home.x, self._home.y)
        self._go(self._home if at_home else View(self._view.x, self._view.y, width, height))

    def _moved(self, event: Any) -> None:
        """Paint what the user dragged or scrolled into view."""
        x, y = (event.x0, event.x1), (event.y0, event.y1)
        self._view = View(x, y, self._view.width, self._view.height)
        self._paint()

    def _go(self, view: View) -> None:
        """Show a view, unless it is too small."""
        if _width(view) < CLOSEST * _width(self._home):
            return
        self._view = view
        self._later(self._figure.set_view, view.x, view.y)
        self._paint()

    def _go_to_neighbours(self) -> None:
        x, y = self._marked
        if np.isfinite(self._marked).any():
            self._go(view_around(x, y, self._view, CLOSE_UP * _width(self._home)))

    def _tapped(self, event: Any) -> None:
        (left, right), (low, high) = self._view.x, self._view.y
        star = self.explorer.places.nearest(event.x, event.y, right - left, high - low)
        self._on_click(star)


def _width(view: View) -> float:
    return view.x[1] - view.x[0]
