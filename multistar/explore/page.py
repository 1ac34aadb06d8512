"""The page: widgets, and what happens when they are used.

There is one Page per open browser tab; data and caches are shared.
"""

from collections.abc import Collection
from html import escape
from typing import Any

import numpy as np
import panel as pn
import pyarrow as pa

from multistar.explore.cards import StarCards
from multistar.explore.data import Explorer, column_name, format_number, write_to_memory
from multistar.explore.guard import HERE as THIS_MACHINE
from multistar.explore.guard import Guard
from multistar.explore.map_panel import MapPanel
from multistar.explore.quiet import hide_closed_tabs
from multistar.explore.star import Measured
from multistar.explore.theme import THEME
from multistar.explore.widgets import (
    HERE,
    STYLE,
    NeighbourTable,
    make_button,
    make_note,
    render_note,
)
from multistar.modalities.gaia_xp.synthesis import flux_matrix

NUMBERS_OF_NEIGHBOURS = [5, 10, 20, 50]
NO_STAR = "Click on a star of the map, or type a source_id."


class Page:
    """All widgets of one browser tab.

    Parameters
    ----------
    explorer : Explorer
        The index and its map.
    measured : Measured
        What is known of the stars.
    facts : str
        The line below the title, see `describe_page`.

    Attributes
    ----------
    star : int or None
        The source_id that is shown.
    """

    def __init__(self, explorer: Explorer, measured: Measured, facts: str):
        self.explorer, self.measured, self.facts = explorer, measured, facts
        self.star: int | None = None
        self._map = MapPanel(explorer, self._clicked, self._recoloured)
        self._cards = StarCards(measured)
        self._search = self._make_search()
        self._table = NeighbourTable(self._typed, sizing_mode="stretch_width")
        csv, parquet = self._make_download("CSV", "csv"), self._make_download("Parquet", "parquet")
        self._downloads = pn.Row(csv, parquet)
        self._neighbours = pn.Column(make_note(NO_STAR, "empty"), sizing_mode="stretch_width")

    def template(self) -> pn.Template:
        """Make the page as it is served; a star named in the address (?id=...) is shown at once."""
        page = pn.Template((HERE / "page.html").read_text(), location=True)
        page.add_panel("map_controls", self._map.controls)
        page.add_panel("map", self._map.pane)
        page.add_panel("map_note", self._map.note)
        page.add_panel("search", self._search)
        page.add_panel("neighbours", self._neighbours)
        page.add_panel("spectra_controls", self._cards.spectra_controls)
        page.add_panel("spectra", self._cards.spectra)
        page.add_panel("posterior", self._cards.posterior)
        if self.measured.has_own_spectra:
            page.add_panel("own_spectra", self._cards.own_spectra)
        if self.measured.has_light_curves:
            page.add_panel("light_curve", self._cards.light_curve)
        page.add_variable("facts", escape(self.facts))  # file names of anyone are in it
        page.add_variable("style", STYLE)
        page.add_variable("own_spectra", self.measured.has_own_spectra)
        page.add_variable("light_curves", self.measured.has_light_curves)
        if pn.state.curdoc:
            pn.state.curdoc.theme = THEME
        wanted = pn.state.location and pn.state.location.query_params.get("id")
        if wanted:
            pn.state.onload(lambda: self._typed(str(wanted)))
        return page

    def _make_search(self) -> pn.Column:
        """The row of widgets that choose a star and its neighbours, and a note below."""
        self._text = pn.widgets.TextInput(
            name="Star (source_id)",
            placeholder="source_id",
            width=176,
            margin=0,
            stylesheets=[STYLE],
        )
        self._k = pn.widgets.Select(
            name="Neighbours",
            options=NUMBERS_OF_NEIGHBOURS,
            value=10,
            width=66,
            margin=(0, 0, 0, 6),
            stylesheets=[STYLE],
        )
        self._dust = pn.widgets.Toggle(
            name="Ignore dust", align="end", margin=(0, 0, 0, 6), width=100, stylesheets=[STYLE]
        )
        self._text.param.watch(lambda event: self._typed(event.new), "value")
        self._k.param.watch(lambda _: self._refresh(), "value")
        self._dust.param.watch(lambda _: self._refresh(), "value")
        show = make_button("Show", lambda: self._typed(self._text.value), "primary")
        draw = make_button("Any star", lambda: self._select(self.explorer.any_star()))
        widgets = [self._text, show, draw, self._k]
        if self.explorer.dust_free is not None:
            widgets.append(self._dust)
        row = pn.Row(*widgets, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
        self._note = make_note("")
        return pn.Column(row, self._note, sizing_mode="stretch_width")

    def _make_download(self, name: str, ending: str) -> pn.widgets.FileDownload:
        return pn.widgets.FileDownload(
            callback=lambda: write_to_memory(self._find_neighbours(), ending),
            filename=f"neighbours.{ending}",
            label=f"Download {name}",
            button_type="default",
            width=150,
            margin=(10, 8, 0, 0),
            stylesheets=[STYLE],
        )

    def _typed(self, text: str) -> None:
        try:
            star = self.explorer.star(text)
        except ValueError as error:
            self._say(str(error), wrong=True)
            return
        self._select(star)

    def _clicked(self, star: int | None) -> None:
        if star is None:
            self._say("There is no star where you clicked.", wrong=True)
        else:
            self._select(star)

    def _recoloured(self) -> None:
        """Show the column of the map's colours in the table, too."""
        if self.star is not None:
            self._show_neighbours()

    def _select(self, star: int) -> None:
        changed = star != self.star
        self.star = star
        self._text.value = str(star)
        if not changed:
            self._say("")
            return
        self._refresh()
        if pn.state.location:
            pn.state.location.search = f"?id={star}"

    def _refresh(self) -> None:
        """Show everything that depends on the star and on who its neighbours are."""
        if self.star is not None:
            self._say("")
            source_ids = self._show_neighbours()
            self._cards.show(tuple(source_ids.tolist()))

    def _find_neighbours(self) -> pa.Table:
        assert self.star is not None
        ignore_dust = bool(self._dust.value)
        return self.explorer.neighbours(self.star, self._k.value, ignore_dust)

    def _show_neighbours(self) -> np.ndarray:
        """Show neighbours in the table and on the map; gives the star's and their ids.

        A star that has none, because the dust-free index lacks it, stands alone.
        """
        try:
            found = self._find_neighbours()
        except KeyError:
            source_ids = np.array([self.star])
            text = (
                f"Star {self.star} is not in the dust-free index; "
                "switch “Ignore dust” off to see its neighbours."
            )
            self._neighbours[:] = [make_note(text, "empty")]
        else:
            source_ids = found["neighbour_id"].to_numpy()
            self._fill_table(found)
            self._neighbours[:] = [self._table, self._downloads]
        self._map.mark(source_ids)
        return source_ids

    def _fill_table(self, found: pa.Table) -> None:
        head = [["source_id", ""], ["distance", ""]]
        columns = [
            [str(source_id) for source_id in found["neighbour_id"].to_pylist()],
            [f"{distance:.4f}" for distance in found["distance"].to_pylist()],
        ]
        for name in self.explorer.choose_columns(self._map.column):
            values = found[column_name(name)].to_pylist()
            head.append([name, self.explorer.unit(name)])
            columns.append([format_number(name, value) for value in values])
        rows = [list(row) for row in zip(*columns, strict=True)]
        self._table.param.update(head=head, rows=rows)

    def _say(self, text: str, wrong: bool = False) -> None:
        self._note.object = render_note(text, "wrong" if wrong else "")


def describe_page(explorer: Explorer, measured: Measured) -> str:
    """Write the line below the title: what is shown."""
    index, places = explorer.index, explorer.places
    on_map = f"map: {places.origin}"
    if len(places) < len(index):
        on_map += f" ({len(places):,})"
    parts = [f"{len(index):,} stars", on_map]
    if measured.data is not None:
        parts.append(f"data: {measured.data.origin}")
    parts.append(f"model {index.model_sha256[:12]}")
    return " · ".join(parts)


def serve(
    explorer: Explorer, measured: Measured, port: int, browser: bool, host: str = "127.0.0.1"
) -> None:
    """Serve the page until interrupted, by default to this machine alone.

    Parameters
    ----------
    explorer : Explorer
        The index and its map.
    measured : Measured
        What is known of the stars.
    port : int
        0 for any that is free.
    browser : bool
        Whether to open one.
    host : str
        Name or address by which browsers reach this machine, and at which the page is served.
        Requests for other names than this and those in `guard.HERE` are refused.

    Raises
    ------
    OSError
        If the port is taken, or the host is not this machine.
    ValueError
        For a host that stands for all addresses, as then no name could be told from another.
    """
    if host in ("", "0.0.0.0", "::", "*"):
        raise ValueError(
            f"--host {host}: give the name or address by which browsers reach this machine"
        )
    pn.extension()
    facts = describe_page(explorer, measured)

    def make_page() -> Any:
        return Page(explorer, measured, facts).template()

    # Once without a browser: what is compiled and read is then there.
    Page(explorer, measured, facts)
    if measured.data is not None:
        flux_matrix()
    options: Any = {"port": port, "address": host, "show": browser, "start": False}
    try:
        server = pn.io.server.get_server(make_page, title="multistar explore", **options)
    except OSError as error:
        raise OSError(
            f"{host}, port {port}: {error.strerror}; give another --port, or none for any that is "
            "free"
        ) from error
    put_guard(server, (*THIS_MACHINE, host))
    hide_closed_tabs()
    print(f"multistar explore: http://{host}:{server.port}", flush=True)
    server.start()
    server.io_loop.start()


def put_guard(server: Any, names: Collection[str]) -> None:
    """Let a server of bokeh answer requests for these names alone."""
    http, application = server._http, server._tornado
    http.request_callback = Guard(application, names, server.port)
    # what bokeh itself asks of websockets: the guard's own list
    application._websocket_origins = set(http.request_callback.allowed)
