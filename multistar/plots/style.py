"""One style for all pictures: colours that colour-blind readers tell apart, and type."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from matplotlib import rc_context, rcsetup
from matplotlib.figure import Figure

INK, MUTED, LINE = "#1d2733", "#5b6773", "#d9dee4"
# Colours of Okabe and Ito. What was measured or is one star, and what the model draws.
STAR, DRAWS = "#d55e00", "#009e73"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1d2733")
COLOUR_MAP = "cividis"
DPI = 110
RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "axes.prop_cycle": rcsetup.cycler(color=SERIES),
    "image.cmap": COLOUR_MAP,
}
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def styled():
    """Context in which matplotlib draws in this style."""
    return rc_context(RC)


def in_style(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function that draws, so that it draws in this style."""

    @wraps(draw)
    def styled_draw(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with styled():
            return draw(*args, **kwargs)

    return styled_draw


def name_with_unit(name: str, unit: str) -> str:
    """Write a name and its unit, such as "teff [K]"."""
    return f"{name} [{unit}]" if unit else name


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, in inches, whose parts find their places by themselves."""
    return Figure(figsize=(width, height), layout="constrained")
