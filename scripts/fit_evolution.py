"""Fit the coefficients in multistar/mock/evolution.npz to a set of PARSEC isochrones.

    python scripts/fit_evolution.py ISOCHRONES.npz --out multistar/mock/evolution.npz [--overwrite]

ISOCHRONES.npz holds one array per metallicity, named by Z, with the columns log age, initial mass,
present mass, log L, log Teff, logg, (unused), phase (0 main sequence, 1 subgiant, 2 red giant
branch, 3 core helium burning, 4 asymptotic giant branch) and `MH`, the [M/H] of each, in order.
"""

import argparse

import numpy as np

from multistar.checks.fitting.evolution import fit_evolution, tabulate_tracks, write_evolution
from multistar.checks.results import print_rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("isochrones")
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    fit = fit_evolution(*tabulate_tracks(np.load(args.isochrones, allow_pickle=False)))
    rows = [{"phase": phase} | residual for phase, residual in fit.residuals.items()]
    print_rows("residuals of Teff [K] and log L [dex]", rows)
    write_evolution(fit, args.out, args.overwrite)


if __name__ == "__main__":
    main()
