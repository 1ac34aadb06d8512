"""The command line: parse, call, print."""

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path

from multistar import __version__
from multistar.cli.arguments import (
    check_inputs,
    check_model,
    check_output,
    column_mapping,
    given_labels,
    label_list,
)
from multistar.cli.batch import (
    add_batch_options,
    check_folder_options,
    print_counts,
    refuse_folder_options,
    run_file,
    run_folder,
    use_workers,
)
from multistar.cli.check import add_check_command
from multistar.cli.download import add_download_command
from multistar.cli.explore import add_explore_command
from multistar.cli.finetune import add_finetune_command
from multistar.cli.index import add_index_commands
from multistar.cli.overview import add_examples, list_commands
from multistar.cli.plot import add_plot_command
from multistar.cli.population import add_population_commands
from multistar.cli.pretrain import add_pretrain_command
from multistar.cli.spectra import add_spectra_command
from multistar.io.endings import check_ending
from multistar.io.folders import require_adapter

RESUMES = dict.fromkeys(
    ("pretrain", "finetune", "download"), "; run it again to go on from the last checkpoint, if any"
)
RESUMES |= dict.fromkeys(
    ("embed", "predict"), "; of a folder, finished tables stay: run it again to go on"
)
UNITS = ("flux", "mag", "relative")  # of light curves
# commands that take a model and a table: the options that each hands on to the method of its name
INFERENCE = {
    "predict": (
        "samples",
        "seed",
        "consistency",
        "mc_dropout",
        "origin",
        "labels",
        "given",
        "dust",
        "prior",
    ),
    "embed": ("ignore", "space", "origin"),
    "generate": ("samples", "seed", "sampled", "origin"),
    "inpaint": ("bands", "origin", "given", "dust"),
}


def _mock(args) -> None:
    from multistar.mock.shards import write_survey
    from multistar.mock.survey import SurveyConfig

    config = SurveyConfig(
        args.seed,
        args.selection,
        args.layout,
        args.correlations,
        tuple(args.light_curves),
        args.views,
        args.spectra,
        args.published,
        args.sampled,
    )
    if args.describe:
        from multistar.mock.describe import print_description

        print_description(config)
        return
    if args.stars is None or args.out is None:
        raise ValueError("multistar mock needs --stars and --out (or --describe)")
    write_survey(args.stars, config, args.out, args.overwrite, args.shard_size)
    print(f"{args.stars} mock stars written to {args.out}")


def _infer(args) -> int:
    check_inputs(args.table, getattr(args, "lightcurves", None))
    check_model(args.model, getattr(args, "ignore", None))
    for folder in getattr(args, "adapter", ()):
        require_adapter(folder)
    column_mapping(args.columns)
    if args.command in ("embed", "predict"):
        use_workers(args.workers)
    if args.command in ("embed", "predict") and args.table and not args.lightcurves:
        if not Path(args.out).suffix:
            check_folder_options(args)
            return run_folder(args, _job(args))
        refuse_folder_options(args)
        if args.out.endswith(".parquet") and Path(args.table).is_file():
            check_output(args.out, args.overwrite)
            return run_file(args, _job(args))
    return _infer_whole(args)


def _job(args):
    from multistar.batch.job import Job

    options = {name: getattr(args, name) for name in INFERENCE[args.command]}
    adapters = tuple(getattr(args, "adapter", ()))
    return Job(
        args.command,
        args.model,
        options,
        column_mapping(args.columns),
        adapters,
        args.precision,
        args.device,
        args.time_limit or None,
    )


def _infer_whole(args) -> int:
    check_ending(args.out, vectors=args.command != "predict" or args.samples > 0)
    check_output(args.out, args.overwrite)
    from multistar.api import MultiStar
    from multistar.io.tables import read_columns
    from multistar.io.write import write_table
    from multistar.quantities import LABELS

    options = {name: getattr(args, name) for name in INFERENCE[args.command]}
    if args.command != "generate":
        options["light_curves"] = args.lightcurves and _light_curves(args.lightcurves, args.unit)
    adapters = args.adapter if args.command == "predict" else ()
    model = MultiStar.from_pretrained(args.model, adapters, args.precision, args.device)
    columns = column_mapping(args.columns)
    stars = args.table
    if stars:
        stars = read_columns(stars)
        given = options.get("given", ()) if args.command != "generate" else LABELS
        curves = options.get("light_curves")
        print(model.describe(stars, columns, given, light_curves=curves), file=sys.stderr)
    task = getattr(model, args.command)
    table = task(stars, columns=columns, quiet=False, **options)
    write_table(table, args.out, args.overwrite)
    print(f"{len(table)} rows written to {args.out}; status:")
    print_counts(Counter(table["status"].to_pylist()))
    return 0


def _light_curves(source: str, unit: str | None):
    from multistar.modalities.light_curve.read import read_light_curves

    return read_light_curves(source, unit=unit)


def _view(args) -> None:
    check_inputs(args.source)
    check_ending(args.out, vectors=True)
    check_output(args.out, args.overwrite)
    from multistar.io.write import write_table
    from multistar.modalities.light_curve.features import compute_feature_table
    from multistar.modalities.light_curve.joining import join

    table = compute_feature_table(join(_light_curves(args.source, args.unit)), quiet=False)
    write_table(table, args.out, args.overwrite)
    print(f"{len(table)} light curves as a model sees them written to {args.out}")


def _add_mock_options(mock: argparse.ArgumentParser) -> None:
    mock.add_argument("--stars", type=int, help="how many")
    mock.add_argument("--seed", type=int, default=0, help="same seed, same bytes")
    mock.add_argument(
        "--selection",
        default="apogee-like",
        help="mock --describe tells them: apogee-like, all-sky, bright, ...",
    )
    mock.add_argument(
        "--layout", default="dr3", help="XP orders per band: dr3 (55+55) or dr4-like (51+55)"
    )
    mock.add_argument(
        "--correlations", action="store_true", help="also the correlations of the coefficients"
    )
    mock.add_argument(
        "--light-curves", nargs="*", default=[], metavar="MISSION", help="kepler, k2, tess, gaia"
    )
    mock.add_argument(
        "--views", action="store_true", help="of light curves, only what a model sees: 5 kB a star"
    )
    mock.add_argument(
        "--spectra",
        default="",
        metavar="KIND",
        help="lamost-like, sdss-like, desi-like, blue, normalised, low-resolution",
    )
    mock.add_argument(
        "--published",
        action="store_true",
        help="labels on the scale of that spectrograph's pipeline, which is named in label_scale",
    )
    mock.add_argument(
        "--sampled",
        action="store_true",
        help="XP as sampled spectra, flux at 336-1020 nm, instead of coefficients",
    )
    mock.add_argument(
        "--out", help="a Parquet file, or a folder of shards (an interrupted run goes on)"
    )
    mock.add_argument("--shard-size", type=int, default=100_000, help="stars per shard")
    mock.add_argument(
        "--describe", action="store_true", help="print what the survey holds, write nothing"
    )


def _add_inference(command) -> None:
    """The commands that take a model and a table."""
    predict = command("predict", _infer, "labels with errors for the stars of a table")
    embed = command("embed", _infer, "one vector per star of a table")
    generate = command(
        "generate", _infer, "XP spectra of stars of which a table gives labels and magnitudes"
    )
    inpaint = command("inpaint", _infer, "the XP coefficients that a table does not have")

    generate.add_argument("table", help="CSV, ECSV, FITS, VOTable or Parquet")
    for sub in (predict, embed, inpaint):
        sub.add_argument("table", nargs="?", help="CSV, ECSV, FITS, VOTable or Parquet")
        _add_light_curve_options(sub)
    for sub in (predict, embed, generate, inpaint):
        _add_model_options(sub)
    for sub, samples in ((predict, 0), (generate, 64)):
        sub.add_argument("--samples", type=int, default=samples, help="joint draws per star")
        sub.add_argument("--seed", type=int, default=0, help="of the draws")

    for sub in (predict, inpaint):
        _add_known_options(sub)
    _add_predict_options(predict)
    embed.add_argument(
        "--ignore", metavar="QUANTITY", help="dust, ...: vectors that do not tell it"
    )
    embed.add_argument(
        "--space",
        default="fused",
        choices=("fused", "aligned", "eigen"),
        help="that light curves and spectra share",
    )
    for sub in (predict, embed):
        add_batch_options(sub)
    generate.add_argument(
        "--sampled", action="store_true", help="also the spectrum [W m-2 nm-1] by GaiaXPy"
    )
    inpaint.add_argument(
        "--bands", nargs="*", default=[], choices=("bp", "rp"), help="predict these whole"
    )


def _add_light_curve_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--lightcurves", metavar="SOURCE", help="FITS files, tables or a folder, by source_id"
    )
    sub.add_argument(
        "--unit", choices=UNITS, help="of the light curves, where the source does not tell"
    )


def _add_model_options(sub: argparse.ArgumentParser) -> None:
    """Which model, where it runs, and where the result goes."""
    sub.add_argument(
        "--model",
        default="mini",
        help="model folder, or the name of a shipped one (default: mini)",
    )
    sub.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        help="auto (the default): bfloat16 where the hardware makes it faster, else float32",
    )
    sub.add_argument(
        "--origin",
        choices=("sky", "mock"),
        help="whether the stars are real (default: what the table says of itself, else sky)",
    )
    sub.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU where there is one)")
    sub.add_argument(
        "--out", required=True, help="Parquet, FITS, VOTable, ECSV or CSV by its ending"
    )
    sub.add_argument(
        "--columns", nargs="*", default=[], metavar="QUANTITY=COLUMN", help="your column names"
    )


def _add_known_options(sub: argparse.ArgumentParser) -> None:
    """What is known of the stars beside their measurements."""
    sub.add_argument(
        "--given",
        type=given_labels,
        default={},
        metavar="LABEL[=ERROR],...",
        help="columns of the table that are known beforehand, such as teff,logg=0.1; ERROR for "
        "values without one",
    )
    sub.add_argument(
        "--dust",
        metavar="MAP",
        help="a dust map that tells E(B-V): sfd, planck, bayestar, bh, MODULE:CLASS of dustmaps, "
        "a HEALPix file of the whole sky (.fits), or disc: what is typical of a place, without a "
        "file",
    )


def _add_predict_options(predict: argparse.ArgumentParser) -> None:
    """What comes out, whose labels, and of which stars."""
    predict.add_argument(
        "--consistency", action="store_true", help="also check that measurements fit together"
    )
    predict.add_argument(
        "--labels",
        type=label_list,
        default=[],
        metavar="LABEL,LABEL",
        help="only these come out, in this order",
    )
    predict.add_argument(
        "--prior",
        metavar="POPULATION",
        help="what the stars are known to be: young, halo, apogee-like, ... (selections of "
        "multistar mock --describe) instead of all training stars",
    )
    predict.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="DIR",
        help="also its labels; may be repeated",
    )
    predict.add_argument(
        "--mc-dropout",
        type=int,
        default=0,
        metavar="N",
        help="adapters' labels by N passes with dropout",
    )


def parser() -> argparse.ArgumentParser:
    """Build the command line: all commands with their options."""
    main_parser = argparse.ArgumentParser(
        prog="multistar",
        usage="multistar [-h] [--version] COMMAND ...",
        description="A multimodal foundation model for stars.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main_parser.add_argument("--version", action="version", version=f"multistar {__version__}")
    commands = main_parser.add_subparsers(
        prog="multistar",
        dest="command",
        required=True,
        metavar="COMMAND",
        help=argparse.SUPPRESS,
    )

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run_command=run)
        sub.add_argument("--overwrite", action="store_true", help="replace an existing result")
        return sub

    _add_mock_options(
        command(
            "mock",
            _mock,
            "make mock stars with Gaia XP, photometry, parallax, light curves, labels",
        )
    )

    add_download_command(commands)
    add_pretrain_command(command)
    add_finetune_command(command)
    _add_inference(command)

    view = command(
        "view",
        _view,
        "light curves -> the numbers that a model sees, to be made once and read as a catalogue",
    )
    view.add_argument("source", help="FITS files, tables or a folder of light curves")
    view.add_argument(
        "--unit", choices=UNITS, help="of the light curves, where the source does not tell"
    )
    view.add_argument("--out", required=True, help="Parquet, FITS or VOTable by its ending")

    add_spectra_command(command)
    add_check_command(commands)
    add_plot_command(commands)
    add_index_commands(command)
    add_population_commands(command)
    add_explore_command(commands)
    add_examples(commands)
    main_parser.epilog = list_commands(commands)
    return main_parser


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line on stderr that says what was wrong; 3 if some of many tables were left out."""
    args = parser().parse_args(arguments)
    usual = warnings.formatwarning
    warnings.formatwarning = lambda text, *_: f"multistar {args.command}: warning: {text}\n"
    try:
        return args.run_command(args) or 0
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        FloatingPointError,
        ImportError,
        MemoryError,
    ) as error:
        message = error.args[0] if isinstance(error, KeyError) else str(error) or "out of memory"
        print(f"multistar {args.command}: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"multistar {args.command}: interrupted{RESUMES.get(args.command, '')}", file=sys.stderr
        )
        return 130
    finally:
        warnings.formatwarning = usual


if __name__ == "__main__":
    sys.exit(main())
