"""Measure how real XP errors depend on the order, and write multistar/mock/xp_noise.json.

python scripts/calibrate_xp_noise.py STARS.fits --out multistar/mock/xp_noise.json [--overwrite]
"""

import argparse

from multistar.checks.fitting.xp_noise import (
    measure_noise_shape,
    read_all_orders,
    write_noise_shape,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stars", help="table with untruncated XP coefficients and errors")
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    shape = measure_noise_shape(read_all_orders(args.stars))
    for band, orders in shape.items():
        shown = ", ".join(f"{order}: {orders[order]}" for order in (0, 20, 40, len(orders) - 1))
        print(f"{band}, by order: {shown}")
    write_noise_shape(shape, args.out, args.overwrite)


if __name__ == "__main__":
    main()
