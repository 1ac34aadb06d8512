"""Real XP spectra beside mock ones of the same colour and brightness, order by order.

    python scripts/compare_real_xp.py REAL.fits [MORE.csv ...] --out compare.png [--mock-stars 40000]

For every real star the 30 mock stars (all-sky selection, away from the plane) nearest in BP-RP and G are its
peers; magnitudes are synthesised from the coefficients on both sides. By order of the G-normalised
coefficients c the table shows

    offset   median of (c real - median c of the peers), in % of the star's coefficient norm
    spread   robust scatter of real stars about their peers' median over the scatter expected from the peers
             and the errors: 1 where the mock is as diverse as the sky
    errors   median of (real error over the peers' median error)

and the figure the same, with the residual spectra. Orders with the largest |ln spread| + |ln errors| are named.
"""

import argparse

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table
from scipy.spatial import KDTree

from multistar.io.tables import read_columns
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.modality import G_ZERO_POINT
from multistar.modalities.gaia_xp.read import XP_BANDS, read_xp
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix, synthetic_magnitudes

matplotlib.use("Agg")
PEERS = 30
COLOUR_SCALE, G_SCALE = 0.02, 0.5  # mag: what counts as equally far in the search for peers
FEWEST = 2  # real stars
FARTHEST = 3.0  # in these units; real stars without peers that near are left out and counted
BLUEST, REDDEST = 0.45, 1.9  # BP-RP of the mock
LATITUDE = 25.0  # deg
BANDS = ((336, 400), (400, 500), (500, 640), (640, 800), (800, 950), (950, 1020))  # nm


class Spectra:
    """G-normalised coefficients and errors (n, 110), BP-RP and G (n,)."""

    def __init__(self, table):
        columns = read_columns(table)
        for name in [c for c in columns.data if "relevant" in c]:
            del columns.data[name]  # all orders, the noisy ones too
        xp = read_xp(columns)
        magnitude = synthetic_magnitudes(xp)
        norm = 10 ** (0.4 * (G_ZERO_POINT - magnitude["g"]))[:, None]
        self.value = np.hstack([xp[band].value for band in XP_BANDS]) / norm
        self.sigma = np.hstack([xp[band].sigma for band in XP_BANDS]) / norm
        self.colour, self.g = magnitude["bp"] - magnitude["rp"], magnitude["g"]
        self.orders = xp["bp"].value.shape[1]

    def select(self, rows) -> "Spectra":
        for name in ("value", "sigma", "colour", "g"):
            setattr(self, name, getattr(self, name)[rows])
        return self

    def place(self, by_g: bool) -> np.ndarray:
        return np.stack([self.colour / COLOUR_SCALE, self.g / (G_SCALE if by_g else np.inf)], -1)


def mock_spectra(n: int, seed: int) -> Spectra:
    table = pa.concat_tables(survey(n, SurveyConfig(seed, selection="all-sky")))
    high = np.abs(table["b"].to_numpy()) > LATITUDE
    return Spectra(table.filter(pa.array(high)))


def robust(x: np.ndarray, axis: int = 0) -> np.ndarray:
    low, high = np.nanpercentile(x, [16, 84], axis=axis)
    return (high - low) / 2


def compare(real: Spectra, mock: Spectra) -> dict[str, np.ndarray] | None:
    """What the table shows, by order; None without peers."""
    for by_g in (True, False):
        distance, peers = map(np.asarray, KDTree(mock.place(by_g)).query(real.place(by_g), k=PEERS))
        near = distance[:, -1] < FARTHEST
        if near.sum() >= FEWEST:
            break
    else:
        print("too few with peers even by colour alone")
        return None
    how = "in colour and G" if by_g else "in colour alone: errors cannot be compared"
    print(f"{near.sum()} of them have {PEERS} peers near enough {how}")
    real, peers = real.select(near), peers[near]
    centre, scatter = np.median(mock.value[peers], axis=1), robust(mock.value[peers], axis=1)
    residual = real.value - centre
    norm = np.linalg.norm(real.value, axis=1, keepdims=True)
    # peers' scatter holds their noise; trade it for the real star's
    peer_sigma = np.median(mock.sigma[peers], axis=1)
    expected = np.sqrt(np.maximum(scatter**2 - peer_sigma**2, 0) + real.sigma**2)
    flux = (residual @ flux_matrix()) / (centre @ flux_matrix())
    return {
        "offset": 100 * np.median(residual / norm, axis=0), "scatter": 100 * robust(residual / norm),
        "spread": robust(residual / expected), "errors": np.median(real.sigma / peer_sigma, axis=0),
        "spectrum": 100 * np.percentile(flux, [16, 50, 84], axis=0),
    }  # fmt: skip


def show(result: dict[str, np.ndarray], orders: int) -> None:
    table = Table(title="real against mock")
    for name in ("band", "orders", "offset %", "real scatter %", "spread", "errors"):
        table.add_column(name, justify="right")
    for band, first in (("BP", 0), ("RP", orders)):
        for low, high in ((0, 1), (1, 2), (2, 3), (3, 5), (5, 10), (10, 20), (20, 30), (30, 55)):
            here = slice(first + low, first + high)
            cells = [f"{result['offset'][here][np.argmax(abs(result['offset'][here]))]:+.2f}"]
            cells += [
                f"{np.median(result[name][here]):.2f}" for name in ("scatter", "spread", "errors")
            ]
            table.add_row(band, f"{low}-{high - 1}", *cells)
    Console(width=100).print(table)
    badness = abs(np.log(result["spread"])) + abs(np.log(result["errors"]))
    worst = np.argsort(badness)[::-1][:8]
    names = [f"{'BP' if i < orders else 'RP'} {i % orders}" for i in worst]
    print("worst orders:", ", ".join(f"{n} (spread {result['spread'][i]:.2f}, errors {result['errors'][i]:.2f})"
                                     for n, i in zip(names, worst, strict=True)))  # fmt: skip
    for low, high in BANDS:
        inside = (low <= WAVELENGTH) & (high > WAVELENGTH)
        median = np.median(result["spectrum"][1][inside])
        wide = np.median((result["spectrum"][2] - result["spectrum"][0])[inside]) / 2
        print(
            f"  {low:4d}-{high:4d} nm: real flux over mock {median:+.1f} % (scatter {wide:.1f} %)"
        )


def draw(results: dict[str, dict], orders: int, path: str) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(13, 8))
    for name, result in results.items():
        for axis, key in zip(axes.flat[:3], ("offset", "spread", "errors"), strict=True):
            axis.plot(result[key], ".-", ms=4, lw=0.8, label=name)
            axis.axvline(orders - 0.5, color="0.8")
        low, middle, high = result["spectrum"]
        axes[1, 1].plot(WAVELENGTH, middle, lw=1, label=name)
        axes[1, 1].fill_between(WAVELENGTH, low, high, alpha=0.15)
    titles = (
        "offset [% of the norm]",
        "scatter, real over expected",
        "error, real over mock",
        "flux, real over mock [%]",
    )
    for axis, title in zip(axes.flat, titles, strict=True):
        axis.set(title=title, xlabel="order (BP, then RP)")
        axis.grid(alpha=0.3)
    axes[0, 1].set(yscale="log", ylim=(0.3, 10))
    axes[1, 0].set(yscale="log")
    axes[1, 1].set(xlabel="wavelength [nm]", ylim=(-25, 25))
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("real", nargs="+", help="tables with XP coefficients and errors")
    parser.add_argument("--out", required=True, help="figure (PNG)")
    parser.add_argument("--mock-stars", type=int, default=40000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    mock = mock_spectra(args.mock_stars, args.seed)
    results = {}
    for path in args.real:
        real = Spectra(path)
        usable = np.isfinite(real.value).all(1) & (real.colour > BLUEST) & (real.colour < REDDEST)
        print(f"\n{path}: {len(usable)} stars, {usable.sum()} with BP-RP of {BLUEST}-{REDDEST}")
        if usable.sum() >= FEWEST and (result := compare(real.select(usable), mock)):
            results[path.rsplit("/", 1)[-1][:40]] = result
            show(result, mock.orders)
    draw(results, mock.orders, args.out)


if __name__ == "__main__":
    main()
