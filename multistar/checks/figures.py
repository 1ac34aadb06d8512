"""What the figures of several checks share: how a result is written, and labels along an axis."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multistar.io.files import atomic_write

DPI = 110


def write_result(
    result: dict, picture: Figure, folder: str | Path, files: tuple[str, str], overwrite: bool
) -> None:
    """Write the numbers and the figure of a check into a folder, atomically.

    Parameters
    ----------
    result : dict
        Numbers that JSON can hold.
    picture : Figure
        Saved beside them.
    folder : str or Path
        The folder to make.
    files : tuple of str
        Names of the JSON file and of the PNG file.
    overwrite : bool
        Whether an earlier result is replaced.

    Raises
    ------
    FileExistsError
        If the folder exists and `overwrite` is False, or if it holds other files.
    """
    numbers, figure = files
    with atomic_write(folder, overwrite, files) as temporary:
        temporary.mkdir()
        (temporary / numbers).write_text(json.dumps(result, indent=1))
        picture.savefig(temporary / figure, dpi=DPI)


def name_ticks(axis: Axes, names: Sequence[str], **text) -> None:
    """Label the places 0, 1, ... of the x axis with names; `text` is passed on to matplotlib."""
    axis.set_xticks(range(len(names)))
    axis.set_xticklabels(names, **text)
