"""Fit the prior that sampled XP spectra are read with: multistar/modalities/gaia_xp/sampled_prior.npz.

    python scripts/fit_sampled_prior.py --out multistar/modalities/gaia_xp/sampled_prior.npz
        [--overwrite]

Mock stars of the whole sky, giants, near, young and halo stars. Run it when the mock has changed.
"""

import argparse

import pyarrow as pa

from multistar.checks.fitting.sampled_prior import fit_sampled_prior, write_sampled_prior
from multistar.io.files import refuse_existing
from multistar.mock.survey import SurveyConfig, survey
from multistar.stars import read_stars

SHARES = {"everything": 12_000, "apogee-like": 3000, "nearby": 3000, "young": 3000, "halo": 3000}
SEED = 2100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    refuse_existing(args.out, args.overwrite)
    parts = []
    for number, (selection, stars) in enumerate(SHARES.items()):
        config = SurveyConfig(seed=SEED + number, selection=selection)
        parts.extend(survey(stars, config))
    table = pa.concat_tables(parts)
    prior = fit_sampled_prior(read_stars(table, all_orders=True))
    write_sampled_prior(prior, args.out, args.overwrite)
    print(f"{args.out}: of the brightest of {table.num_rows} mock stars")


if __name__ == "__main__":
    main()
