"""How real errors of XP coefficients depend on their order: what makes mock/xp_noise.json."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from multistar.io.files import atomic_write
from multistar.io.tables import read_columns
from multistar.mock.noise import CALIBRATION_SCATTER, photon_sigma
from multistar.stars import Stars, read_stars

# G [mag]: brighter stars are limited by calibration, fainter ones by the background.
BRIGHT, FAINT = 13.0, 17.0
TRANSITS = 34
LOWEST_ORDERS = slice(0, 10)


def read_all_orders(table: Any) -> Stars:
    """Read stars with all their XP orders, whatever the archive calls relevant."""
    columns = read_columns(table)
    for band in ("bp", "rp"):
        columns.data.pop(f"{band}_n_relevant_bases", None)
    return read_stars(columns)


def measure_noise_shape(stars: Stars) -> dict[str, list[float]]:
    """Measure the errors of XP coefficients over their photon noise, by order.

    Per order: the median over stars of 13 < G < 17 of the catalogued error over the photon noise
    that the mock's model gives for the star's own spectrum, divided by its median over orders 0-9.
    The absolute level is not fitted, because it cannot be told from the number of transits, which
    XP tables need not hold.

    Parameters
    ----------
    stars
        Stars with untruncated XP coefficients and errors, and G.

    Returns
    -------
    dict
        Band -> one number per order, rounded to 0.001.
    """
    g = stars.scalars["g"].value
    stars = stars.select((g > BRIGHT) & (g < FAINT))
    scatter = np.interp(stars.scalars["g"].value, *CALIBRATION_SCATTER)
    transits = np.full(len(stars), TRANSITS)
    shape = {}
    for band, xp in stars.xp.items():
        photon_noise = photon_sigma(band, xp.value, scatter, transits)
        ratio = np.nanmedian(xp.sigma / photon_noise, axis=0)
        relative = ratio / np.median(ratio[LOWEST_ORDERS])
        shape[band] = [round(float(x), 3) for x in relative]
    return shape


def write_noise_shape(shape: dict[str, list[float]], path: str | Path, overwrite: bool) -> None:
    """Write the shape as the mock reads it, JSON by band, atomically."""
    with atomic_write(path, overwrite) as temporary:
        temporary.write_text(json.dumps(shape))
