"""Labels of new mock giants: a model beside the median, XGBoost and labels alone
-> docs/results/labels.json, which the model card is made of.

    python scripts/benchmark_labels.py MODEL --train MOCK --cache DIR [--no-parallax] [--samples 64]

MOCK is the table that the model was trained on; its held-out stars are left out of the baselines,
too. The test stars are 10,000 apogee-like ones of another seed.
"""

import argparse
from pathlib import Path

import pyarrow as pa

from multistar.checks.benchmarks.labels import LabelBenchmark
from multistar.checks.results import print_rows, write_result
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars
from multistar.training.data import held_out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--train", required=True, help="the table that the model was trained on")
    parser.add_argument("--cache", required=True, help="folder for the baselines' predictions")
    parser.add_argument("--held-out", type=float, default=0.05, help="share that training left out")
    parser.add_argument("--test-seed", type=int, default=1000, help="that no training has seen")
    parser.add_argument("--samples", type=int, default=64, help="joint samples of 2,000 stars")
    parser.add_argument("--no-parallax", action="store_true", help="also without parallaxes")
    args = parser.parse_args()
    model, train = load_model(args.model), read_stars(args.train)
    train = train.select(~held_out(train.source_id, args.held_out))
    test = pa.concat_tables(survey(10_000, SurveyConfig(args.test_seed)))
    benchmark = LabelBenchmark(model, train, test, Path(args.cache))
    figures: dict = {"model": model.hash, "training_stars": len(train), "test_stars": len(test)}
    for variant in ("with parallax", "without parallax")[: 1 + args.no_parallax]:
        figures[variant] = benchmark.compare(variant == "with parallax")
        rows = [{"label": n} | r["ratios"] | r["model"] for n, r in figures[variant].items()]
        print_rows(f"ratios to XGBoost; MAD-std, {variant}", rows)
    figures["joint"] = benchmark.score_joint(args.samples)
    print_rows("joint samples", [figures["joint"]])
    write_result("labels", figures, len(test), model.hash)


if __name__ == "__main__":
    main()
