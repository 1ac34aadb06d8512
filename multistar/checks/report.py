"""A self-contained HTML page of text, tables and figures: no scripts, no network."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from multistar.checks.figures import DPI
from multistar.io.files import atomic_write

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto;
       padding: 0 1rem; color: #1a1a1a }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .3rem .8rem; text-align: right }
tr { border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; height: auto } p { max-width: 46rem }
"""


class Report:
    """A page that is put together section by section.

    Parameters
    ----------
    title : str
        Of the page. All texts are escaped.

    Examples
    --------
    >>> page = Report("Two stars")
    >>> page.section("Temperatures", "In kelvin.")
    >>> page.table(["star", "Teff"], [["a", "4700"], ["b", "5100"]])
    >>> page.write("report.html")  # doctest: +SKIP
    """

    def __init__(self, title: str):
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]

    def section(self, title: str, text: str = "") -> None:
        """Begin a section with a title and perhaps a paragraph."""
        self._parts.append(f"<h2>{html.escape(title)}</h2>")
        if text:
            self._parts.append(f"<p>{html.escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; each row has as many cells as the header."""
        head = _table_row(header, "th")
        body = "".join(_table_row(row, "td") for row in rows)
        self._parts.append(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")

    def figure(self, figure: Figure, description: str) -> None:
        """Add a picture; `description` is what a reader who cannot see it should know."""
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=DPI, bbox_inches="tight")
        data = base64.b64encode(stream.getvalue()).decode()
        alternative = html.escape(description)
        self._parts.append(f'<img alt="{alternative}" src="data:image/png;base64,{data}">')

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the page to a file, atomically.

        Raises FileExistsError if the file exists and `overwrite` is False.
        """
        title = html.escape(self.title)
        head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        body = "".join(self._parts)
        page = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
        with atomic_write(path, overwrite) as temporary:
            temporary.write_text(page, encoding="utf-8")


def _table_row(cells: Sequence[str], tag: str) -> str:
    """One row (HTML) of cells with the tag th or td."""
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"
