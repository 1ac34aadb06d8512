"""Compute the grid of model spectra and compress it into multistar/mock/sed.npz (8 CPU-minutes).

    python scripts/build_sed_grid.py --out multistar/mock/sed.npz [--overwrite]

Needs the extra `grid`.
"""

import argparse

import numpy as np

from multistar.checks.fitting.passbands import read_passbands
from multistar.checks.fitting.sed_grid import compute_grid, make_sed_table
from multistar.io.files import atomic_write, refuse_existing
from multistar.mock.atmosphere.spectrum import WAVELENGTH
from multistar.mock.atmosphere.sun import calibrate_forest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    refuse_existing(args.out, args.overwrite)
    forest = calibrate_forest()
    rms = np.std(forest.correction[WAVELENGTH > 335])
    print(f"solar spectrum over its model, 335-1066 nm: rms {rms:.3f}")
    table = make_sed_table(compute_grid(forest), forest, read_passbands(WAVELENGTH))
    with atomic_write(args.out, args.overwrite) as temporary:
        np.savez_compressed(temporary, **table)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
