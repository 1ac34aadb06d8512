"""multistar plot ...: parse, call, print; no logic."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from multistar.cli.arguments import check_inputs, check_output, label_list

if TYPE_CHECKING:  # loading it takes a second, which the help does not have
    from matplotlib.figure import Figure

ENDINGS = (".png", ".pdf", ".svg")
KINDS = {
    "corner": "the joint posterior of a star; RESULT is of predict --samples",
    "kiel": "Teff and log g of all stars; RESULT is of predict",
    "spectrum": "the XP spectrum of a star; RESULT is of generate or inpaint",
    "calibration": "are the intervals right; RESULT is the folder of check calibration",
}


def add_plot_command(commands) -> None:
    """`commands` is what add_subparsers gave."""
    text = "a picture of a result: posterior, Kiel diagram, spectrum, calibration"
    kinds = commands.add_parser("plot", help=text, description=text).add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    add_options = {
        "corner": _add_corner_options,
        "kiel": _add_kiel_options,
        "spectrum": _add_spectrum_options,
        "calibration": lambda sub: None,
    }
    draw: dict[str, Callable] = {
        "corner": _draw_corner,
        "kiel": _draw_kiel,
        "spectrum": _draw_spectrum,
        "calibration": _draw_calibration,
    }
    for name, question in KINDS.items():
        sub = kinds.add_parser(name, help=question, description=question)
        sub.set_defaults(run_command=_saved(draw[name]))
        sub.add_argument("result", metavar="RESULT", help="a table or folder, see above")
        sub.add_argument("--out", required=True, help="PNG, PDF or SVG by its ending")
        sub.add_argument("--overwrite", action="store_true", help="replace an existing picture")
        add_options[name](sub)


def _add_star(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--source-id", type=int, help="of the star (default: the first one)")


def _add_corner_options(sub: argparse.ArgumentParser) -> None:
    _add_star(sub)
    sub.add_argument(
        "--labels",
        type=label_list,
        default=[],
        metavar="LABEL,LABEL",
        help="what is shown (default: teff,logg,m_h,mass,age)",
    )


def _add_kiel_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--colour", default="m_h", metavar="COLUMN", help="(default: m_h)")


def _add_spectrum_options(sub: argparse.ArgumentParser) -> None:
    _add_star(sub)
    sub.add_argument(
        "--measured", metavar="TABLE", help="also the star's spectrum in this table, as a line"
    )


def _saved(draw: Callable) -> Callable:
    """The picture that `draw` makes of the arguments, written where they say."""

    def run(args) -> None:
        if Path(args.out).suffix.lower() not in ENDINGS:
            raise ValueError(f"--out {args.out}: the name must end in {', '.join(ENDINGS)}")
        check_inputs(args.result, getattr(args, "measured", None))
        check_output(args.out, args.overwrite)
        from multistar.io.files import atomic_write
        from multistar.plots.style import DPI

        picture: Figure = draw(args)
        with atomic_write(args.out, args.overwrite) as temporary:
            picture.savefig(temporary, dpi=DPI)
        print(f"picture written to {args.out}")

    return run


def _draw_corner(args) -> "Figure":
    from multistar.plots import plot_corner

    return plot_corner(args.result, args.source_id, args.labels)


def _draw_kiel(args) -> "Figure":
    from multistar.plots import plot_kiel

    return plot_kiel(args.result, args.colour)


def _draw_spectrum(args) -> "Figure":
    from multistar.plots import plot_spectrum

    return plot_spectrum(args.result, args.source_id, args.measured)


def _draw_calibration(args) -> "Figure":
    from multistar.plots import plot_calibration

    return plot_calibration(args.result)
