"""Models from tables of one's own: mock stars stripped to what a survey has, and LAMOST.

    python scripts/evaluate_own_survey.py [--data DATA] [--stars 5000]

DATA is the folder of real tables; without it, only mock stars. -> docs/results/own_survey.json
"""

import argparse
import tempfile
from pathlib import Path

from multistar.checks.benchmarks.own_survey import evaluate_lamost, evaluate_mock
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the real tables")
    parser.add_argument("--stars", type=int, default=5000, help="with labels")
    parser.add_argument("--steps", type=int, default=0, help="default: by the number of stars")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {"mock": evaluate_mock(folder, args.stars, steps=args.steps)}
        print_rows("mock giants: residuals against the truth", figures["mock"])
        if args.data:
            figures["LAMOST"] = evaluate_lamost(args.data, folder, args.stars, steps=args.steps)
            print_rows("LAMOST: residuals against its labels", figures["LAMOST"])
    rows = {"stars with labels": args.stars}
    write_result("own_survey", figures, rows, load_model("mini").hash)


if __name__ == "__main__":
    main()
