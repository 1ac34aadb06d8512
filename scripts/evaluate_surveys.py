"""One label scale from mock surveys of spectra, and a survey met later -> docs/results/surveys.json.

python scripts/evaluate_surveys.py [--stars 6000] [--steps 4000]
"""

import argparse
import tempfile
from pathlib import Path

from multistar.checks.benchmarks.surveys import TEST_STARS, evaluate_surveys
from multistar.checks.results import print_rows, write_result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=6000, help="of each survey, to learn from")
    parser.add_argument("--steps", type=int, default=4000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = evaluate_surveys(Path(folder), args.stars, args.steps)
    for title, rows in figures.items():
        print_rows(title, rows)
    write_result("surveys", figures, {"learnt": 4 * args.stars, "judged": TEST_STARS})


if __name__ == "__main__":
    main()
