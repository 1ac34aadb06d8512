"""How tables of results are written in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from multistar.quantities import QUANTITIES

Rows = Sequence[Sequence[str]]
LABEL_NAMES = {
    "teff": "Teff",
    "logg": "log g",
    "m_h": "[M/H]",
    "alpha_m": "[alpha/M]",
    "ebv": "E(B-V)",
}


def format_rows(header: Sequence[str], rows: Rows) -> str:
    """Write a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def name_label(label: str) -> str:
    """Write a label's name with its unit."""
    unit = QUANTITIES[label].unit
    name = LABEL_NAMES.get(label, label)
    return name if unit in ("", "dex") else f"{name} [{unit}]"


def write_error(label: str, value: float) -> str:
    """Write a scatter to three figures."""
    return f"{value:.1f}" if label == "teff" else f"{value:.3g}"


def write_percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def write_scatter(score: Mapping[str, Any], digits: int) -> str:
    """Write MAD-std (bias)."""
    return f"{score['mad_std']:.{digits}f} ({score['bias']:+.{digits}f})"
