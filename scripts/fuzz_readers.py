"""Valid tables with mutated bytes through the readers -> docs/results/fuzz.json.

The exit code is 1 if one fails.

    python scripts/fuzz_readers.py --seconds 60 --seed 1 [--formats csv fits] [--keep DIR]
"""

import argparse
import faulthandler
import resource
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from multistar.checks.fuzz import FORMATS, fuzz_format
from multistar.checks.results import print_rows, write_result


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--workers", type=int, default=1, help="formats at once")
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="for failed cases")
    parser.add_argument("--gigabytes", type=int, default=16, help="of address space")
    args = parser.parse_args()
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (args.gigabytes << 30, args.gigabytes << 30))
    fuzz = partial(fuzz_format, seconds=args.seconds, seed=args.seed, keep=args.keep)
    rows = []
    quiet = {"initializer": warnings.simplefilter, "initargs": ("ignore",)}
    with ProcessPoolExecutor(args.workers, max_tasks_per_child=1, **quiet) as pool:
        for row in pool.map(fuzz, args.formats):
            rows.append(row)
            print(f"{row['format']}: {row['outcomes']}", flush=True)
    print_rows("mutated files", rows)
    write_result("fuzz", {"formats": rows}, sum(row["cases"] for row in rows))
    return int(any(row["failures"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
