"""Fit the response of XP beyond GaiaXPy's instrument model: multistar/mock/xp_response.json.

    python scripts/fit_xp_response.py DATA --out multistar/mock/xp_response.json
        --bright multistar/modalities/gaia_xp/bright.json [--overwrite]

DATA is the folder of real data, whose pairs of Gaia and HST are used, and field stars: 60 % to fit, the
others to judge. Run it before and after scripts/build_sed_grid.py.
"""

import argparse
from pathlib import Path

from multistar.checks.fitting.hst_pairs import read_hst_pairs
from multistar.checks.fitting.xp_anchors import pair_field
from multistar.checks.fitting.xp_response import (
    fit_response,
    measure_left,
    measure_pairs,
    write_response,
)
from multistar.checks.results import print_rows, write_result
from multistar.io.files import refuse_existing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", required=True)
    parser.add_argument("--bright", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    refuse_existing(args.out, args.overwrite)
    refuse_existing(args.bright, args.overwrite)
    response, bright = fit_response(
        pair_field(args.data, fitted=True), read_hst_pairs(args.data, fitted=True)
    )
    left = measure_left(pair_field(args.data, fitted=False), response)
    print_rows("medians of stars that were not fitted over the mock's, rms [%]", left)
    pairs = measure_pairs(read_hst_pairs(args.data, fitted=False), response, bright)
    print_rows("stars of HST that were not fitted, rms [%]", pairs)
    write_response(response, args.out, args.overwrite)
    write_response(bright, args.bright, args.overwrite)
    write_result("xp_response", {"left": left, "pairs": pairs}, sum(row["n"] for row in left) // 2)


if __name__ == "__main__":
    main()
