"""predict and embed for tables of any length and for folders of tables: options and printing."""

import argparse
import sys
from collections import Counter
from functools import partial
from pathlib import Path

INCOMPLETE = 3  # exit code: some tables could not be read


def add_batch_options(sub: argparse.ArgumentParser) -> None:
    """Add what a folder of tables takes beside one table."""
    sub.add_argument(
        "--workers", type=int, metavar="N", help="batches of stars at once (default: cores)"
    )
    sub.add_argument(
        "--time-limit",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="for reading a part of a table, and a second more per MB; 0: none (default: 600)",
    )
    group = sub.add_argument_group(
        "many tables", "a folder of tables in and, as --out, a folder out; it can be resumed"
    )
    group.add_argument(
        "--part", default="1/1", metavar="I/N", help="only the I-th of N shares of the tables"
    )
    group.add_argument(
        "--engine", default="local", choices=("local", "ray"), help="ray: on a Ray cluster"
    )
    group.add_argument("--gpus", type=float, default=0, help="ray: share of a GPU per worker")
    group.add_argument(
        "--dry-run", action="store_true", help="say what would be done, write nothing"
    )
    group.add_argument(
        "--verify",
        action="store_true",
        help="hash all of each table that is done, not its size, time, head and tail alone",
    )
    group.add_argument(
        "--merge", metavar="FILE.parquet", help="at the end, write all results to one file, too"
    )
    group.add_argument("--log", metavar="FILE", help="one line of JSON per table")


def use_workers(number: int | None) -> None:
    """So many batches of stars at once (None: as many as torch has threads). Raises ValueError for less than one."""
    if number is None:
        return
    if number < 1:
        raise ValueError(f"--workers must be 1 or more, got {number}")
    import torch

    torch.set_num_threads(number)


def refuse_folder_options(args) -> None:
    """ValueError for options that a single result does not have, rather than doing all of it."""
    given = {
        "--part": args.part != "1/1",
        "--engine": args.engine != "local",
        "--dry-run": args.dry_run,
        "--log": args.log,
        "--merge": args.merge,
        "--verify": args.verify,
    }
    if named := [name for name, is_given in given.items() if is_given]:
        raise ValueError(
            f"{', '.join(named)}: for folders of results only; give --out a name without an ending, not {args.out}"
        )


def check_folder_options(args) -> None:
    """ValueError for --overwrite, which folders of results do not have, and for a wrong --part."""
    if args.overwrite:
        raise ValueError(
            f"--overwrite is for single tables; a folder is gone on with: remove {args.out} to do all of it again"
        )
    _part(args.part)
    if args.merge and not args.merge.endswith(".parquet"):
        raise ValueError(f"--merge {args.merge}: the name must end in .parquet")


def run_folder(args, job) -> int:
    """Exit code 0, or INCOMPLETE if a table failed."""
    from multistar.batch.folder import (
        one_after_another,
        prepare,
        results_without_table,
        run,
        shards,
    )
    from multistar.batch.ray_engine import on_ray

    found = shards(args.table, args.out, _part(args.part))
    todo = [shard for shard in found if not shard.is_done(args.verify)]
    for name in results_without_table(args.table, args.out):
        print(
            f"multistar {args.command}: {Path(args.out) / name}: its table is not in {args.table} "
            "(any more); remove it if it is not wanted",
            file=sys.stderr,
        )
    if args.dry_run:
        for shard in found:
            rows = shard.rows()
            state = "to do" if shard in todo else "done"
            print(
                f"{state:6s} {'?' if rows is None else rows:>12} rows  {shard.source.name} -> {shard.result.name}"
            )
        print(f"{len(todo)} of {len(found)} tables to do; nothing written")
        return 0
    prepare(Path(args.out), job)
    engine = partial(on_ray, gpus=args.gpus) if args.engine == "ray" else one_after_another
    records = run(todo, job, engine, Path(args.log) if args.log else None)
    counts, failed = Counter(), {}
    for name, record in records.items():
        counts.update(record.get("status", {}))
        if "error" in record:
            failed[name] = record["error"]
    done = len(found) - len(todo)
    print(
        f"{len(records) - len(failed)} tables written to {args.out}, {done} were done before; status:"
    )
    print_counts(counts)
    if args.merge:
        from multistar.batch.merge import merge_results

        results = [(shard.source.name, shard.result) for shard in found]
        rows = merge_results(results, args.merge)
        print(f"{rows} rows of {len(found) - len(failed)} tables merged in {args.merge}")
    for name, error in failed.items():
        print(f"multistar {args.command}: left out {name}: {error}", file=sys.stderr)
    return INCOMPLETE if failed else 0


def run_file(args, job) -> int:
    """One table to one Parquet file, in bounded memory."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(job.command),
        BarColumn(),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        written = job.write(
            Path(args.table),
            Path(args.out),
            args.overwrite,
            lambda n: bar.advance(task, n),
            lambda text: bar.console.print(text, markup=False, highlight=False, soft_wrap=True),
        )
    print(f"{written['rows']} rows written to {args.out}; status:")
    print_counts(Counter(written["status"]))
    return 0


def print_counts(counts: Counter) -> None:
    """Print how often each status occurs, the most frequent first."""
    for text, number in counts.most_common():
        print(f"  {number:8d}  {text}")


def _part(text: str) -> tuple[int, int]:
    try:
        index, of = map(int, text.split("/"))
    except ValueError as error:
        raise ValueError(f"--part takes I/N such as 3/16, got {text!r}") from error
    return index - 1, of
