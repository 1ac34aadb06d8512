"""What ten neighbours share, before and after `--ignore dust` -> docs/results/neighbours_*.json.

    python scripts/benchmark_neighbours.py [--selection apogee-like] [--stars 20000] [--seed 41]

The stars are new mock ones; see multistar/checks/benchmarks/neighbours.py for what is measured.
"""

import argparse

import pyarrow as pa

from multistar.checks.benchmarks.neighbours import benchmark_neighbours, summarise_dust
from multistar.checks.results import print_rows, write_result
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--selection", default="apogee-like")
    parser.add_argument("--stars", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=41)
    args = parser.parse_args()
    model = load_model(args.model)
    table = pa.concat_tables(survey(args.stars, SurveyConfig(args.seed, selection=args.selection)))
    spaces = benchmark_neighbours(model, table)
    rows = []
    for name, found in spaces.items():
        rows.append({"neighbours_in": name, "R2_of_dust": found["dust_r2"]} | found["error"])
    print_rows("error of the mean of ten neighbours", rows)
    figures = {"spaces": spaces, "ignoring_dust": summarise_dust(spaces)}
    name = f"neighbours_{args.selection.replace('-', '_')}"
    write_result(name, figures, len(table), model.hash)


if __name__ == "__main__":
    main()
