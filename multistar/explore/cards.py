"""What the page shows of one star: spectra, the joint posterior, the light curve."""

import asyncio
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
import panel as pn

from multistar.explore.corner import corner_image, describe_posterior
from multistar.explore.figures import draw_light_curve, draw_own_spectra, draw_spectra
from multistar.explore.star import CONTEXTS, NO_TABLE, Measured
from multistar.explore.widgets import STYLE, make_note

NO_DRAWS = "no model draws"
SPECTRA_HEIGHT, CURVE_HEIGHT = 330, 260
# Labels that are written below the corner plot.
OTHER_LABELS = ("alpha_m", "ebv", "distance")
EMPTY = {
    "spectra": "Here the spectra of a star and its neighbours appear.",
    "posterior": "Here the joint posterior of a star’s labels appears.",
    "own_spectra": "Here spectra that are not Gaia’s appear.",
    "light_curve": "Here the light curve of a star appears.",
}


class StarCards:
    """Cards that are filled one after the other, while the rest of the page stays usable.

    Parameters
    ----------
    measured : Measured
        What is known of the stars.

    Attributes
    ----------
    spectra_controls, spectra, posterior, own_spectra, light_curve
        What the page shows.
    """

    def __init__(self, measured: Measured):
        self.measured = measured
        self._star: int | None = None
        # The star and its neighbours.
        self._ids: tuple[int, ...] = ()
        # What each card was last asked for; older answers are dropped.
        self._newest: dict[int, object] = {}
        self._make_controls()
        self.spectra = _make_card("spectra")
        self.posterior = _make_card("posterior")
        self.own_spectra = _make_card("own_spectra")
        self.light_curve = _make_card("light_curve")
        if measured.data is None:
            for card in (self.spectra, self.posterior):
                card[:] = [make_note(NO_TABLE, "empty")]

    def _make_controls(self) -> None:
        """A title and the choice of what the model draws spectra from."""
        options = {f"model: {text}": name for name, text in CONTEXTS.items()}
        options[NO_DRAWS] = ""
        self._context = pn.widgets.Select(
            options=options, width=310, stylesheets=[STYLE], align="end", margin=0
        )
        self._context.param.watch(self._change_context, "value")
        title = pn.pane.HTML("<h2>Spectra</h2>", stylesheets=[STYLE], margin=0, align="center")
        space = pn.Spacer(sizing_mode="stretch_width")
        self.spectra_controls = pn.Row(title, space, self._context, sizing_mode="stretch_width")

    def _change_context(self, _) -> None:
        if self._star is not None:
            pn.state.execute(self._show_spectra)

    def show(self, source_ids: tuple[int, ...]) -> None:
        """Fill all cards with a star, which comes first, and its neighbours."""
        self._star, self._ids = source_ids[0], source_ids
        pn.state.execute(self._show_all)

    async def _show_all(self) -> None:
        if self.measured.data is not None:
            self.posterior[:] = [make_note("Waiting for the spectra …", "busy")]
        await self._show_spectra()
        if self.measured.has_own_spectra:
            await self._show_own_spectra()
        if self.measured.has_light_curves:
            await self._show_light_curve()
        await self._show_posterior()

    async def _show_spectra(self) -> None:
        star, context, ids = self._star, str(self._context.value), self._ids

        def read() -> tuple[np.ndarray, np.ndarray | None]:
            flux = self.measured.spectra(ids)
            draws = self.measured.model_spectra(star, context) if context else None
            return flux, draws

        def draw(both: tuple[np.ndarray, np.ndarray | None]) -> pn.pane.Bokeh:
            flux, draws = both
            return _make_pane(draw_spectra(flux, draws, SPECTRA_HEIGHT))

        await self._fill(self.spectra, "Reading spectra, drawing the model’s …", read, draw)

    async def _show_own_spectra(self) -> None:
        ids = self._ids
        await self._fill(
            self.own_spectra,
            "Reading spectra …",
            lambda: self.measured.own_spectra(ids),
            lambda spectra: _make_pane(draw_own_spectra(spectra, SPECTRA_HEIGHT)),
        )

    async def _show_light_curve(self) -> None:
        star = self._star
        await self._fill(
            self.light_curve,
            "Reading the light curve …",
            lambda: self.measured.light_curve(star),
            lambda curve: _make_pane(draw_light_curve(curve, CURVE_HEIGHT)),
        )

    async def _show_posterior(self) -> None:
        star = self._star
        style: Any = {"stylesheets": [STYLE], "sizing_mode": "stretch_width", "margin": 0}
        await self._fill(
            self.posterior,
            "Drawing from the joint posterior …",
            lambda: self._render_posterior(star),
            lambda picture: pn.pane.HTML(picture, **style),
        )

    def _render_posterior(self, star: int | None) -> str:
        """The corner plot (HTML), with the status of the star and the labels that are not in it."""
        posterior = self.measured.posterior(star)
        status = ""
        if posterior.status != "ok":
            status = f'<p class="note wrong">Status: {escape(posterior.status)}</p>'
        others = [name for name in OTHER_LABELS if name in posterior.samples]
        also = escape(describe_posterior(posterior, others))
        return f'{status}{corner_image(posterior)}<p class="note">Also {also}</p>'

    async def _fill(
        self, card: pn.Column, busy: str, work: Callable[[], Any], draw: Callable[[Any], Any]
    ) -> None:
        """Work in a thread while the card says that it is busy, then show what came of it.

        `draw` makes a part of the page of what `work` gave; if either failed, the card says why.
        """
        ticket = object()
        self._newest[id(card)] = ticket
        card[:] = [make_note(busy, "busy")]
        try:
            shown = draw(await asyncio.to_thread(work))
        except (KeyError, ValueError, OSError) as error:
            reason = error.args[0] if error.args else error
            shown = make_note(str(reason), "empty")
        if self._newest[id(card)] is ticket:
            card[:] = [shown]


def _make_card(name: str) -> pn.Column:
    return pn.Column(make_note(EMPTY[name], "empty"), sizing_mode="stretch_width")


def _make_pane(plot: Any) -> pn.pane.Bokeh:
    return pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=0)
