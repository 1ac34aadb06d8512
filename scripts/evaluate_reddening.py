"""E(B-V) of real stars beside dust maps and other people's values -> docs/results/reddening.json.

    python scripts/evaluate_reddening.py DATA [--cache DIR] [--part giants lamost field]

See multistar/checks/real/reddening.py for the parts and what is measured.
"""

import argparse
from pathlib import Path

from multistar.checks.real.reddening import PARTS
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the real tables")
    parser.add_argument("--cache", type=Path, help="folder for the JSON of every part")
    parser.add_argument("--part", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--mode", default="lora")
    args = parser.parse_args()
    model, figures = load_model(args.model), {}
    for part in args.part:
        figures[part] = PARTS[part](model, args.data, args.mode, args.cache)
        print_rows(f"E(B-V), {part}", figures[part]["rows"])
    n = {part: figure["stars"] for part, figure in figures.items()}
    write_result("reddening", figures, n, model.hash)


if __name__ == "__main__":
    main()
