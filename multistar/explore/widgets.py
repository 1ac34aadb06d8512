"""Pieces of the page that know nothing of stars: buttons, notes, a table whose first column can be chosen."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import param

HERE = Path(__file__).parent
STYLE = (HERE / "style.css").read_text()


class NeighbourTable(pn.custom.JSComponent):
    """head: (name, unit) of each column; rows: texts, first the source_id (a number would lose digits in a browser)."""

    head = param.List()
    rows = param.List()
    _esm = HERE / "neighbours.js"
    _stylesheets = [STYLE]

    def __init__(self, chosen: Callable[[str], Any], **arguments):
        super().__init__(**arguments)
        self.on_msg(lambda event: chosen(str(event.data)))


def button(label: str, action: Callable[[], Any], kind: str = "default") -> pn.widgets.Button:
    button = pn.widgets.Button(
        name=label, button_type=kind, align="end", margin=(0, 0, 0, 6), stylesheets=[STYLE]
    )
    button.on_click(lambda _: action())
    return button


def words(text: str, kind: str = "") -> str:
    return f'<p class="note {kind}" role="status">{escape(text)}</p>' if text else ""


def note(text: str, kind: str = "", margin: Any = 0) -> pn.pane.HTML:
    return pn.pane.HTML(
        words(text, kind), stylesheets=[STYLE], sizing_mode="stretch_width", margin=margin
    )
