"""multistar index|update|search: parse, call, print; no logic."""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from multistar.cli.arguments import check_indices, check_inputs, check_model, check_output
from multistar.io.endings import check_ending

if TYPE_CHECKING:
    import pyarrow as pa


def add_index_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """`command(name, function, text)` makes a subparser."""
    _add_index_options(command("index", _index, "an index for similarity search from embeddings"))
    _add_update_options(
        command("update", _update, "add, delete or merge stars of an index, or build it anew")
    )
    _add_search_options(
        command("search", _search, "the stars most similar to one star, to many, or to labels")
    )


def _index(args) -> None:
    check_indices()
    check_inputs(*args.embeddings, args.metadata)
    check_output(args.out, args.overwrite)
    _check_model_if(args, args.ignore)
    from multistar.index.folder import OWNED
    from multistar.index.star_index import StarIndex
    from multistar.io.files import refuse_existing

    refuse_existing(args.out, args.overwrite, OWNED)
    projection = _projection(args)
    index = StarIndex.build(
        args.embeddings, args.kind, args.duplicates, args.metadata, args.keep, projection
    )
    index.save(args.out, args.overwrite)
    _print_index(index, args.out)


def _check_model_if(args, needed) -> None:
    """--model has a default, which may be missing where no model is needed."""
    if needed:
        check_model(args.model, args.ignore)


def _projection(args):
    from multistar.model.checkpoint import load_model

    return load_model(args.model).projection(args.ignore) if args.ignore else None


def _update(args) -> None:
    check_indices(args.index, *args.merge)
    check_inputs(args.delete, *args.add)
    check_output(args.out, args.overwrite)
    import numpy as np

    from multistar.index.folder import OWNED
    from multistar.index.star_index import StarIndex
    from multistar.io.files import refuse_existing
    from multistar.io.ids import read_ids

    refuse_existing(args.out, args.overwrite, OWNED)
    index = StarIndex.load(args.index)
    before = len(index)
    if args.delete:
        index.delete(np.unique(read_ids(args.delete)))
    if args.add:
        index.add(args.add, args.duplicates)
    if args.merge or args.kind:
        index = StarIndex.merge(
            [index, *map(StarIndex.load, args.merge)], args.kind, args.duplicates
        )
    if args.dedupe:
        print(f"{index.dedupe()} stars with the vector of another left out")
    index.save(args.out, args.overwrite)
    print(f"{before} stars before")
    _print_index(index, args.out)


def _print_index(index, out: str) -> None:
    note = f"; {index.left_out} rows without data or id left out" if index.left_out else ""
    print(f"index of {len(index)} stars written to {out}{note}")
    print(
        f"kind {index.kind}: {index.reason}; recall@10 {index.recall:.3f}, parameters {index.parameters}"
    )
    if index.ignore:
        print(f"its vectors ignore {index.ignore}")
    if names := index.metadata.names:
        print(
            f"with {len(names)} numbers for {index.metadata.described()} of them: {', '.join(names)}"
        )


def _search(args) -> None:
    check_indices(args.index)
    check_inputs(args.queries, args.table, args.star, args.data)
    _check_model_if(args, args.star or args.like or args.data or args.ignore)
    if args.out:
        check_ending(args.out)
        check_output(args.out, args.overwrite)
    import pyarrow as pa

    from multistar.index.star_index import StarIndex
    from multistar.io.write import write_tables

    index = StarIndex.load(args.index, mapped=True, verify=not args.no_verify)
    projection = _projection(args)
    if projection and index.ignore != projection.name:
        index = index.ignoring(projection)
        advice = (
            f"keep them, if they are many: multistar index VECTORS --ignore {args.ignore} --out IDX"
        )
        print(
            f"vectors of {len(index)} stars changed to ignore {args.ignore}; {advice}",
            file=sys.stderr,
        )
    tables = _warn_of_outside(index, _counted(_neighbours(args, index, projection)))
    if args.explain:
        tables = _explained(args, index, pa.concat_tables(tables))
    if args.out:
        print(f"{write_tables(tables, args.out, args.overwrite)} neighbours written to {args.out}")
        return
    if args.source_id and args.columns and not args.explain:
        _print_queries(index, args.source_id, args.columns)
    has_header = False
    for row in (row for table in tables for row in table.to_pylist() if not args.explain):
        if not has_header:
            print("  ".join(row), file=sys.stderr)
            has_header = True
        others = "".join(f"  {value:.6g}" for value in list(row.values())[4:])
        print(
            f"{row['query_id']}  {row['rank']:4d}  {row['neighbour_id']}  {row['distance']:.6f}{others}"
        )


def _print_queries(index, ids: list[int], columns: list[str]) -> None:
    """Print what the index knows of the queries themselves, beside the table of neighbours."""
    known = index.numbers(ids)
    for row, query in enumerate(ids):
        values = (f"{name} {known[name][row]:.6g}" for name in columns)
        print(f"query {query}: {', '.join(values)}", file=sys.stderr)


def _warn_of_outside(index, tables: Iterator["pa.Table"]) -> Iterator["pa.Table"]:
    """Say which neighbours are unlike the training stars, as far as the index was told."""
    import numpy as np

    from multistar.index.metadata import OUTSIDE

    for table in tables:
        if OUTSIDE in index.metadata.names:
            ids = np.unique(table["neighbour_id"].to_numpy())
            ids = ids[index.numbers(ids)[OUTSIDE] > 0]
            if len(ids):
                named = ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")
                print(f"{OUTSIDE}: {len(ids)} of the neighbours: {named}", file=sys.stderr)
        yield table


def _neighbours(args, index, projection) -> Iterator["pa.Table"]:
    from multistar.index.search import search_like, search_stars, search_table
    from multistar.io.ids import read_ids
    from multistar.model.checkpoint import load_model
    from multistar.stars import read_stars

    wanted = args.k, args.columns
    if args.table:
        yield from search_table(index, args.table, *wanted, projection)
    elif args.star:
        stars = read_stars(args.star, labels=False)
        yield search_stars(index, load_model(args.model), stars, *wanted, ignore=args.ignore)
    elif args.like:
        found, status = search_like(index, load_model(args.model), dict(args.like), *wanted)
        if status != "ok":
            print(f"these labels: {status}", file=sys.stderr)
        yield found
    else:
        yield index.neighbours(args.source_id or read_ids(args.queries), *wanted)


def _counted(tables: Iterator["pa.Table"]) -> Iterator["pa.Table"]:
    for i, table in enumerate(tables):
        left_out = int((table.schema.metadata or {}).get(b"left_out", 0))
        if left_out and not i:
            print(f"{left_out} rows without data or id left out", file=sys.stderr)
        yield table


def _explained(args, index, found: "pa.Table") -> Iterator["pa.Table"]:
    from multistar.index.explain import exactly, explain, print_explanation
    from multistar.inference.predict import predict
    from multistar.model.checkpoint import load_model
    from multistar.stars import concatenate_stars, read_stars

    model = load_model(args.model) if args.data or args.star else None
    tables = [read_stars(path, labels=False) for path in (args.star, args.data) if path]
    labels = exactly(dict(args.like)) if args.like else None
    if model and args.star:
        labels = predict(model, tables[0], quiet=True)
    explained = explain(found, index, model, concatenate_stars(tables) if tables else None, labels)
    print_explanation(explained, found.column_names[4:])
    yield explained


def _number(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected LABEL=NUMBER, got {text!r}") from error


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _source_id(text: str) -> int:
    if not text.isdigit() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no 64-bit source_id")
    return int(text)


def _add_index_options(index: argparse.ArgumentParser) -> None:
    index.add_argument(
        "embeddings", nargs="+", help="Parquet files written by multistar embed, or folders of them"
    )
    index.add_argument("--out", required=True, help="index folder")
    index.add_argument(
        "--ignore",
        metavar="QUANTITY",
        help="dust, ...: neighbours whatever it is, from plain embeddings",
    )
    index.add_argument(
        "--model", default="mini", help="for --ignore: that of the embeddings (default: mini)"
    )
    index.add_argument(
        "--metadata", metavar="TABLE", help="numbers to keep beside the stars, joined by source_id"
    )
    index.add_argument(
        "--keep",
        type=_names,
        default=[],
        metavar="A,B",
        help="columns of --metadata (default: all numbers)",
    )
    _add_kind(index)


def _add_kind(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--kind",
        help="exact, hnsw, ivf-sq8, pca-sq8, rabitq (default: chosen by the number of stars)",
    )
    command.add_argument(
        "--duplicates",
        default="error",
        choices=("error", "first", "last"),
        help="which row of a source_id to keep",
    )


def _add_update_options(update: argparse.ArgumentParser) -> None:
    update.add_argument("index", help="index folder; stays as it is unless --out names it")
    update.add_argument(
        "--delete", metavar="TABLE", help="stars to leave out: a table with a column source_id"
    )
    update.add_argument(
        "--add", nargs="+", default=[], metavar="EMBEDDINGS", help="as for multistar index"
    )
    update.add_argument(
        "--merge", nargs="+", default=[], metavar="INDEX", help="other indices of the same model"
    )
    update.add_argument(
        "--dedupe", action="store_true", help="leave out stars with the same vector as another"
    )
    update.add_argument("--out", required=True, help="index folder")
    _add_kind(update)


def _add_search_options(search: argparse.ArgumentParser) -> None:
    search.add_argument("index", help="index folder")
    which = search.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--source-id", type=_source_id, nargs="+", metavar="ID", help="stars of the index"
    )
    which.add_argument(
        "--queries", metavar="TABLE", help="stars of the index: a table with a column source_id"
    )
    which.add_argument(
        "--table", metavar="EMBEDDINGS", help="Parquet file of multistar embed, of any size"
    )
    which.add_argument("--star", metavar="TABLE", help="measurements, as for multistar embed")
    which.add_argument(
        "--like",
        type=_number,
        nargs="+",
        metavar="LABEL=NUMBER",
        help="e.g. teff=4700 logg=2.5 mass=2",
    )
    search.add_argument("-k", "--k", type=int, default=10, help="how many neighbours")
    search.add_argument(
        "--with",
        dest="columns",
        type=_names,
        default=[],
        metavar="A,B",
        help="columns of the index",
    )
    search.add_argument("--model", default="mini", help="that of the index (default: mini)")
    search.add_argument("--ignore", metavar="QUANTITY", help="dust, ...: neighbours whatever it is")
    search.add_argument(
        "--explain", action="store_true", help="print how neighbours differ, in labels and data"
    )
    search.add_argument("--data", metavar="TABLE", help="for --explain: measurements of the stars")
    search.add_argument(
        "--no-verify", action="store_true", help="compare sizes, not hashes, of the index files"
    )
    search.add_argument("--out", help="Parquet, FITS, VOTable, ECSV or CSV; printed if not given")
