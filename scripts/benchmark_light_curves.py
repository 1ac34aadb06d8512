"""Time per mock light curve, and how well 90 days of Kepler tell the log g of a giant.

python scripts/benchmark_light_curves.py [--giants 2600]

The second part turns each giant's light curve into 120 logarithms of binned power, lets gradient-boosted trees learn
log g from four fifths of them and prints the scatter on the rest. Masses and radii are drawn without stellar evolution.
"""

import argparse
import time

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingRegressor

from multistar.mock.variability.light_curve import LightCurve, StarParameters, light_curve
from multistar.mock.variability.missions import MISSIONS

SOLAR_LOGG = 4.438
STARS = {
    "red giant": StarParameters(1, 1.2, 10.9, 4800, 12, 11.4, helium_burning=True),
    "spotted dwarf": StarParameters(2, 1.0, 1.0, 5772, 12, 11.5, rotation_period=10, spot_amplitude=0.01),
    "eclipsing binary": StarParameters(
        3, 1.0, 1.0, 5772, 12, 11.5, orbital_period=3.3, inclination=88, radius_ratio=0.8, scaled_axis=9,
        flux_ratio=0.4, mass_ratio=0.8,
    ),
    "RR Lyrae": StarParameters(
        4, 0.65, 5.0, 6500, 14, 13.6, variability_class="rrab", pulsation_period=0.55, pulsation_amplitude=0.9
    ),
}  # fmt: skip


def milliseconds(star: StarParameters, mission: str) -> float:
    """Time per light curve, after one that fills the caches."""
    light_curve(star, mission, 0)
    repeats = 5 if mission == "kepler-long" else 100
    start = time.perf_counter()
    for seed in range(repeats):
        light_curve(star, mission, seed)
    return 1e3 * (time.perf_counter() - start) / repeats


def print_times(console: Console) -> None:
    table = Table("ms per light curve", *MISSIONS)
    for name, star in STARS.items():
        table.add_row(name, *(f"{milliseconds(star, mission):.2f}" for mission in MISSIONS))
    console.print(table)


def draw_giants(n: int, rng: np.random.Generator) -> tuple[list[StarParameters], np.ndarray]:
    """Stars and their log g, 1.8 to 3.3; a third of those around 2.4 burn helium."""
    mass, logg = rng.uniform(0.8, 2.5, n), rng.uniform(1.8, 3.3, n)
    radius = np.sqrt(mass * 10 ** (SOLAR_LOGG - logg))
    teff = 4800 + 500 * (logg - 2.5) + rng.normal(0, 80, n)
    magnitude = rng.uniform(9, 13.5, n)
    clump = (np.abs(logg - 2.45) < 0.2) & (rng.random(n) < 1 / 3)
    return [
        StarParameters(
            i,
            mass[i],
            radius[i],
            teff[i],
            magnitude[i],
            magnitude[i] - 0.6,
            helium_burning=bool(clump[i]),
        )
        for i in range(n)
    ], logg


def log_power(curve: LightCurve, n_bins: int = 120) -> np.ndarray:
    """Logarithm of the mean periodogram in bins of equal width in log frequency, 2 to 283 muHz; gaps are zeros."""
    mission = MISSIONS[curve.mission]
    flux = np.zeros(mission.n_cadences)
    flux[np.round((curve.time - mission.start) / mission.cadence).astype(int)] = curve.flux - 1
    power = np.abs(np.fft.rfft(flux, 2 * len(flux))) ** 2
    frequency = np.fft.rfftfreq(2 * len(flux), 0.0864 * mission.cadence)
    edges = np.searchsorted(frequency, np.geomspace(2, 283, n_bins + 1))
    cumulative = np.r_[0, np.cumsum(power)]
    count = np.maximum(np.diff(edges), 1)
    return np.log((cumulative[edges[:-1] + count] - cumulative[edges[:-1]]) / count)


def print_information(console: Console, n: int) -> None:
    stars, logg = draw_giants(n, np.random.default_rng(1))
    curves = (light_curve(star, "kepler", 0) for star in stars)
    features = np.array(
        [log_power(curve) for curve in track(curves, "giants", total=n, console=console)]
    )
    train = np.arange(n) % 5 > 0
    model = HistGradientBoostingRegressor(max_iter=300, learning_rate=0.06, random_state=0)
    error = model.fit(features[train], logg[train]).predict(features[~train]) - logg[~train]
    console.print(
        f"log g from 90 d of Kepler: MAD-std {1.4826 * np.median(np.abs(error)):.4f} dex, std {error.std():.4f} dex"
        f" ({train.sum()} giants to learn from, {np.sum(~train)} to test on)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--giants", type=int, default=2600)
    console = Console()
    print_times(console)
    print_information(console, parser.parse_args().giants)
