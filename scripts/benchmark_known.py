"""Labels of new mock stars by what is known of them -> docs/results/known.json.

python scripts/benchmark_known.py [--model mini]
"""

import argparse

from multistar.checks.benchmarks.known import benchmark_known
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--stars", type=int, default=4000, help="of each selection")
    parser.add_argument("--seed", type=int, default=1003, help="that no training has seen")
    args = parser.parse_args()
    model = load_model(args.model)
    figures = benchmark_known(model, args.stars, args.seed)
    for sample, of in figures.items():
        print_rows(f"{of['stars']:,} {sample}", of["scores"])
    write_result("known", figures, {name: of["stars"] for name, of in figures.items()}, model.hash)


if __name__ == "__main__":
    main()
