"""Contact and semi-detached binaries: curves of Roche surfaces from a table that PHOEBE made.

The table is made by scripts/tabulate_close_binaries.py; checks/fitting/close_binaries.py says how.
Star 1 is the more massive one; at t0 star 2 is in front of it.
"""

from functools import lru_cache
from importlib import resources

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from multistar.mock.variability.eclipses import PairGeometry

AXES = ("mass_ratio", "fill", "teff_ratio", "inclination")
# Of star 2 within its lobe, in units of the lobe's radius, from which on it is taken to fill it.
LOBE_FILLED = 0.97


def lobe_radius(mass_ratio: np.ndarray | float) -> np.ndarray:
    """Radius of the Roche lobe of a star of `mass_ratio` times the other's mass.

    Returns
    -------
    array
        In units of the semi-major axis.

    References
    ----------
    Eggleton (1983, eq. 2).
    """
    two_thirds = np.asarray(mass_ratio) ** (2 / 3)
    return 0.49 * two_thirds / (0.6 * two_thirds + np.log1p(np.cbrt(mass_ratio)))


def is_close(pair: PairGeometry, mass_ratio: float) -> bool:
    """Whether star 2 fills its lobe, so that spheres are no model of the pair."""
    return bool(pair.radius_2 > LOBE_FILLED * lobe_radius(mass_ratio))


def contact_radii(mass_ratio: np.ndarray, fill_out: np.ndarray) -> np.ndarray:
    """Radii (n, 2) of both stars of contact binaries, in units of the semi-major axis."""
    table = _load_table()
    axes = (table["contact_mass_ratio"], table["contact_fill"])
    radii = RegularGridInterpolator(axes, table["contact_radii"])
    return radii(_within(axes, np.stack([mass_ratio, fill_out], 1)))


def close_binary_curve(
    time: np.ndarray,
    pair: PairGeometry,
    mass_ratio: float,
    teff_ratio: float,
    fill_out: float = np.nan,
) -> np.ndarray:
    """Flux of a pair of which at least star 2 fills its lobe.

    Parameters
    ----------
    time : array of any shape
        Time, d.
    pair : PairGeometry
        The orbit.
    mass_ratio, teff_ratio : float
        Star 2 over star 1.
    fill_out : float
        Of a contact binary; NaN for a semi-detached one.

    Returns
    -------
    array
        Relative flux of median about 1, with the shape of `time`. Parameters beyond the table count
        as its limits.
    """
    phase = pair.phase_angle(time) / (2 * np.pi) % 1
    since_eclipse = np.minimum(phase, 1 - phase)
    name, fill = "contact", fill_out
    if np.isnan(fill_out):
        name, fill = "semidetached", pair.radius_1 / float(lobe_radius(1 / mass_ratio))
    curve = _interpolate(name, mass_ratio, fill, teff_ratio, pair.inclination)
    return np.interp(since_eclipse, _load_table()["phase"], curve)


def _interpolate(
    name: str, mass_ratio: float, fill: float, teff_ratio: float, inclination: float
) -> np.ndarray:
    """Fluxes of a binary at the phases of the table."""
    table = _load_table()
    axes = tuple(table[f"{name}_{axis}"] for axis in AXES)
    folded = 90 - abs(90 - inclination)  # an orbit looks the same from below
    point = np.array([[mass_ratio, fill, teff_ratio, folded]])
    return RegularGridInterpolator(axes, table[name])(_within(axes, point))[0]


def _within(axes: tuple[np.ndarray, ...], points: np.ndarray) -> np.ndarray:
    lowest = [axis[0] for axis in axes]
    highest = [axis[-1] for axis in axes]
    return np.clip(points, lowest, highest)


@lru_cache(maxsize=1)
def _load_table() -> dict[str, np.ndarray]:
    path = resources.files("multistar.mock") / "close_binaries.npz"
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as table:
        return {name: table[name] for name in table.files}
