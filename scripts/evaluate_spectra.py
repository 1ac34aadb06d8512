"""Labels of MILES and STELIB stars from their spectra -> docs/results/spectra.json.

    python scripts/evaluate_spectra.py DATA [--model mini] [--mode auto]

DATA is the folder of the real tables.
"""

import argparse
from pathlib import Path

from multistar.checks.real.library_spectra import (
    compare_learners,
    compare_libraries,
    judge_zero_shot,
)
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--mode", default="auto", help="of fine-tuning (default: auto)")
    args = parser.parse_args()
    model = load_model(args.model)
    zero_shot = judge_zero_shot(model, args.data)
    print_rows("stars that the mock has not seen, zero shot", zero_shot)
    twice = compare_libraries(model, args.data)
    print_rows("stars of both libraries, MILES minus STELIB", twice)
    learners = compare_learners(model, args.data, args.mode)
    print_rows("learnt from real spectra", learners)
    figures = {"zero shot": zero_shot, "both libraries": twice, "learners": learners}
    write_result("spectra", figures, sum(row["n"] for row in zero_shot[::5]), model.hash)


if __name__ == "__main__":
    main()
