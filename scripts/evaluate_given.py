"""Kepler giants with known spectra, and with dust maps -> docs/results/given.json.

python scripts/evaluate_given.py DATA [--model mini]
"""

import argparse
from pathlib import Path

from multistar.checks.real.given import compare_dust, compare_given
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the real tables")
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    model = load_model(args.model)
    given, dust = compare_given(model, args.data), compare_dust(model, args.data)
    print_rows("mass and age of Kepler giants", given)
    print_rows("Teff and E(B-V) of Kepler giants", dust)
    write_result("given", {"given": given, "dust": dust}, given[0]["stars"], model.hash)


if __name__ == "__main__":
    main()
