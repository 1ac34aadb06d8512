"""The joint posterior of a star on the page: a corner plot, and the same in words."""

import base64
import html
import io

from matplotlib import rc_context

from multistar.explore.star import Posterior
from multistar.explore.theme import FONT
from multistar.plots.corner import LABELS_SHOWN, draw_corner, format_with_errors
from multistar.quantities import QUANTITIES


def corner_image(posterior: Posterior) -> str:
    """Draw the joint posterior of LABELS_SHOWN as an HTML image."""
    names = [name for name in LABELS_SHOWN if name in posterior.samples]
    samples = {name: posterior.samples[name] for name in names}
    stream = io.BytesIO()
    with rc_context({"svg.fonttype": "none"}):
        draw_corner(samples, posterior.interval).savefig(stream, format="svg")
    # Text is laid out in a font that matplotlib has, and shown in that of the page.
    drawing = stream.getvalue().replace(b"'DejaVu Sans'", FONT.encode())
    data = base64.b64encode(drawing).decode()
    values = describe_posterior(posterior, names)
    text = html.escape(f"Joint posterior of {', '.join(names)}: {values}")
    return f'<img class="corner" alt="{text}" src="data:image/svg+xml;base64,{data}">'


def describe_posterior(posterior: Posterior, names: list[str]) -> str:
    """Write labels with errors and units in one line."""
    parts = []
    for name in names:
        value = format_with_errors(name, posterior.interval[name])
        parts.append(f"{name} {value} {QUANTITIES[name].unit}".strip())
    return ", ".join(parts)
