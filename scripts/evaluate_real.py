"""Fine-tuning on LAMOST and Kepler stars beside other learners -> docs/results/fine_tuning.json.

    python scripts/evaluate_real.py DATA [--cache DIR] [--labels 100 300] [--mode auto]

DATA is the folder of real tables. With --cache every comparison is kept there, so that a run may be
cut into pieces: what is there is not computed again.
"""

import argparse
from pathlib import Path

from multistar.checks.real.fine_tuning import average_results, evaluate_kepler, evaluate_lamost
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the real tables")
    parser.add_argument("--cache", type=Path, help="folder for the JSON of every comparison")
    parser.add_argument("--model", default="mini")
    parser.add_argument(
        "--mode", default="auto", help="of finetune; auto shows lora and trees, too"
    )
    parser.add_argument("--labels", type=int, nargs="*", default=[100, 300, 1000, 5000])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="LAMOST: draws")
    parser.add_argument("--folds", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="Kepler")
    args = parser.parse_args()
    base, how = load_model(args.model), (args.mode, args.cache)
    results = {}
    for n in args.labels:
        results[f"LAMOST, {n} labels"] = evaluate_lamost(base, args.data, n, args.seeds, *how)
    for with_c_n in (False, True) if args.folds else ():
        name = "Kepler giants" + (" with [C/N]" if with_c_n else "")
        results[name] = evaluate_kepler(base, args.data, with_c_n, args.folds, *how)
    figures = {name: average_results(runs) for name, runs in results.items()}
    for name, rows in figures.items():
        print_rows(name, rows)
    runs = {name: len(runs) for name, runs in results.items()}
    write_result("fine_tuning", {"mode": args.mode, "means": figures}, runs, base.hash)


if __name__ == "__main__":
    main()
