"""Seconds until the command line answers what needs no model -> docs/results/startup.json.

python scripts/benchmark_startup.py
"""

from multistar.checks.benchmarks.startup import measure_startup
from multistar.checks.results import print_rows, write_result


def main() -> None:
    seconds = measure_startup()
    print_rows("start-up", [{"command": name, "seconds": s} for name, s in seconds.items()])
    write_result("startup", seconds, 0)


if __name__ == "__main__":
    main()
