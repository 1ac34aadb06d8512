"""multistar erase|umap|check disentangle: parse, call, print; no logic."""

import argparse
from collections.abc import Callable

from multistar.cli.arguments import check_inputs, check_model, check_output, column_mapping
from multistar.io.endings import check_ending


def add_population_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """`command(name, function, text)` makes a subparser."""
    _add_erase_options(
        command(
            "erase", _erase, "fit what makes vectors ignore a quantity, on stars of known labels"
        )
    )
    _add_umap_options(command("umap", _umap, "a map of stars in two dimensions from their vectors"))


def _erase(args) -> None:
    check_inputs(*args.tables)
    check_model(args.model)
    check_output(args.out, args.overwrite)
    if not args.out.endswith(".safetensors"):
        raise ValueError(f"--out {args.out}: the name must end in .safetensors")
    from multistar.inference.erase import eraser_of
    from multistar.model.checkpoint import load_model
    from multistar.model.nuisance import save_eraser
    from multistar.stars import concatenate_stars, read_stars

    stars = concatenate_stars([read_stars(table) for table in args.tables])
    eraser = eraser_of(load_model(args.model), stars, args.quantity)
    save_eraser(eraser, args.out, args.overwrite)
    print(
        f"{eraser.name} at fixed {', '.join(eraser.intrinsic)}: vectors of {eraser.dimension} numbers; in {args.out}"
    )


def _umap(args) -> None:
    check_ending(args.out)
    if bool(args.figure) != bool(args.colour):
        raise ValueError("--figure PNG and --colour COLUMN belong together")
    check_inputs(args.vectors, args.metadata)
    for path in filter(None, (args.out, args.figure)):
        check_output(path, args.overwrite)
    import pyarrow.parquet as pq

    from multistar.index.umap_map import map_figure, umap_map, with_numbers
    from multistar.io.files import atomic_write
    from multistar.io.write import write_table

    given = pq.read_table(args.vectors)
    table = umap_map(given, args.sample, args.seed, args.neighbours, args.min_distance, quiet=False)
    table = with_numbers(table, args.metadata) if args.metadata else table
    picture = map_figure(table, args.colour) if args.figure else None
    write_table(table, args.out, args.overwrite)
    dropped = table["status"].to_pylist().count("dropped")
    print(
        f"{len(table)} stars written to {args.out}, {dropped} of them without data dropped from the map"
    )
    if picture:
        with atomic_write(args.figure, args.overwrite) as temporary:
            picture.savefig(temporary, dpi=110)


def check_sky(args) -> None:
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


def check_disentangle(args) -> None:
    from multistar.checks.disentangle import OWNED, disentangle, write_disentangle
    from multistar.io.files import refuse_existing
    from multistar.model.checkpoint import load_model
    from multistar.stars import read_stars

    refuse_existing(args.out, args.overwrite, OWNED)
    stars = read_stars(args.table, column_mapping(args.columns))
    result, maps = disentangle(
        load_model(args.model), stars, args.ebv, args.seed, args.stars, not args.no_umap
    )
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
    print(
        f"report.html, disentangle.json{'' if maps is None else ', umap.parquet'} written to {args.out}"
    )


def add_disentangle_options(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "--ebv",
        default="column",
        metavar="SOURCE",
        help="disentangle: column, bh, sfd, planck, bayestar, mock, or MODULE:CLASS of dustmaps",
    )
    check.add_argument(
        "--stars", type=int, default=5000, help="disentangle: at most so many, drawn at random"
    )
    check.add_argument(
        "--no-umap", action="store_true", help="disentangle: without maps, which take a minute"
    )


def _add_umap_options(umap: argparse.ArgumentParser) -> None:
    umap.add_argument("vectors", help="Parquet file written by multistar embed")
    umap.add_argument(
        "--out", required=True, help="Parquet, FITS, VOTable, ECSV or CSV by its ending"
    )
    umap.add_argument(
        "--sample",
        type=int,
        default=20_000,
        help="stars to fit to; the others are placed among them",
    )
    umap.add_argument(
        "--neighbours", type=int, default=15, help="small: detail, large: the whole (n_neighbors)"
    )
    umap.add_argument("--min-distance", type=float, default=0.1, help="between points (min_dist)")
    umap.add_argument("--seed", type=int, default=0, help="same vectors and seed, same map")
    umap.add_argument(
        "--metadata", metavar="TABLE", help="numbers to write beside the map, joined by source_id"
    )
    umap.add_argument("--figure", metavar="PNG", help="also a picture; needs --colour")
    umap.add_argument(
        "--colour", nargs="+", default=[], metavar="COLUMN", help="for --figure: e.g. teff logg"
    )


def _add_erase_options(erase: argparse.ArgumentParser) -> None:
    erase.add_argument(
        "tables", nargs="+", metavar="STARS", help="with labels; mock stars of all kinds are best"
    )
    erase.add_argument("--quantity", default="dust", help="dust, or another label (default: dust)")
    erase.add_argument(
        "--model", default="mini", help="model folder, or the name of a shipped one (default: mini)"
    )
    erase.add_argument(
        "--out",
        required=True,
        help="FILE.safetensors; erase_ebv.safetensors in the model's folder is used by default",
    )
