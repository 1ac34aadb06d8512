"""Strong lines of metals and hydrogen, and the statistical forest of weak metal lines; the wavelength grid."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.atmosphere.gas import ATOMIC_MASS, BOLTZMANN, ELEMENTS, EV, LIGHT, Gas
from multistar.mock.atmosphere.molecules import CLASSICAL

MICROTURBULENCE = 1.6e5  # cm s-1


@dataclass(frozen=True)
class Line:
    element: str
    ionised: bool
    centre: float  # nm
    gf: float
    lower: float  # eV
    damping: float  # log10 of van der Waals width per hydrogen atom at 10^4 K, s-1 cm3


LINES = [
    Line(*row)
    for row in (
        ("Ca", True, 393.37, 1.37, 0, -7.76),
        ("Ca", True, 396.85, 0.68, 0, -7.76),
        ("Ca", False, 422.67, 1.75, 0, -7.6),
        ("Mg", False, 516.73, 0.117, 2.71, -7.27),
        ("Mg", False, 517.27, 0.40, 2.71, -7.27),
        ("Mg", False, 518.36, 0.69, 2.72, -7.27),
        ("Na", False, 589.0, 1.28, 0, -7.53),
        ("Na", False, 589.59, 0.64, 0, -7.53),
        ("K", False, 766.49, 1.36, 0, -7.45),
        ("K", False, 769.9, 0.68, 0, -7.45),
        ("Na", False, 818.33, 1.05, 2.10, -7.23),
        ("Na", False, 819.48, 2.1, 2.10, -7.23),
        ("Ca", True, 849.80, 0.043, 1.69, -7.68),
        ("Ca", True, 854.21, 0.40, 1.70, -7.68),
        ("Ca", True, 866.21, 0.22, 1.69, -7.68),
        ("Mg", False, 880.68, 0.73, 4.35, -7.3),
    )
]
HYDROGEN = [(2, upper) for upper in range(3, 12)] + [(3, upper) for upper in range(7, 15)]
BALMER_STRENGTH = {3: 0.641, 4: 0.119, 5: 0.0447, 6: 0.0221, 7: 0.0127}


def hydrogen_wavelength(lower: int, upper: int) -> float:
    """nm"""
    return 1e7 / (109677.6 * (1 / lower**2 - 1 / upper**2))


def wavelength_grid() -> np.ndarray:
    """nm, 280-5600: 1.5 nm where Gaia sees, coarser beyond, dense in the cores of the strong lines."""
    offset = np.array([0, 0.008, 0.02, 0.045, 0.09, 0.18, 0.35, 0.7, 1.3, 2.4])
    base = [
        np.arange(280, 330, 4.0),
        np.arange(330, 1060, 1.5),
        np.arange(1060, 2600, 12.0),
        np.arange(2600, 5600, 60.0),
    ]
    metal = [line.centre + np.r_[-offset[1:], offset] for line in LINES]
    hydrogen = [
        hydrogen_wavelength(*levels) + np.r_[-offset[2:], offset[::2]] for levels in HYDROGEN
    ]
    grid = np.unique(np.round(np.concatenate([*base, *metal, *hydrogen]), 4))
    return grid[np.r_[True, np.diff(grid) > 0.004]]


def _doppler(temperature: np.ndarray, mass: float, centre: float) -> np.ndarray:
    """Doppler width (n_depth, 1), nm."""
    speed = np.sqrt(2 * BOLTZMANN * temperature / (mass * ATOMIC_MASS) + MICROTURBULENCE**2)
    return (centre * speed / LIGHT)[:, None]


def metal_lines(wave: np.ndarray, temperature: np.ndarray, gas: Gas) -> np.ndarray:
    """Opacity of LINES without stimulated emission, cm-1, (n_depth, n_wave); wave in nm.

    A Gaussian core plus a Lorentzian wing stand for the Voigt profile.
    """
    out = np.zeros((len(temperature), len(wave)))
    for line in LINES:
        element = ELEMENTS[line.element]
        carriers = (
            gas.ions[line.element] / element.ionised
            if line.ionised
            else gas.atoms[line.element] / element.neutral
        )
        population = carriers * np.exp(-line.lower * EV / (BOLTZMANN * temperature))
        core = _doppler(temperature, element.mass, line.centre)
        rate = 2 * 10**line.damping * gas.hydrogen * (temperature / 1e4) ** 0.3 + 2e8
        wing = (rate * line.centre**2 * 1e-7 / (4 * np.pi * LIGHT))[:, None]
        x = (wave - line.centre)[None, :]
        profile = np.exp(-np.clip((x / core) ** 2, 0, 60)) / (np.sqrt(np.pi) * core)
        profile = profile + wing / np.pi / (x**2 + wing**2 + core**2)
        out += population[:, None] * line.gf * CLASSICAL * (line.centre**2 * 1e-7) * profile
    return out


def hydrogen_lines(wave: np.ndarray, temperature: np.ndarray, gas: Gas) -> np.ndarray:
    """Balmer and Paschen lines likewise, with wings that fall as in linear Stark broadening (|x|^-2.5)."""
    out = np.zeros((len(temperature), len(wave)))
    field = 1.25e-9 * gas.electrons ** (2 / 3)  # Holtsmark field, esu
    for lower, upper in HYDROGEN:
        centre = hydrogen_wavelength(lower, upper)
        strength = (
            BALMER_STRENGTH.get(upper, 2.7 / upper**3) if lower == 2 else 2.7 * 1.6 / upper**3
        )
        excitation = 13.598 * (1 - 1 / lower**2) * EV
        population = gas.hydrogen * lower**2 * np.exp(-excitation / (BOLTZMANN * temperature))
        core = _doppler(temperature, 1.0, centre)
        shift = 5.5e-5 * lower**2 * upper**2 * 0.0529 * 0.55 * (centre / 500) ** 2
        stark = (field * shift + 0.004)[:, None]
        x = np.abs(wave - centre)[None, :]
        profile = 0.6 * np.exp(-np.clip((x / core) ** 2, 0, 60)) / (np.sqrt(np.pi) * core)
        profile = profile + 0.4 * 0.9 * (0.75 / stark) / (1 + (x / stark) ** 2.5)
        out += population[:, None] * strength * CLASSICAL * (centre**2 * 1e-7) * profile
    return out


def forest(temperature: np.ndarray, gas: Gas, strength: np.ndarray) -> np.ndarray:
    """Mean opacity of the metal-line forest, cm-1: iron-like atoms and ions times strength(wavelength)."""
    iron = ELEMENTS["Fe"]
    atoms = gas.atoms["Fe"] * np.exp(-1.8 * EV / (BOLTZMANN * temperature))
    ions = (
        gas.ions["Fe"] * iron.neutral / iron.ionised * np.exp(-2.8 * EV / (BOLTZMANN * temperature))
    )
    return (atoms + 0.5 * ions)[:, None] * strength
