"""Networks of several sizes, each trained for the same time -> docs/results/architectures.json.

    OMP_NUM_THREADS=1 python scripts/compare_architectures.py scripts/mini.toml \
        --seconds 3600 --only small wide
"""

import argparse

from multistar.checks.benchmarks.architectures import compare_architectures
from multistar.checks.benchmarks.turns import describe_processor
from multistar.checks.results import print_rows, write_result
from multistar.training.run import load_run

FEW = {"xp_patch": 28, "group_surveys": True}
VARIANTS = {
    "as shipped": {},
    "patch 11": {"xp_patch": 11, "group_surveys": True},
    "patch 28": FEW,
    "patch 28, depth 3 + 1": FEW | {"encoder_depth": 3, "decoder_depth": 1},
    "patch 28, width 192, depth 3 + 1": FEW
    | {"width": 192, "heads": 6, "encoder_depth": 3, "decoder_depth": 1},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", help="run file: data, batch, learning rate")
    parser.add_argument("--seconds", type=float, default=3600.0, help="of each training")
    parser.add_argument("--only", nargs="*", choices=tuple(VARIANTS), default=tuple(VARIANTS))
    parser.add_argument("--name", default="architectures", help="of the result")
    args = parser.parse_args()
    chosen = {name: VARIANTS[name] for name in args.only}
    rows = compare_architectures(load_run(args.run), chosen, args.seconds)
    print_rows("architectures at equal time", rows)
    figures = {"processor": describe_processor(), "rows": rows}
    write_result(args.name, figures, sum(row["star-steps"] for row in rows))


if __name__ == "__main__":
    main()
