"""Speed of verbs, training and files beside the predecessor's network -> docs/results/speed.json.

    OMP_NUM_THREADS=2 python scripts/benchmark_speed.py [--stars 8192] [--rows 20000 200000]

Rates are per CPU time of all threads, on a GPU by the clock; files are timed by the clock.
"""

import argparse
import dataclasses
import warnings

from multistar.checks.benchmarks.speed import SpeedBenchmark, measure_file
from multistar.checks.benchmarks.turns import compare_speeds, describe_processor, summarise_speeds
from multistar.checks.results import print_rows, write_result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=8192)
    parser.add_argument("--rows", type=int, nargs="*", default=[], help="stars in files")
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison")
    parser.add_argument("--only", default="", help="verbs with this name; writes nothing")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # that bfloat16 may be slow is what is measured
    benchmark = SpeedBenchmark(args.model, args.stars, args.device)
    verbs = benchmark.measure_verbs(args.only)
    print_rows("stars/s", [{"verb": name, "stars/s": rate} for name, rate in verbs.items()])
    if args.only:
        return
    training = dataclasses.asdict(benchmark.measure_training_step())
    bfloat16 = benchmark.compare_precisions()
    print_rows("training step, and bfloat16", [training, bfloat16])
    turns = summarise_speeds(compare_speeds(args.model, args.stars // 4, args.rounds))
    print_rows("one thread per process, beside the predecessor", turns)
    figures = {"verbs": verbs, "training": training, "bfloat16": bfloat16, "turns": turns}
    figures |= {"processor": describe_processor(), "files": []}
    for rows in args.rows:
        for command in ("embed", "predict"):
            arguments = (command, "float32", args.model, args.device, benchmark.table, rows)
            figures["files"].append(measure_file(*arguments))
    print_rows("files", figures["files"])
    write_result("speed", figures, args.stars, benchmark.exact.hash)


if __name__ == "__main__":
    main()
