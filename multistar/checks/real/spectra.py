"""Real XP spectra beside mock ones of the same colour and brightness, order by order.

For every real star the PEERS mock stars (all-sky selection, away from the plane) nearest in BP-RP
and G are its peers; magnitudes are synthesised from the coefficients on both sides.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.spatial import KDTree

from multistar.io.tables import read_columns
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.modality import G_ZERO_POINT
from multistar.modalities.gaia_xp.read import XP_BANDS, read_xp
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix, synthetic_magnitudes

PEERS = 30
UNIT_COLOUR, UNIT_G = 0.02, 0.5  # mag: what counts as equally far in the search for peers
FEWEST = 2  # real stars
FARTHEST = 3.0  # in these units; real stars without peers that near are left out and counted
BLUEST, REDDEST = 0.45, 1.9  # BP-RP of the mock
LATITUDE = 25.0  # deg
ORDERS = ((0, 1), (1, 2), (2, 3), (3, 5), (5, 10), (10, 20), (20, 30), (30, 55))
RANGES = ((336, 400), (400, 500), (500, 640), (640, 800), (800, 950), (950, 1020))  # nm


@dataclass(frozen=True)
class Spectra:
    """G-normalised coefficients and errors (n, BP and RP orders), BP-RP and G (n,) [mag]."""

    value: np.ndarray
    sigma: np.ndarray
    colour: np.ndarray
    g: np.ndarray
    bp_orders: int

    def select(self, rows: np.ndarray) -> "Spectra":
        """Return some of the spectra."""
        parts = (self.value[rows], self.sigma[rows], self.colour[rows], self.g[rows])
        return Spectra(*parts, self.bp_orders)

    def place(self, by_g: bool) -> np.ndarray:
        """Place spectra (n, 2) by colour, and by G if wanted, in the units above."""
        g = self.g / UNIT_G if by_g else np.zeros(len(self.g))
        return np.stack([self.colour / UNIT_COLOUR, g], -1)


def read_spectra(table: Any) -> Spectra:
    """Read all orders of XP spectra, the noisy ones too."""
    columns = read_columns(table)
    for name in [name for name in columns.data if "relevant" in name]:
        del columns.data[name]
    xp = read_xp(columns)
    magnitude = synthetic_magnitudes(xp)
    norm = 10 ** (0.4 * (G_ZERO_POINT - magnitude["g"]))[:, None]
    return Spectra(
        value=np.hstack([xp[band].value for band in XP_BANDS]) / norm,
        sigma=np.hstack([xp[band].sigma for band in XP_BANDS]) / norm,
        colour=magnitude["bp"] - magnitude["rp"],
        g=magnitude["g"],
        bp_orders=xp["bp"].value.shape[1],
    )


def make_mock_spectra(n: int, seed: int) -> Spectra:
    """Make mock spectra of the all-sky selection, away from the Galactic plane."""
    table = pa.concat_tables(survey(n, SurveyConfig(seed, selection="all-sky")))
    high = np.abs(table["b"].to_numpy()) > LATITUDE
    return read_spectra(table.filter(pa.array(high)))


def select_usable(spectra: Spectra) -> Spectra:
    """Select spectra that are whole and of a colour that the mock has."""
    whole = np.isfinite(spectra.value).all(1)
    return spectra.select(whole & (spectra.colour > BLUEST) & (spectra.colour < REDDEST))


def compare_spectra(real: Spectra, mock: Spectra) -> dict | None:
    """Compare real spectra with those of their peers.

    Returns
    -------
    dict or None
        None if fewer than FEWEST stars have peers. Otherwise `stars` and `peers_in_g` (if not,
        peers are of like colour alone, and errors cannot be compared), and by order
        `offset`, median of (real - median of the peers) in % of the star's coefficient norm;
        `scatter` of the same;
        `spread`, robust scatter of real stars about their peers' median over the scatter expected
        from the peers and the errors: 1 where the mock is as diverse as the sky;
        `errors`, median of (real error over the peers' median error);
        and `spectrum`, the 16th, 50th and 84th percentile of real over mock flux - 1 [%] by
        wavelength.
    """
    for by_g in (True, False):
        tree = KDTree(mock.place(by_g))
        distance, peers = map(np.asarray, tree.query(real.place(by_g), k=PEERS))
        near = distance[:, -1] < FARTHEST
        if near.sum() >= FEWEST:
            break
    else:
        return None
    real, peers = real.select(near), peers[near]
    centre = np.median(mock.value[peers], axis=1)
    scatter = _measure_spread(mock.value[peers], axis=1)
    residual = real.value - centre
    relative = 100 * residual / np.linalg.norm(real.value, axis=1, keepdims=True)
    # The peers' scatter holds their noise; it is traded for the real star's.
    peer_sigma = np.median(mock.sigma[peers], axis=1)
    expected = np.sqrt(np.maximum(scatter**2 - peer_sigma**2, 0) + real.sigma**2)
    flux = (residual @ flux_matrix()) / (centre @ flux_matrix())
    return {
        "stars": len(peers),
        "peers_in_g": by_g,
        "offset": np.median(relative, axis=0),
        "scatter": _measure_spread(relative),
        "spread": _measure_spread(residual / expected),
        "errors": np.median(real.sigma / peer_sigma, axis=0),
        "spectrum": 100 * np.percentile(flux, [16, 50, 84], axis=0),
    }


def _measure_spread(x: np.ndarray, axis: int = 0) -> np.ndarray:
    low, high = np.nanpercentile(x, [16, 84], axis=axis)
    return (high - low) / 2


def summarise_orders(result: dict, bp_orders: int) -> list[dict]:
    """List the largest offset and medians of the other figures, by band and orders."""
    rows = []
    for band, start in (("BP", 0), ("RP", bp_orders)):
        for low, high in ORDERS:
            here = slice(start + low, start + high)
            offset = result["offset"][here]
            row: dict = {"band": band, "orders": f"{low}-{high - 1}"}
            row["offset_percent"] = float(offset[np.argmax(abs(offset))])
            for name in ("scatter", "spread", "errors"):
                row[name] = float(np.median(result[name][here]))
            rows.append(row)
    return rows


def summarise_flux(result: dict) -> list[dict]:
    """List the median of real over mock flux - 1 and its scatter [%], by range of wavelengths."""
    rows = []
    for low, high in RANGES:
        inside = (low <= WAVELENGTH) & (high > WAVELENGTH)
        lower, middle, upper = result["spectrum"][:, inside]
        row: dict = {"nm": f"{low}-{high}", "median_percent": float(np.median(middle))}
        row["scatter_percent"] = float(np.median(upper - lower) / 2)
        rows.append(row)
    return rows
