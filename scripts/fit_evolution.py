"""Fit the coefficients in multistar/mock/evolution.npz to a set of PARSEC isochrones.

    python scripts/fit_evolution.py ISOCHRONES.parquet --out multistar/mock/evolution.npz [--overwrite]

ISOCHRONES.parquet holds PARSEC isochrones: z, log_age, mini, mact, log_l, log_teff, logg,
composition and phase (0 main sequence and before, 1 subgiant, 2 red giant branch, 3 core helium
burning, 4 asymptotic giant branch). SHA-256 of the table that the shipped coefficients came from:
47d672423847eceb9f028c30023e58941c88a63293b837468223c57dcc6968c7
"""

import argparse

from multistar.checks.fitting.evolution import (
    fit_evolution,
    fit_young_evolution,
    read_isochrones,
    tabulate_lifetimes,
    tabulate_tracks,
    write_evolution,
)
from multistar.checks.results import print_rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("isochrones")
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    isochrones = read_isochrones(args.isochrones)
    old = fit_evolution(*tabulate_tracks(isochrones))
    values, m_h = tabulate_tracks(isochrones, young=True)
    young = fit_young_evolution(values, m_h)
    for name, fit in (("0.1-12.6 Gyr", old), ("1-130 Myr", young)):
        rows = [{"phase": phase} | residual for phase, residual in fit.residuals.items()]
        print_rows(f"{name}: residuals of Teff [K] and log L [dex]", rows)
    write_evolution(old, young, tabulate_lifetimes(values), m_h, args.out, args.overwrite)


if __name__ == "__main__":
    main()
