"""Runs killed at random moments and begun again -> docs/results/kills.json.

    python scripts/kill_runs.py --kills 25 [--in-a-row 5] [--seed 0]

The exit code is 1 if any file is not that of a run which nobody killed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from multistar.checks.kills import KILLS_IN_A_ROW, kill_often, make_commands
from multistar.checks.results import print_rows, write_result


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=25, help="of each kind of run")
    parser.add_argument("--in-a-row", type=int, default=KILLS_IN_A_ROW)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for number, command in enumerate(make_commands(Path(name))):
            folder = Path(name) / str(number)
            rows.append(kill_often(command, folder, args.kills, rng, args.in_a_row))
            print(rows[-1], flush=True)
    print_rows("killed runs", rows)
    write_result("kills", {"commands": rows}, sum(row["kills"] for row in rows))
    return int(any(row["differences"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
