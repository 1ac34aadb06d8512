"""Fit multistar/mock/optical.npz, spectra as functions of labels, to stars of the MILES library.

    python scripts/fit_optical_spectra.py FOLDER --out multistar/mock/optical.npz [--overwrite]

FOLDER holds the real data (spectra/miles.npz). One star in five is kept aside; docs/results/
optical.json says how well their spectra are known from their labels.
"""

import argparse
from pathlib import Path

import numpy as np

from multistar.checks.fitting.optical import (
    fit_optical_spectra,
    is_kept_aside,
    judge_optical_spectra,
    read_miles,
)
from multistar.checks.results import print_rows, write_result
from multistar.io.files import atomic_write, refuse_existing
from multistar.mock.optical import OpticalSpectra


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    refuse_existing(args.out, args.overwrite)
    stars = read_miles(args.folder)
    aside = is_kept_aside(stars.names)
    table = fit_optical_spectra(stars.select(~aside))
    with atomic_write(args.out, args.overwrite) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **table)  # pyright: ignore[reportArgumentType]
    rows = judge_optical_spectra(OpticalSpectra(table), stars.select(aside))
    print_rows("stars that were not fitted: rms of ln flux over pixels", rows, 4)
    write_result("optical", {"kept aside": rows}, sum(row["n"] for row in rows))


if __name__ == "__main__":
    main()
