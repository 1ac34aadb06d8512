"""The page: widgets, and what happens when they are used. One Page per open browser tab; data and caches are shared."""

import asyncio
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
import panel as pn
import pyarrow as pa

from multistar.explore.data import Explorer, file_of, in_table, number
from multistar.explore.figures import THEME, corner, light_curve_figure, spectra_figure, spoken
from multistar.explore.map_panel import MapPanel
from multistar.explore.star import CONTEXTS, NO_TABLE, Measured, Posterior
from multistar.explore.widgets import HERE, STYLE, NeighbourTable, button, note, words
from multistar.modalities.gaia_xp.synthesis import flux_matrix

NO_DRAWS = "no model draws"
SPECTRA_HEIGHT, CURVE_HEIGHT = 330, 260
NUMBERS_OF_NEIGHBOURS = [5, 10, 20, 50]
EMPTY = {
    "neighbours": "Click on a star of the map, or type a source_id.",
    "spectra": "Here the spectra of a star and its neighbours appear.",
    "posterior": "Here the joint posterior of a star’s labels appears.",
    "light_curve": "Here the light curve of a star appears.",
}


class Page:
    def __init__(self, explorer: Explorer, measured: Measured, facts: str):
        self.explorer, self.measured, self.facts = explorer, measured, facts
        self.star: int | None = None
        self._ids: tuple[int, ...] = ()  # the star and its neighbours
        self._newest: dict[
            int, object
        ] = {}  # what each card was last asked for; older answers are dropped
        self._map = MapPanel(explorer, self._clicked, self._recoloured)
        self._make_search()
        self._make_cards()

    def template(self) -> pn.Template:
        """The page as it is served; a star named in the address (?id=...) is shown at once."""
        out = pn.Template((HERE / "page.html").read_text(), location=True)
        parts = {
            "map_controls": self._map.controls,
            "map": self._map.pane,
            "map_note": self._map.note,
        }
        for name in ("search", "neighbours", "spectra_controls", "spectra", "posterior"):
            parts[name] = getattr(self, f"{name}_")
        for name, part in parts.items():
            out.add_panel(name, part)
        if self.measured.has_light_curves:
            out.add_panel("light_curve", self.light_curve_)
        for name, value in (
            ("facts", self.facts),
            ("style", STYLE),
            ("light_curves", self.measured.has_light_curves),
        ):
            out.add_variable(name, value)
        if pn.state.curdoc:
            pn.state.curdoc.theme = THEME
        if wanted := pn.state.location and pn.state.location.query_params.get("id"):
            pn.state.onload(lambda: self._typed(str(wanted)))
        return out

    # the star and its neighbours

    def _make_search(self) -> None:
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
        for widget in (self._k, self._dust):
            widget.param.watch(lambda _: self._refresh(), "value")
        row = [
            self._text,
            button("Show", lambda: self._typed(self._text.value), "primary"),
            button("Any star", lambda: self._select(self.explorer.any_star())),
            self._k,
        ]
        if self.explorer.dust_free is not None:
            row.append(self._dust)
        self._said = note("")
        self.search_ = pn.Column(
            pn.Row(*row, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"}),
            self._said,
            sizing_mode="stretch_width",
        )
        self._table = NeighbourTable(self._typed, sizing_mode="stretch_width")
        self._downloads = pn.Row(
            *(self._download(*a) for a in (("CSV", "csv"), ("Parquet", "parquet")))
        )
        self.neighbours_ = pn.Column(
            note(EMPTY["neighbours"], "empty"), sizing_mode="stretch_width"
        )

    def _download(self, name: str, ending: str) -> pn.widgets.FileDownload:
        return pn.widgets.FileDownload(
            callback=lambda: file_of(self._found(), ending),
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
        """The table shows the column of the map's colours."""
        if self.star is not None:
            self._show_neighbours()

    def _select(self, star: int) -> None:
        if star != self.star:
            self.star = star
            self._text.value = str(star)
            self._refresh()
            if pn.state.location:
                pn.state.location.search = f"?id={star}"
        else:
            self._text.value = str(star)
            self._say("")

    def _refresh(self) -> None:
        """Everything that depends on the star and on who its neighbours are."""
        if self.star is not None:
            self._say("")
            self._show_neighbours()
            pn.state.execute(self._show_star)

    def _found(self) -> pa.Table:
        assert self.star is not None
        return self.explorer.neighbours(self.star, self._k.value, bool(self._dust.value))

    def _show_neighbours(self) -> None:
        """In the table and on the map; a star that has none, for the dust-free index lacks it, stands alone."""
        try:
            found = self._found()
        except KeyError:
            ids = np.array([self.star])
            text = f"Star {self.star} is not in the dust-free index; switch “Ignore dust” off to see its neighbours."
            self.neighbours_[:] = [note(text, "empty")]
        else:
            ids = found["neighbour_id"].to_numpy()
            self._fill_table(found, ids)
            self.neighbours_[:] = [self._table, self._downloads]
        self._ids = tuple(ids.tolist())
        self._map.mark(ids)

    def _fill_table(self, found: pa.Table, ids: np.ndarray) -> None:
        columns = self.explorer.shown_columns(self._map.column)
        units = [self.explorer.unit(name) for name in columns]
        texts = [[number(name, x) for x in found[in_table(name)].to_pylist()] for name in columns]
        distance = [f"{x:.4f}" for x in found["distance"].to_pylist()]
        head = [["source_id", ""], ["distance", ""], *map(list, zip(columns, units, strict=True))]
        rows = [list(row) for row in zip(map(str, ids), distance, *texts, strict=True)]
        self._table.param.update(head=head, rows=rows)

    def _say(self, text: str, wrong: bool = False) -> None:
        self._said.object = words(text, "wrong" if wrong else "")

    # what is known of the star

    def _make_cards(self) -> None:
        self._context = pn.widgets.Select(
            options={f"model: {text}": name for name, text in CONTEXTS.items()} | {NO_DRAWS: ""},
            width=310,
            stylesheets=[STYLE],
            align="end",
            margin=0,
        )
        self._context.param.watch(
            lambda _: self.star is not None and pn.state.execute(self._show_spectra), "value"
        )
        title = pn.pane.HTML("<h2>Spectra</h2>", stylesheets=[STYLE], margin=0, align="center")
        self.spectra_controls_ = pn.Row(
            title,
            pn.Spacer(sizing_mode="stretch_width"),
            self._context,
            sizing_mode="stretch_width",
        )
        self.spectra_, self.posterior_, self.light_curve_ = (
            pn.Column(note(EMPTY[name], "empty"), sizing_mode="stretch_width")
            for name in ("spectra", "posterior", "light_curve")
        )
        if self.measured.data is None:
            for card in (self.spectra_, self.posterior_):
                card[:] = [note(NO_TABLE, "empty")]

    async def _show_star(self) -> None:
        if self.measured.data is not None:
            self.posterior_[:] = [note("Waiting for the spectra …", "busy")]
        await self._show_spectra()
        if self.measured.has_light_curves:
            star = self.star
            await self._fill(
                self.light_curve_,
                "Reading the light curve …",
                lambda: self.measured.light_curve(star),
                lambda curve: _pane(light_curve_figure(curve, CURVE_HEIGHT)),
            )
        await self._show_posterior()

    async def _show_spectra(self) -> None:
        star, context, ids = self.star, str(self._context.value), self._ids

        def read() -> tuple[np.ndarray, np.ndarray | None]:
            return self.measured.spectra(ids), self.measured.drawn(
                star, context
            ) if context else None

        await self._fill(
            self.spectra_,
            "Reading spectra, drawing the model’s …",
            read,
            lambda both: _pane(spectra_figure(both[0], both[1], SPECTRA_HEIGHT)),
        )

    async def _show_posterior(self) -> None:
        star = self.star
        await self._fill(
            self.posterior_,
            "Drawing from the joint posterior …",
            lambda: self._drawn_posterior(star),
            lambda picture: pn.pane.HTML(
                picture, stylesheets=[STYLE], sizing_mode="stretch_width", margin=0
            ),
        )

    def _drawn_posterior(self, star: int | None) -> str:
        posterior: Posterior = self.measured.posterior(star)
        others = [name for name in ("alpha_m", "ebv", "distance") if name in posterior.samples]
        status = (
            ""
            if posterior.status == "ok"
            else f'<p class="note wrong">Status: {escape(posterior.status)}</p>'
        )
        return f'{status}{corner(posterior)}<p class="note">Also {escape(spoken(posterior, others))}</p>'

    async def _fill(
        self, card: pn.Column, busy: str, work: Callable[[], Any], draw: Callable[[Any], Any]
    ) -> None:
        """Work in a thread while the card says that it is `busy`; then what `draw` makes of it, or what went wrong."""
        self._newest[id(card)] = ticket = object()
        card[:] = [note(busy, "busy")]
        try:
            shown = draw(await asyncio.to_thread(work))
        except (KeyError, ValueError, OSError) as error:
            shown = note(str(error.args[0] if error.args else error), "empty")
        if self._newest[id(card)] is ticket:
            card[:] = [shown]


def _pane(plot: Any) -> pn.pane.Bokeh:
    return pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=0)


def facts_of(explorer: Explorer, measured: Measured) -> str:
    """One line below the title: what is shown."""
    index, places = explorer.index, explorer.places
    parts = [
        f"{len(index):,} stars",
        f"map: {places.origin}" + (f" ({len(places):,})" * (len(places) < len(index))),
    ]
    parts += [f"data: {measured.data.origin}"] if measured.data else []
    return " · ".join([*parts, f"model {index.model_sha256[:12]}"])


def serve(explorer: Explorer, measured: Measured, port: int, browser: bool) -> None:
    """Serve the page to this machine alone until interrupted; OSError if the port is taken."""
    pn.extension()
    facts = facts_of(explorer, measured)
    Page(
        explorer, measured, facts
    )  # once without a browser: what is compiled and read is then there
    if measured.data is not None:
        flux_matrix()
    try:
        pn.serve(
            lambda: Page(explorer, measured, facts).template(),
            port=port,
            address="127.0.0.1",
            show=browser,
            title="multistar explore",
        )
    except OSError as error:
        raise OSError(
            f"port {port}: {error.strerror}; give another --port, or none for any that is free"
        ) from error
