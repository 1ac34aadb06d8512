"""The map as a part of the page: choice of colours, zoom, clicks, marks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import panel as pn
from bokeh.events import RangesUpdate, Reset, Tap

from multistar.explore.data import Explorer, titled
from multistar.explore.figures import MapFigure
from multistar.explore.map import View, around, image, whole, zoomed
from multistar.explore.widgets import STYLE, button, note, words

DENSITY = "density of stars"
HEIGHT, WIDTH = 470, 640  # pixels; the width until the browser tells
CLOSEST = 1e-3  # of the map: how far one can zoom in


class MapPanel:
    """controls, pane, note: what the page shows. Clicks call chosen(star or None), other colours recoloured()."""

    def __init__(
        self, explorer: Explorer, chosen: Callable[[int | None], Any], recoloured: Callable[[], Any]
    ):
        self.explorer, self._chosen, self._recoloured = explorer, chosen, recoloured
        self._marked = np.empty((2, 0))
        self._painting = False
        self._figure = MapFigure(HEIGHT)
        self._view = self._home = whole(explorer.places, WIDTH, HEIGHT)
        self._colour = pn.widgets.Select(
            name="Colour",
            options=[DENSITY, *self.explorer.columns],
            width=190,
            margin=0,
            stylesheets=[STYLE],
        )
        if self.explorer.columns:
            self._colour.value = self.explorer.columns[0]
        self._colour.param.watch(lambda _: self._recolour(), "value")
        actions = {
            "Zoom in": lambda: self._go(zoomed(self._view, 0.5)),
            "Zoom out": lambda: self._go(zoomed(self._view, 2.0)),
            "Whole map": lambda: self._go(self._home),
            "To neighbours": self._to_neighbours,
        }
        self.controls = pn.Row(
            self._colour,
            pn.Spacer(sizing_mode="stretch_width"),
            *(button(*a) for a in actions.items()),
            align="end",
            sizing_mode="stretch_width",
            styles={"align-items": "end"},
        )
        self.pane = pn.pane.Bokeh(self._figure.figure, sizing_mode="stretch_width")
        self.note = note("")
        plot = self._figure.figure
        plot.on_event(RangesUpdate, self._moved)
        plot.on_event(Reset, lambda _: self._go(self._home))
        plot.on_event(Tap, self._tapped)
        self._sizes: dict[str, int] = {}
        for side in ("inner_width", "inner_height"):
            plot.on_change(side, self._resized)
        self._later(self._figure.home, self._view.x, self._view.y)
        self._later(self._figure.look, self._view.x, self._view.y)
        self._recolour()

    @property
    def column(self) -> str:
        """Of which the map has its colours; that of the density is none."""
        return str(self._colour.value)

    def mark(self, star_and_neighbours: np.ndarray) -> None:
        self._marked = np.stack(self.explorer.places.of_stars(star_and_neighbours))
        self._later(self._figure.mark, self._marked[0], self._marked[1])
        absent = int(np.isnan(self._marked[0]).sum())
        text = f"{absent} of these {len(star_and_neighbours)} stars are not on the map."
        self.note.object = words(text if absent else "")

    def _recolour(self) -> None:
        name = self.column
        if name == DENSITY:
            self._later(self._figure.colour, "log10 of stars per dot", None)
        else:
            self._later(
                self._figure.colour,
                titled(name, self.explorer.unit(name)),
                self.explorer.limits(name),
            )
        self._paint()
        self._recoloured()

    def _paint(self) -> None:
        """Paint what is in view; where several ask for it at once, once."""
        if not self._painting:
            self._painting = True
            self._later(self._paint_now)

    def _paint_now(self) -> None:
        self._painting = False
        name = self.column
        values = None if name == DENSITY else self.explorer.colour(name)
        picture = image(self.explorer.places, values, self._view)
        self._figure.paint(
            np.log10(picture) if values is None else picture, self._view.x, self._view.y
        )

    def _later(self, change: Callable[..., None], *arguments: Any) -> None:
        """Change the figure when the document is locked for it, which events of widgets do not always do."""
        pn.state.execute(partial(change, *arguments), schedule=True)

    def _resized(self, side: str, _, pixels: int) -> None:
        """The browser tells width and height of the map one after the other."""
        self._sizes[side] = pixels
        width, height = (self._sizes.get(name, 0) for name in ("inner_width", "inner_height"))
        if width and height and (width, height) != (self._view.width, self._view.height):
            at_home = self._view == self._home
            self._home = whole(self.explorer.places, width, height)
            self._later(self._figure.home, self._home.x, self._home.y)
            self._go(self._home if at_home else View(self._view.x, self._view.y, width, height))

    def _moved(self, event: Any) -> None:
        self._view = View(
            (event.x0, event.x1), (event.y0, event.y1), self._view.width, self._view.height
        )
        self._paint()

    def _go(self, view: View) -> None:
        least = CLOSEST * (self._home.x[1] - self._home.x[0])
        if view.x[1] - view.x[0] < least:
            return
        self._view = view
        self._later(self._figure.look, view.x, view.y)
        self._paint()

    def _to_neighbours(self) -> None:
        if np.isfinite(self._marked).any():
            least = 0.02 * (self._home.x[1] - self._home.x[0])
            self._go(around(self._marked[0], self._marked[1], self._view, least))

    def _tapped(self, event: Any) -> None:
        (left, right), (low, high) = self._view.x, self._view.y
        self._chosen(self.explorer.places.nearest(event.x, event.y, right - left, high - low))
