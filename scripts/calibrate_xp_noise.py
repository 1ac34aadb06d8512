"""Measure how real XP errors depend on the order, and write multistar/mock/xp_noise.json.

    python scripts/calibrate_xp_noise.py STARS.fits --out multistar/mock/xp_noise.json

Per order: the median over real stars of the catalogued error over the photon noise that our model
gives for the star's own spectrum, divided by its median over orders 0-9. The absolute level is not
fitted, because it cannot be told from the number of transits, which XP tables need not hold.
"""

import argparse
import json

import numpy as np

from multistar.io.files import atomic_write
from multistar.io.tables import read_columns
from multistar.mock.noise import CALIBRATION_SCATTER, photon_sigma
from multistar.stars import read_stars

BRIGHT, FAINT = (
    13.0,
    17.0,
)  # G; brighter stars are limited by calibration, fainter ones by the background
TRANSITS = 34


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stars", help="table with untruncated XP coefficients and errors")
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    table = read_columns(args.stars)
    for band in ("bp", "rp"):
        table.data.pop(
            f"{band}_n_relevant_bases", None
        )  # all orders, whatever the archive thinks of them
    stars = read_stars(table)
    g = stars.scalars["g"].value
    stars = stars.select((g > BRIGHT) & (g < FAINT))
    scatter = np.interp(stars.scalars["g"].value, *CALIBRATION_SCATTER)
    shape = {}
    for band, xp in stars.xp.items():
        model = photon_sigma(band, xp.value, scatter, np.full(len(stars), TRANSITS))
        ratio = np.nanmedian(xp.sigma / model, axis=0)
        shape[band] = [round(float(x), 3) for x in ratio / np.median(ratio[:10])]
        print(f"{band}: {len(stars)} stars, order 0 {shape[band][0]}, 20 {shape[band][20]}, 40 {shape[band][40]}, "
              f"54 {shape[band][54]}")  # fmt: skip
    with atomic_write(args.out, args.overwrite) as temporary:
        temporary.write_text(json.dumps(shape))


if __name__ == "__main__":
    main()
