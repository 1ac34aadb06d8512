"""How far real stars are from mock ones, as the model sees them -> docs/results/domain_shift.json.

    python scripts/evaluate_shift.py DATA --cache DIR [--part lamost giants members field]

The zero points of magnitudes in multistar/model/mismatch.py come from its colours. See
multistar/checks/real/domain_shift.py for the figures. Needs the extra `variability` (LightGBM).
"""

import argparse
from pathlib import Path

from multistar.checks.real.domain_shift import PARTS, evaluate_part, summarise_accuracy
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the real tables")
    parser.add_argument("--cache", type=Path, required=True, help="for JSON and mock surveys")
    parser.add_argument("--part", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    model = load_model(args.model)
    figures = {part: evaluate_part(model, args.data, part, args.cache) for part in args.part}
    for kind in ("auc", "corrected", "control", "flagged"):
        rows = [{"table": part} | result[kind] for part, result in figures.items()]
        print_rows(f"real against mock: {kind}", rows)
    print_rows("zero shot", summarise_accuracy(figures))
    for part, result in figures.items():
        rows = [
            {"colour": name, "shift": s, "error": e} for name, (s, e) in result["colours"].items()
        ]
        print_rows(f"{part}: real - mock [mag]", rows)
    n = {part: result["pairs"] for part, result in figures.items()}
    write_result("domain_shift", figures, n, model.hash)


if __name__ == "__main__":
    main()
