"""Real XP spectra beside mock ones of the same colour and G -> docs/results/real_spectra.json.

    python scripts/compare_real_xp.py REAL.fits [MORE.csv ...] [--mock-stars 40000]

See multistar/checks/real/spectra.py for what is compared; mismatch.py
has its residuals from here.
"""

import argparse
from pathlib import Path

from multistar.checks.real.spectra import (
    compare_spectra,
    make_mock_spectra,
    read_spectra,
    select_usable,
    summarise_flux,
    summarise_orders,
)
from multistar.checks.results import print_rows, write_result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("real", nargs="+", help="tables with XP coefficients and errors")
    parser.add_argument("--mock-stars", type=int, default=40000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    mock, figures = make_mock_spectra(args.mock_stars, args.seed), {}
    for path in args.real:
        name, result = Path(path).name, compare_spectra(select_usable(read_spectra(path)), mock)
        if result is None:
            print(f"{name}: too few stars have peers in the mock")
            continue
        print_rows(f"{name}, {result['stars']} stars", summarise_orders(result, mock.bp_orders))
        print_rows("real flux over mock", summarise_flux(result))
        figures[name] = result
    n = {name: result["stars"] for name, result in figures.items()}
    write_result("real_spectra", figures, n)


if __name__ == "__main__":
    main()
