"""Light curves per second turned into slots on one core, beside astropy's periodogram alone; memory of a long one.

OMP_NUM_THREADS=1 taskset -c 0 python scripts/benchmark_light_curve_features.py [--stars 40]
"""

import argparse
import time
import tracemalloc

import numpy as np
from astropy.timeseries import LombScargle
from rich.console import Console
from rich.table import Table

from multistar.mock.variability.light_curve import StarParameters, light_curve
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.features import compute_features
from multistar.modalities.light_curve.periodogram import OVERSAMPLING, measure_sampling
from multistar.modalities.light_curve.points import from_points

REPEATS = 5
MISSIONS = ("kepler", "tess", "k2", "gaia", "kepler-long")


def mock_curves(mission: str, n: int) -> LightCurves:
    """Red giants that also rotate."""
    stars = (
        StarParameters(i, 1.2, 8.0, 4800, 12, 11.4, rotation_period=20, spot_amplitude=0.01)
        for i in range(n)
    )
    curves = [light_curve(star, mission, 0) for star in stars]
    times, flux, error = (
        np.concatenate([getattr(c, name) for c in curves])
        for name in ("time", "flux", "flux_error")
    )
    number = np.repeat(np.arange(n), [len(c.time) for c in curves])
    return from_points(number, times, flux, error, mission, unit="flux")


def astropy_powers(curves: LightCurves) -> None:
    """astropy's fast approximation on the frequencies of our periodogram."""
    for i in range(len(curves)):
        points = slice(curves.first[i], curves.first[i + 1])
        times = measure_sampling(curves.time[points])
        assert times is not None
        n = OVERSAMPLING * int(times.top * times.span)
        frequency = (1 + np.arange(n)) / (OVERSAMPLING * times.span)
        LombScargle(curves.time[points], curves.flux[points], curves.sigma[points]).power(
            frequency, method="fast", assume_regular_frequency=True
        )


def seconds(task, curves: LightCurves) -> float:
    """Least CPU time per star of a few repetitions."""
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        task(curves)
        spent.append(time.process_time() - start)
    return min(spent) / len(curves)


def print_memory(console: Console) -> None:
    """Peak of all arrays; the buffers of the transforms are not in it, 20 bytes per frequency."""
    long = mock_curves("kepler-long", 1)
    tracemalloc.start()
    compute_features(long)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    console.print(f"{peak / 2**20:.0f} MB for {len(long.time)} points")


def main(n: int) -> None:
    console = Console()
    compute_features(mock_curves("kepler", 1))  # imports
    print_memory(console)
    table = Table("mission", "points", "curves/s", "time / astropy's periodogram")
    for mission in MISSIONS:
        curves = mock_curves(mission, max(n // 20, 1) if mission == "kepler-long" else n)
        spent, reference = (seconds(task, curves) for task in (compute_features, astropy_powers))
        points = f"{len(curves.time) / len(curves):.0f}"
        table.add_row(mission, points, f"{1 / spent:.0f}", f"{spent / reference:.2f}")
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=40)
    main(parser.parse_args().stars)
