"""multistar check ...: parse, call, print; no logic."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multistar.cli.arguments import check_inputs, check_model, check_output, column_mapping

if TYPE_CHECKING:  # loading them takes a second, which the help does not have
    from multistar.model.checkpoint import Model
    from multistar.stars import Stars

# What each check asks.
QUESTIONS = {
    "calibration": "do the stated shares of known labels lie in the intervals, jointly, too?",
    "physics": "do labels and generated spectra obey the relations of stars and of dust?",
    "disentangle": "are temperature and dust told apart?",
    "populations": "what do vectors tell of binaries, rotation and ages?",
    "garbage": "who is told when sound stars are made wrong?",
    "sky": "labels of real stars against known ones, the Sun first",
    "surveys": "do the same stars get the same labels from different surveys?",
}


def add_check_command(commands: Any) -> None:
    """`commands` is what add_subparsers gave."""
    text = "are posteriors, spectra and vectors right, on mock stars and on real ones?"
    kinds = commands.add_parser("check", help=text, description=text).add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    checks = {
        "calibration": (_check_calibration, _add_calibration_options),
        "physics": (_check_physics, _add_physics_options),
        "disentangle": (_check_disentangle, _add_disentangle_options),
        "populations": (_check_populations, _add_seed),
        "garbage": (_check_garbage, _add_seed),
        "sky": (_check_sky, lambda sub: None),
        "surveys": (_check_surveys, _add_surveys_options),
    }
    for name, (run, add_options) in checks.items():
        sub = kinds.add_parser(name, help=QUESTIONS[name], description=QUESTIONS[name])
        sub.set_defaults(run_command=_checked(run))
        if name == "sky":
            sub.add_argument("table", metavar="folder", help="the folder of real tables")
        else:
            sub.add_argument(
                "table", help="stars with labels, as for predict; columns true_L are taken as exact"
            )
            sub.add_argument(
                "--columns",
                nargs="*",
                default=[],
                metavar="QUANTITY=COLUMN",
                help="your column names",
            )
        sub.add_argument(
            "--model",
            default="mini",
            help="model folder, or the name of a shipped one (default: mini)",
        )
        sub.add_argument("--out", required=True, help="folder for the numbers (JSON) and the page")
        sub.add_argument("--overwrite", action="store_true", help="replace an existing result")
        add_options(sub)


def _checked(run):
    """The check, after its files and names have been looked at."""

    def first_look(args) -> None:
        check_inputs(args.table, getattr(args, "reference", None), *getattr(args, "others", []))
        check_model(args.model)
        check_output(args.out, args.overwrite)
        column_mapping(getattr(args, "columns", []))
        run(args)

    return first_look


def _add_seed(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")


def _add_calibration_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--samples", type=int, default=256, help="joint draws per star (default: 256)")
    _add_seed(sub)


def _add_surveys_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--and",
        dest="others",
        nargs="+",
        required=True,
        metavar="TABLE",
        help="the other surveys' tables; stars are joined by source_id",
    )
    sub.add_argument(
        "--label-scale",
        default="",
        metavar="NAME",
        help="also with all labels on this scale, one that the model learnt",
    )


def _add_physics_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--reference", help="stars that the Gaussian baseline of inpainting is learnt from"
    )
    _add_seed(sub)


def _add_disentangle_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--ebv",
        default="column",
        metavar="SOURCE",
        help="the word column (the table's own E(B-V)), bh, sfd, planck, bayestar, mock, or "
        "MODULE:CLASS of dustmaps (default: column)",
    )
    sub.add_argument(
        "--stars", type=int, default=5000, help="at most so many, drawn at random (default: 5000)"
    )
    sub.add_argument("--no-umap", action="store_true", help="without maps, which take a minute")
    _add_seed(sub)


def _load(args, labels: bool = True) -> "tuple[Model, Stars]":
    """The model, and the stars of the table with all labels that the model knows."""
    from multistar.model.checkpoint import load_model
    from multistar.stars import read_stars

    model = load_model(args.model)
    columns = column_mapping(args.columns)
    declared = model.vocabulary.declared
    return model, read_stars(args.table, columns, labels=labels, declared=declared)


def _check_garbage(args) -> None:
    from multistar.checks.garbage import OWNED, format_garbage, garbage, write_garbage
    from multistar.io.files import refuse_existing

    refuse_existing(args.out, args.overwrite, OWNED)
    model, stars = _load(args, labels=False)
    result = garbage(model, stars, args.seed, quiet=False)
    write_garbage(result, args.out, args.overwrite)
    print(format_garbage(result))


def _check_physics(args) -> None:
    from multistar.checks.physics import OWNED, physics, write_physics
    from multistar.io.files import refuse_existing
    from multistar.stars import read_stars

    refuse_existing(args.out, args.overwrite, OWNED)
    model, stars = _load(args)
    reference = None
    if args.reference:
        reference = read_stars(args.reference, declared=model.vocabulary.declared)
    result = physics(model, stars, reference, args.seed)
    write_physics(result, args.out, args.overwrite)
    for name, part in result.items():
        if isinstance(part, dict):
            numbers = {
                k: f"{v:.3g}" if isinstance(v, float) else v
                for k, v in part.items()
                if not isinstance(v, list)
            }
            print(f"{name}: {numbers}")


def _check_populations(args) -> None:
    from multistar.checks.populations import OWNED, populations, write_populations
    from multistar.io.files import refuse_existing
    from multistar.io.tables import read_columns

    refuse_existing(args.out, args.overwrite, OWNED)
    model, stars = _load(args)
    result = populations(model, stars, read_columns(args.table).data, args.seed, quiet=False)
    write_populations(result, args.out, args.overwrite)
    for part, scores in (("kinds", ("auc", "ap")), ("numbers", ("r2", "rms"))):
        for name, asked in result[part].items():
            by = {
                k: " ".join(f"{s} {v[s]:.3f}" for s in scores)
                for k, v in asked.items()
                if isinstance(v, dict)
            }
            print(
                f"{name} ({asked['stars']} stars): " + "; ".join(f"{k}: {v}" for k, v in by.items())
            )
    if result["map"]:
        print(
            f"synchronised or young, by neighbours in the UMAP map: auc {result['map']['auc']:.3f}"
        )


def _check_calibration(args) -> None:
    from multistar.checks.calibration import OWNED, calibration, write_calibration
    from multistar.io.files import refuse_existing

    refuse_existing(args.out, args.overwrite, OWNED)
    model, stars = _load(args)
    result = calibration(model, stars, args.samples, args.seed)
    write_calibration(result, args.out, args.overwrite)
    for name, label in result["labels"].items():
        shares = ", ".join(f"{share:.1%} in {level}" for level, share in label["coverage"].items())
        print(f"{name:10s} {shares}")
    joint = result["joint"]
    if "energy_score" in joint:
        scores = (
            joint["energy_score"],
            joint["energy_score_of_marginals"],
            joint["energy_gain_error"],
        )
        print(
            "energy score {:.4f}, of the product of the marginals {:.4f}, error of the difference {:.4f}".format(
                *scores
            )
        )
    print(f"calibration.json and calibration.png written to {args.out}")


def _check_sky(args) -> None:
    from multistar.checks.results import print_rows
    from multistar.checks.sky import OWNED, TITLES, check_sky, write_sky
    from multistar.io.files import refuse_existing
    from multistar.model.checkpoint import load_model

    refuse_existing(args.out, args.overwrite, OWNED)
    model = load_model(args.model)
    result = check_sky(model, args.table, lambda text: print(text, flush=True))
    for key, title in TITLES.items():
        if result[key]:
            print_rows(title, result[key])
    write_sky(result, model, args.out, args.overwrite)
    print(f"in {args.out}: {', '.join(OWNED)}")


def _check_surveys(args) -> None:
    from multistar.checks.results import print_rows
    from multistar.checks.surveys import OWNED, check_surveys, write_surveys
    from multistar.io.files import refuse_existing
    from multistar.model.checkpoint import load_model
    from multistar.stars import read_stars

    refuse_existing(args.out, args.overwrite, OWNED)
    model = load_model(args.model)
    columns, declared = column_mapping(args.columns), model.vocabulary.declared
    surveys = {}
    for path in (args.table, *args.others):
        surveys[Path(path).stem] = read_stars(path, columns, labels=False, declared=declared)
    result = check_surveys(model, surveys, args.label_scale)
    print_rows("the same stars, first minus second survey", result["rows"])
    write_surveys(result, args.out, args.overwrite)
    print(f"in {args.out}: {', '.join(OWNED)}")


def _check_disentangle(args) -> None:
    from multistar.checks.disentangle import OWNED, disentangle, write_disentangle
    from multistar.io.files import refuse_existing

    refuse_existing(args.out, args.overwrite, OWNED)
    model, stars = _load(args)
    result, maps = disentangle(model, stars, args.ebv, args.seed, args.stars, not args.no_umap)
    write_disentangle(result, maps, args.out, args.overwrite)
    print(
        f"{result['stars']} stars; E(B-V): {result['ebv']}; {result['holes']} in holes, "
        f"{result['no_position']} without a position"
    )
    for space, part in result["spaces"].items():
        for question in ("dust at fixed teff", "teff at fixed dust"):
            found = ", ".join(
                f"{kind} {x['r2']:.3f} ± {x['error']:.3f}" for kind, x in part[question].items()
            )
            print(f"{space}: {question}: R2 {found}")
        print(f"{space}: angle between their directions {part['angle']['directions']:.1f} deg")
    for name, x in result["residuals"].items():
        print(
            f"residual of {name}: rank correlation with dust {x['spearman']:+.3f} ± {x['error']:.3f}"
        )
    if "generated" in result:
        print(
            f"generated: Teff changes by {result['generated']['dteff_debv_generated']:.0f} K per mag of E(B-V)"
        )
    for sentence in result["verdict"]:
        print(sentence)
    print(
        f"report.html, disentangle.json{'' if maps is None else ', umap.parquet'} written to {args.out}"
    )
