"""multistar spectra: parse, call, print; no logic."""

import argparse
from collections import Counter
from collections.abc import Callable

from multistar.cli.arguments import check_inputs, check_output

SURVEYS = ("sdss", "apogee", "galah", "lamost", "desi")
SHOWN = 5  # files that were left out


def add_spectra_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    """`command(name, function, text)` makes a subparser."""
    text = "spectra of SDSS, APOGEE, GALAH, LAMOST and DESI -> a table with a row per star"
    spectra = command("spectra", _spectra, text)
    spectra.add_argument("files", nargs="+", metavar="FILE", help="FITS files, or folders of them")
    spectra.add_argument("--survey", choices=SURVEYS, help="(default: each file tells)")
    spectra.add_argument(
        "--ids",
        metavar="TABLE",
        help="columns name (of the file, or the survey's of the star) and source_id",
    )
    spectra.add_argument("--out", required=True, help="a Parquet file")


def _spectra(args) -> int:
    check_inputs(*args.files, args.ids)
    check_output(args.out, args.overwrite)
    if not args.out.endswith(".parquet"):
        raise ValueError(f"--out {args.out}: the name must end in .parquet")
    from multistar.io.write import write_table
    from multistar.modalities.spectrum.surveys import read_files

    table, left_out = read_files(args.files, args.survey, _read_ids(args.ids), quiet=False)
    write_table(table, args.out, args.overwrite)
    counts = Counter(table["survey"].to_pylist())
    words = ", ".join(f"{n} of {survey}" for survey, n in counts.items())
    print(f"{len(table)} stars written to {args.out}: {words}")
    for file, why in list(left_out.items())[:SHOWN]:
        print(f"left out {file}: {why}")
    if len(left_out) > SHOWN:
        print(f"and {len(left_out) - SHOWN} more files")
    return 3 if left_out else 0


def _read_ids(path: str | None) -> dict[str, int]:
    if path is None:
        return {}
    from multistar.io.ids import ids_and_flags
    from multistar.io.tables import read_columns

    table = read_columns(path)
    if absent := [name for name in ("name", "source_id") if name not in table]:
        raise ValueError(f"{path}: no column {absent}; there are {list(table.data)}")
    names = table["name"].astype(str)
    numbers, _ = ids_and_flags(table, {})
    return {name: int(number) for name, number in zip(names, numbers, strict=True)}
