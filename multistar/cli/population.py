"""multistar erase|umap|check disentangle: parse, call, print; no logic."""

import argparse
from collections.abc import Callable

from multistar.cli.arguments import check_inputs, check_model, check_output
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
    from multistar.inference.erase import fit_nuisance_projection
    from multistar.model.checkpoint import load_model
    from multistar.model.nuisance import save_projection
    from multistar.stars import concatenate_stars, read_stars

    model = load_model(args.model)
    declared = model.vocabulary.declared
    tables = [read_stars(table, declared=declared) for table in args.tables]
    projection = fit_nuisance_projection(model, concatenate_stars(tables), args.quantity)
    save_projection(projection, args.out, args.overwrite)
    print(
        f"{projection.name} at fixed {', '.join(projection.intrinsic)}: vectors of "
        f"{projection.dimension} numbers; in {args.out}"
    )


def _umap(args) -> None:
    check_ending(args.out)
    if bool(args.figure) != bool(args.colour):
        raise ValueError("--figure PNG and --colour COLUMN belong together")
    check_inputs(args.vectors, args.metadata)
    for path in filter(None, (args.out, args.figure)):
        check_output(path, args.overwrite)
    import pyarrow.parquet as pq

    from multistar.index.umap_map import umap_map, with_numbers
    from multistar.io.files import atomic_write
    from multistar.io.write import write_table
    from multistar.plots.map import plot_map

    given = pq.read_table(args.vectors)
    table = umap_map(given, args.sample, args.seed, args.neighbours, args.min_distance, quiet=False)
    table = with_numbers(table, args.metadata) if args.metadata else table
    picture = plot_map(table, args.colour) if args.figure else None
    write_table(table, args.out, args.overwrite)
    dropped = table["status"].to_pylist().count("dropped")
    print(
        f"{len(table)} stars written to {args.out}, {dropped} of them without data dropped from the map"
    )
    if picture:
        with atomic_write(args.figure, args.overwrite) as temporary:
            picture.savefig(temporary, dpi=110)


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
