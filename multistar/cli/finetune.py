"""multistar finetune: parse, call, print; no logic."""

import argparse
import warnings
from collections.abc import Callable

from multistar.cli.arguments import check_inputs, check_model, check_output, column_mapping


def add_finetune_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    """`command(name, function, text)` makes a subparser."""
    sub = command(
        "finetune",
        _finetune,
        "teach a model your labels; writes an adapter, resumes an interrupted run",
    )
    sub.add_argument("table", help="stars with labels: CSV, ECSV, FITS, VOTable or Parquet")
    sub.add_argument(
        "--labels", type=_names, required=True, metavar="A,B", help="columns; vsini:log, type:class"
    )
    sub.add_argument("--out", required=True, help="folder of the adapter")
    sub.add_argument(
        "--model", default="mini", help="model folder, or the name of a shipped one (default: mini)"
    )
    sub.add_argument(
        "--mode",
        default="lora",
        choices=("probe", "head", "lora", "full", "trees", "auto"),
        help="what moves; auto: lora or trees",
    )
    sub.add_argument(
        "--inputs",
        type=_names,
        default=[],
        metavar="A,B",
        help="labels to be read (teff), new columns (c_n, u:magnitude)",
    )
    sub.add_argument(
        "--columns", nargs="*", default=[], metavar="QUANTITY=COLUMN", help="your column names"
    )
    sub.add_argument(
        "--lightcurves", metavar="SOURCE", help="FITS files, tables or a folder, by source_id"
    )
    sub.add_argument("--unit", choices=("flux", "mag", "relative"), help="of the light curves")
    sub.add_argument(
        "--held-out",
        type=float,
        help="share of the stars that decides when to stop (default: 0.15)",
    )
    sub.add_argument(
        "--split", choices=("star", "healpix"), help="hold out stars, or patches of the sky"
    )
    sub.add_argument("--steps", type=int, help="at most (default: by the number of stars)")
    sub.add_argument("--batch", type=int, help="stars per step (default: 64)")
    sub.add_argument("--learning-rate", type=float, help="default: by mode")
    sub.add_argument("--rank", type=int, help="of low-rank changes (default: 8)")
    sub.add_argument("--loss", choices=("likelihood", "mahalanobis"), help="default: likelihood")
    sub.add_argument(
        "--dropout",
        type=float,
        help="of the decoder's units, for predict --mc-dropout (default: 0)",
    )
    sub.add_argument("--seed", type=int, help="default: 0")
    sub.add_argument(
        "--retain",
        metavar="TABLE",
        help="deprecated, does nothing: an adapter cannot change the base's own columns",
    )
    sub.add_argument("--no-retain", action="store_true", help="deprecated, does nothing")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _finetune(args) -> None:
    check_inputs(args.table, args.lightcurves)
    check_model(args.model)
    check_output(args.out, args.overwrite)
    columns = column_mapping(args.columns)
    from multistar.finetune.finetune import RETAIN_IS_GONE, finetune
    from multistar.finetune.tune import FinetuneConfig
    from multistar.modalities.light_curve.read import read_light_curves
    from multistar.model.checkpoint import load_model

    names = (
        "held_out",
        "split",
        "steps",
        "batch",
        "learning_rate",
        "rank",
        "loss",
        "dropout",
        "seed",
    )
    config = FinetuneConfig(**{n: getattr(args, n) for n in names if getattr(args, n) is not None})
    curves = read_light_curves(args.lightcurves, unit=args.unit) if args.lightcurves else None
    if args.retain or args.no_retain:
        # A FutureWarning, because Python hides DeprecationWarnings from users of a command.
        name = "--retain" if args.retain else "--no-retain"
        warnings.warn(RETAIN_IS_GONE.format(name), FutureWarning, stacklevel=2)
    base = load_model(args.model)
    adapter = finetune(
        base,
        args.table,
        args.labels,
        args.mode,
        inputs=args.inputs,
        columns=columns,
        config=config,
        out=args.out,
        overwrite=args.overwrite,
        quiet=False,
        light_curves=curves,
    )
    _print(adapter, args.out)


def _print(adapter, out: str) -> None:
    said = adapter.provenance
    request = adapter.request
    print(
        f"adapter of {adapter.bytes / 1e6:.1f} MB written to {out}: {', '.join(request.names)}, mode {request.mode}"
    )
    if read := [*(q.name for q in request.inputs), *request.given]:
        print(f"reads also {', '.join(read)}")
    stars = f"{said['training_stars']} training and {said['held_out_stars']} held-out stars"
    if request.mode == "trees":
        print(f"{stars}, {said['trees']} trees per label")
    else:
        print(f"{stars}, {said['steps']} steps, best validation loss {said['validation_loss']:.3f}")
    for name, cell in said["labels"].items():
        text = f"  {name:10s} {cell['training']} values learnt from, {cell['held_out']} held out"
        if far := cell.get("far", 0):
            text += f", {far} left out as far from all others"
        if unmeasured := cell.get("unmeasured", 0):
            text += f", {unmeasured} of stars without measurements"
        print(text)
    print("on the held-out stars, which also chose when to stop and how wide the intervals are:")
    compared = said.get("compared", {request.mode: said["held_out"]})
    for mode, rows in compared.items():
        if len(compared) > 1:
            print(f" {mode}{' (taken)' if mode == request.mode else ''}")
        for name, row in rows.items():
            print(f"  {name:10s} {describe_judgement(row)}")


def describe_judgement(row: dict[str, float]) -> str:
    """Return the figures of one label in words."""
    if "accuracy" in row:
        return f"{row['accuracy']:.0%} right (the most common class: {row['most_common']:.0%})"
    text = (
        f"scatter {row['mad_std']:.3g} (of the labels themselves {row['spread']:.3g}), "
        f"bias {row['bias']:+.2g}; {row['held']:.0%} within the 68 % interval"
    )
    if row["with_errors"]:
        return f"{text}, {row['held_with_errors']:.0%} with the labels' own errors added"
    return f"{text}; the labels have no errors and are taken as exact"
