"""Pieces of the page that know nothing of stars: buttons, notes, a table of choices."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import param

HERE = Path(__file__).parent
STYLE = (HERE / "style.css").read_text()


class NeighbourTable(pn.custom.JSComponent):
    """A table whose first column can be chosen.

    Parameters
    ----------
    on_choice : callable
        Called with the text of the cell that was chosen.
    **arguments
        Of the widget.

    Attributes
    ----------
    head : list
        (name, unit) of each column.
    rows : list
        Texts, of which the first is the source_id: as a number it would lose digits in a browser.
    """

    head = param.List()
    rows = param.List()
    _esm = HERE / "neighbours.js"
    _stylesheets = [STYLE]

    def __init__(self, on_choice: Callable[[str], Any], **arguments):
        super().__init__(**arguments)
        self.on_msg(lambda event: on_choice(str(event.data)))


def make_button(label: str, action: Callable[[], Any], kind: str = "default") -> pn.widgets.Button:
    """Make a button that calls an action; `kind` is one of panel's types, such as "primary"."""
    button = pn.widgets.Button(
        name=label, button_type=kind, align="end", margin=(0, 0, 0, 6), stylesheets=[STYLE]
    )
    button.on_click(lambda _: action())
    return button


def render_note(text: str, kind: str = "") -> str:
    """Write a note as HTML; `kind` is a class of the style sheet: "wrong", "empty" or "busy"."""
    return f'<p class="note {kind}" role="status">{escape(text)}</p>' if text else ""


def make_note(text: str, kind: str = "", margin: Any = 0) -> pn.pane.HTML:
    """Make a part of the page that shows a note, see `render_note`."""
    return pn.pane.HTML(
        render_note(text, kind), stylesheets=[STYLE], sizing_mode="stretch_width", margin=margin
    )
