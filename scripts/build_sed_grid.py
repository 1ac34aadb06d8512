"""Compute the grid of spectra behind the mock and compress it into multistar/mock/sed.npz.

    python scripts/build_sed_grid.py FOLDER --models models.npz --out multistar/mock/sed.npz

FOLDER holds the real data (spectra/, photometry/, giants/). Our LTE models (20 CPU-minutes) are
kept in the file --models and read from it when it is there. Needs the extra `grid`. Prints how far
real stars that nothing was fitted to are from the spectra, before and after the correction.
"""

import argparse
from pathlib import Path

import numpy as np

from multistar.checks.fitting.sed_grid import build_sed_table, load_models
from multistar.checks.results import print_rows, write_result
from multistar.io.files import atomic_write, refuse_existing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    refuse_existing(args.out, args.overwrite)
    table, misfits, offsets = build_sed_table(*load_models(args.models), args.folder)
    print_rows("real stars that were not fitted over spectra, rms over bins [%]", misfits)
    with atomic_write(args.out, args.overwrite) as temporary:
        np.savez_compressed(temporary, **table)  # pyright: ignore[reportArgumentType]
    print_rows("zero points [mag]", [offsets], 4)
    write_result(
        "sed_grid", {"misfits": misfits, "zero_points": offsets}, sum(row["n"] for row in misfits)
    )


if __name__ == "__main__":
    main()
