"""Compute the grid of spectra behind the mock and compress it into multistar/mock/sed.npz.

    python scripts/build_sed_grid.py FOLDER --models models.npz --out multistar/mock/sed.npz

FOLDER holds the real data (spectra/, photometry/, giants/). Our LTE models (20 CPU-minutes) are
kept in the file --models and read from it when it is there. Needs the extra `grid`. Prints how far
real stars that nothing was fitted to are from the spectra, before and after the correction.
"""

import argparse
from pathlib import Path

import numpy as np

from multistar.checks.fitting import sed_grid as grids
from multistar.checks.fitting.passbands import read_passbands
from multistar.checks.fitting.sky_anchors import AnchorMaker, read_anchors
from multistar.checks.fitting.sky_correction import fit_correction
from multistar.checks.results import print_rows, write_result
from multistar.io.files import atomic_write, refuse_existing
from multistar.mock.atmosphere.spectrum import WAVELENGTH


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
    models, forest = grids.load_models(args.models)
    bands = read_passbands(WAVELENGTH)
    kurucz = args.folder / "spectra" / "kurucz93_solar.npz"
    grid = grids.join_models(models, bands, kurucz)
    spectrum = grids.as_spectrum(grids.make_sed_table(grid, forest, bands))
    maker = AnchorMaker(spectrum, WAVELENGTH, bands)
    correction = fit_correction(read_anchors(args.folder, maker))
    others = read_anchors(args.folder, maker, fitted=False)
    misfits = grids.measure_misfits(correction, others)
    print_rows("real stars over spectra, others than those fitted, rms over bins [%]", misfits)
    corrected = grids.correct_grid(grid, correction)
    table = grids.make_sed_table(corrected, forest, bands, correction)
    with atomic_write(args.out, args.overwrite) as temporary:
        np.savez_compressed(temporary, **table)  # pyright: ignore[reportArgumentType]
    write_result("sed_grid", {"misfits": misfits}, len(others), "")


if __name__ == "__main__":
    main()
