"""Fit the response of XP beyond GaiaXPy's instrument model: multistar/mock/xp_response.json.

    python scripts/fit_xp_response.py DATA --out multistar/mock/xp_response.json [--overwrite]

DATA is the folder of real data, whose field stars are used: 60 % to fit, the others to judge. Run it
with the mock/sed.npz of scripts/build_sed_grid.py in place.
"""

import argparse
from pathlib import Path

from multistar.checks.fitting.xp_anchors import pair_field
from multistar.checks.fitting.xp_response import fit_response, measure_left, write_response
from multistar.checks.results import print_rows, write_result
from multistar.io.files import refuse_existing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    refuse_existing(args.out, args.overwrite)
    response = fit_response(pair_field(args.data, fitted=True))
    left = measure_left(pair_field(args.data, fitted=False), response)
    print_rows("medians of stars that were not fitted over the mock's, rms [%]", left)
    write_response(response, args.out, args.overwrite)
    write_result("xp_response", {"left": left}, sum(row["n"] for row in left) // 2)


if __name__ == "__main__":
    main()
