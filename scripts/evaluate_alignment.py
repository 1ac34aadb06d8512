"""Light curve -> the same star by XP, photometry and parallax -> docs/results/alignment.json.

    python scripts/evaluate_alignment.py MODEL --train MOCK --test MOCK [--pairs 2000]

MOCK are tables with light-curve views, TEST of another seed. The model's own alignment stands
beside others that are learnt anew from its embeddings of TRAIN.
"""

import argparse

from multistar.checks.benchmarks.alignment import benchmark_alignments, embed_pairs
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--train-pairs", type=int, default=20000)
    args = parser.parse_args()
    model = load_model(args.model)
    train = embed_pairs(model, read_stars(args.train).select(slice(0, args.train_pairs)))
    test = embed_pairs(model, read_stars(args.test).select(slice(0, args.pairs)))
    figures = benchmark_alignments(model.config.alignment, train, test)
    rows = [{"alignment": name} | recall for name, recall in figures.items()]
    print_rows("the other view of a star among the nearest", rows)
    write_result("alignment", figures, len(test.curve), model.hash)


if __name__ == "__main__":
    main()
