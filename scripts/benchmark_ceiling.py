"""What a star costs the network against what the machine can do, CPU or GPU
-> docs/results/ceiling_cpu.json or ceiling_cuda.json.

    OMP_NUM_THREADS=2 python scripts/benchmark_ceiling.py [--model mini] [--device cpu]
"""

import argparse

import pyarrow as pa

from multistar.api import MultiStar
from multistar.checks.benchmarks.ceiling import benchmark_ceiling
from multistar.checks.results import print_rows, write_result
from multistar.inference.stream import BATCH, BATCH_ON_GPU
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import device_of
from multistar.precision import PRECISIONS
from multistar.stars import read_stars


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU where there is one)")
    args = parser.parse_args()
    device = device_of(args.device)
    n = BATCH if device.type == "cpu" else BATCH_ON_GPU
    stars = read_stars(pa.concat_tables(survey(n, SurveyConfig(seed=77))))
    figures, weights = {}, None
    for precision in PRECISIONS:
        front = MultiStar.from_pretrained(args.model, precision=precision, device=str(device))
        weights = front.model.hash
        result = benchmark_ceiling(front.model, precision, stars)
        figures[precision] = result
        reached = f"{result['gflops']:,.0f} GFLOP/s, {result['copies_gb_per_s']:,.0f} GB/s"
        print_rows(f"{precision}: ceilings {reached}", result["tasks"])
    write_result(f"ceiling_{device.type}", figures, n, weights)


if __name__ == "__main__":
    main()
