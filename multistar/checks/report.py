"""A self-contained HTML page of text, tables and figures: no scripts, no network."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from multistar.io.files import atomic_write

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .3rem .8rem; text-align: right }
tr { border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } img { max-width: 100%; height: auto } p { max-width: 46rem }
"""


class Report:
    """Collects sections; `write` puts them on one page."""

    def __init__(self, title: str):
        self.title, self._parts = title, [f"<h1>{html.escape(title)}</h1>"]

    def section(self, title: str, text: str = "") -> None:
        self._parts.append(f"<h2>{html.escape(title)}</h2>")
        if text:
            self._parts.append(f"<p>{html.escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        self._parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def figure(self, figure: Figure, description: str) -> None:
        """`description` is what a reader who cannot see the picture should know."""
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=110, bbox_inches="tight")
        data = base64.b64encode(stream.getvalue()).decode()
        self._parts.append(
            f'<img alt="{html.escape(description)}" src="data:image/png;base64,{data}">'
        )

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        page = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f"<style>{STYLE}</style></head><body>{''.join(self._parts)}</body></html>"
        )
        with atomic_write(path, overwrite) as temporary:
            temporary.write_text(page, encoding="utf-8")
