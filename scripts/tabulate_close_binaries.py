"""Light curves of contact and semi-detached binaries -> multistar/mock/close_binaries.npz.

    python scripts/tabulate_close_binaries.py --out multistar/mock/close_binaries.npz

Needs PHOEBE (pip install phoebe), of which 2.5.4 made the file of the package.
"""

import argparse

import numpy as np

from multistar.checks.fitting.close_binaries import tabulate_close_binaries
from multistar.io.files import atomic_write, refuse_existing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    refuse_existing(args.out, args.overwrite)
    arrays = tabulate_close_binaries()
    with atomic_write(args.out, args.overwrite) as temporary:
        np.savez_compressed(temporary, **arrays)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
