"""Speed and memory of the mock survey -> docs/results/mock_speed.json.

    python scripts/benchmark_mock.py [--stars 20000] [--million]

Stars/s by selection without light curves, and with Gaia's and Kepler's; `--million` also writes
1,000,000 apogee-like stars to shards in a temporary folder.
"""

import argparse

from multistar.checks.benchmarks.mock import (
    benchmark_selections,
    benchmark_shards,
    measure_peak_memory,
)
from multistar.checks.results import print_rows, write_result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=20000)
    parser.add_argument("--million", action="store_true")
    args = parser.parse_args()
    figures: dict = {"selections": benchmark_selections(args.stars)}
    if args.million:
        figures["shards"] = benchmark_shards(1_000_000)
        print_rows("shards", [figures["shards"]])
    figures["peak_memory_gb"] = measure_peak_memory()
    print_rows("stars per second", figures["selections"])
    print(f"peak memory {figures['peak_memory_gb']:.2f} GB")
    write_result("mock_speed", figures, args.stars)


if __name__ == "__main__":
    main()
