"""multistar pretrain: parse, call, print; no logic."""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

from multistar.cli.arguments import (
    check_inputs,
    check_model,
    check_output,
    column_mapping,
    label_list,
)
from multistar.io.files import require_path
from multistar.io.folders import REPORT


def add_pretrain_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    """`command(name, function, text)` makes a subparser."""
    sub = command(
        "pretrain",
        _pretrain,
        "train a model as a TOML run file says, or from a table of your own; resumes an interrupted run",
    )
    sub.add_argument("run", nargs="?", help="RUN.toml")
    sub.add_argument(
        "--sky", nargs="*", default=[], metavar="TABLE", help="real stars without labels (data.sky)"
    )
    sub.add_argument(
        "--report",
        action="store_true",
        help=f"judge it on the held-out stars, beside XGBoost: {REPORT} in the model's folder",
    )
    own = sub.add_argument_group(
        "from a table of your own", "writes OUT.toml, trains as it says, and judges the model"
    )
    own.add_argument("--table", help="stars with spectra, photometry, labels and errors")
    own.add_argument(
        "--labels", type=label_list, default=[], metavar="A,B", help="columns; vsini:log"
    )
    own.add_argument("--out", help="folder of the model")
    own.add_argument("--start", default="", help="go on from a model, such as mini")
    own.add_argument(
        "--columns", nargs="*", default=[], metavar="QUANTITY=COLUMN", help="your column names"
    )
    own.add_argument("--held-out", type=float, help="share of the stars (default: 0.15)")
    own.add_argument("--steps", type=int, default=0, help="default: by the number of stars")
    own.add_argument("--seed", type=int, default=0, help="default: 0")


def _pretrain(args: argparse.Namespace) -> None:
    if bool(args.run) == bool(args.table):
        raise ValueError(
            "multistar pretrain takes either a run file (RUN.toml), or --table TABLE --labels A,B "
            "--out DIR"
        )
    path = Path(args.run) if args.run else _write_run(args)
    require_path(path, "run file")
    check_inputs(*args.sky)
    from multistar.training.pretrain import pretrain
    from multistar.training.run import load_run

    run = load_run(path)
    if args.sky:
        run = dataclasses.replace(run, data=dataclasses.replace(run.data, sky=args.sky))
    model = pretrain(run, args.overwrite)
    print(f"model written to {run.out} (SHA-256 {model.hash[:12]})")
    if args.report or args.table:
        from multistar.checks.training_report import make_training_report

        page = Path(run.out) / REPORT
        make_training_report(run, model).write(page, overwrite=True)
        print(f"its report is {page}; go on with: multistar predict TABLE --model {run.out}")


def _write_run(args: argparse.Namespace) -> Path:
    """Write the run file of a table, beside the model to be."""
    if not args.labels or not args.out:
        raise ValueError("multistar pretrain --table needs --labels A,B and --out DIR")
    check_inputs(args.table)
    check_output(args.out, args.overwrite)
    if args.start:
        check_model(args.start)
    columns = column_mapping(args.columns)
    from multistar.training.own_table import HELD_OUT, describe_run, write_run

    share = HELD_OUT if args.held_out is None else args.held_out
    run = describe_run(
        args.table,
        args.labels,
        args.out,
        columns=columns,
        start=args.start,
        steps=args.steps,
        held_out=share,
        seed=args.seed,
    )
    path = Path(f"{run.out}.toml")
    write_run(run, path, args.overwrite)
    print(f"run file {path}: {run.training.steps} steps of {run.training.batch} stars")
    return path
