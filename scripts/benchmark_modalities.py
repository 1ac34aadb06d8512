"""What light curves tell beside XP, photometry and parallax -> docs/results/modalities.json.

    python scripts/benchmark_modalities.py --train MOCK --test MOCK --light-curves DIR
        [--core mini] [--fused DIR]

MOCK are tables with light-curve views (multistar mock --light-curves kepler --views), TEST of
another seed. MAD-std against the truth; XGBoost on the slots of the view is the baseline.
"""

import argparse

import pyarrow.parquet as pq

from multistar.checks.benchmarks.modalities import benchmark_modalities, score_boosted_trees
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--light-curves", required=True, help="model of light curves alone")
    parser.add_argument("--core", default="mini", help="model without light curves")
    parser.add_argument("--fused", help="model of all modalities")
    parser.add_argument("--trees", type=int, default=20000, help="stars of the baseline; 0: none")
    args = parser.parse_args()
    test = pq.read_table(args.test)
    alone, core = (load_model(name) for name in (args.light_curves, args.core))
    fused = load_model(args.fused) if args.fused else None
    figures = benchmark_modalities(alone, core, fused, test)
    if args.trees:
        train = pq.read_table(args.train).slice(0, args.trees)
        figures["light curve, XGBoost"] = score_boosted_trees(alone, train, test)
    rows = []
    for name, scores in figures.items():
        rows.append({"from": name} | {label: score["mad_std"] for label, score in scores.items()})
    print_rows("MAD-std to the truth", rows)
    write_result("modalities", figures, len(test), (fused or core).hash)


if __name__ == "__main__":
    main()
