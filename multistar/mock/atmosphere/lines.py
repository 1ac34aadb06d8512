"""Strong lines of metals and hydrogen, the statistical forest of weak metal lines, and the grid."""

from typing import NamedTuple

import numpy as np

from multistar.mock.atmosphere.continuum import hydrogen_population
from multistar.mock.atmosphere.gas import (
    ATOMIC_MASS,
    BOLTZMANN,
    ELEMENTS,
    LIGHT,
    Gas,
    boltzmann_factor,
)
from multistar.mock.atmosphere.molecules import CLASSICAL

MICROTURBULENCE = 1.6e5  # cm s-1
CM_PER_NM = 1e-7
RADIATIVE_DAMPING = 2e8  # s-1


class Line(NamedTuple):
    """A strong line of a metal."""

    element: str
    ionised: bool
    centre: float  # nm
    gf: float
    lower: float  # eV
    damping: float  # log10 of van der Waals width per hydrogen atom at 10^4 K, s-1 cm3


LINES = [
    Line("Ca", True, 393.37, 1.37, 0, -7.76),
    Line("Ca", True, 396.85, 0.68, 0, -7.76),
    Line("Ca", False, 422.67, 1.75, 0, -7.6),
    Line("Mg", False, 516.73, 0.117, 2.71, -7.27),
    Line("Mg", False, 517.27, 0.40, 2.71, -7.27),
    Line("Mg", False, 518.36, 0.69, 2.72, -7.27),
    Line("Na", False, 589.0, 1.28, 0, -7.53),
    Line("Na", False, 589.59, 0.64, 0, -7.53),
    Line("K", False, 766.49, 1.36, 0, -7.45),
    Line("K", False, 769.9, 0.68, 0, -7.45),
    Line("Na", False, 818.33, 1.05, 2.10, -7.23),
    Line("Na", False, 819.48, 2.1, 2.10, -7.23),
    Line("Ca", True, 849.80, 0.043, 1.69, -7.68),
    Line("Ca", True, 854.21, 0.40, 1.70, -7.68),
    Line("Ca", True, 866.21, 0.22, 1.69, -7.68),
    Line("Mg", False, 880.68, 0.73, 4.35, -7.3),
]
# (lower, upper) level of the Balmer and Paschen lines, and the first oscillator strengths.
BALMER = [(2, upper) for upper in range(3, 12)]
PASCHEN = [(3, upper) for upper in range(7, 15)]
HYDROGEN = BALMER + PASCHEN
BALMER_STRENGTH = {3: 0.641, 4: 0.119, 5: 0.0447, 6: 0.0221, 7: 0.0127}
RYDBERG = 109677.6  # cm-1
HOLTSMARK = 1.25e-9  # field by electron density^(2/3), esu

FOREST_ATOM_ENERGY, FOREST_ION_ENERGY = 1.8, 2.8  # eV, of the typical lower level
FOREST_ION_SHARE = 0.5  # strength of ionic lines relative to atomic ones


def hydrogen_wavelength(lower: int, upper: int) -> float:
    """Wavelength [nm] of a hydrogen line between two levels."""
    wavenumber = RYDBERG * (1 / lower**2 - 1 / upper**2)
    return 1e7 / wavenumber


def wavelength_grid() -> np.ndarray:
    """Wavelengths [nm] of all spectra, 280-5600.

    The step is 1.5 nm where Gaia sees, coarser beyond, dense in the cores of the strong lines.
    """
    regular = [
        np.arange(280, 330, 4.0),
        np.arange(330, 1060, 1.5),
        np.arange(1060, 2600, 12.0),
        np.arange(2600, 5600, 60.0),
    ]
    offset = np.array([0, 0.008, 0.02, 0.045, 0.09, 0.18, 0.35, 0.7, 1.3, 2.4])
    around_metal = np.r_[-offset[1:], offset]
    around_hydrogen = np.r_[-offset[2:], offset[::2]]
    metal = [line.centre + around_metal for line in LINES]
    hydrogen = [hydrogen_wavelength(*levels) + around_hydrogen for levels in HYDROGEN]
    wavelengths = np.concatenate([*regular, *metal, *hydrogen])
    grid = np.unique(np.round(wavelengths, 4))
    distinct = np.diff(grid) > 0.004
    return grid[np.r_[True, distinct]]


def _doppler_width(temperature: np.ndarray, mass: float, centre: float) -> np.ndarray:
    """Doppler width (n_depth, 1) [nm] of a line at `centre` [nm]; mass in atomic mass units."""
    grams = mass * ATOMIC_MASS
    thermal = 2 * BOLTZMANN * temperature / grams
    speed = np.sqrt(thermal + MICROTURBULENCE**2)
    width = centre * speed / LIGHT
    return width[:, None]


def _doppler_core(distance: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Gaussian profile [nm-1] at a distance from the centre [nm]."""
    ratio = distance / width
    exponent = np.clip(ratio**2, 0, 60)
    area = np.sqrt(np.pi) * width
    return np.exp(-exponent) / area


def metal_lines(wave: np.ndarray, temperature: np.ndarray, gas: Gas) -> np.ndarray:
    """Opacity of LINES without stimulated emission.

    A Gaussian core plus a Lorentzian wing stand for the Voigt profile.

    Parameters
    ----------
    wave : (n_wave,) array
        Wavelengths, nm.
    temperature : (n_depth,) array
        Temperatures, K.
    gas : Gas
        Its densities at each depth.

    Returns
    -------
    (n_depth, n_wave) array
        Opacity, cm-1.
    """
    opacity = np.zeros((len(temperature), len(wave)))
    for line in LINES:
        element = ELEMENTS[line.element]
        if line.ionised:
            ground_state = gas.ions[line.element] / element.ionised
        else:
            ground_state = gas.atoms[line.element] / element.neutral
        population = ground_state * boltzmann_factor(line.lower, temperature)

        hotter = temperature / 1e4
        collision_rate = 2 * 10**line.damping * hotter**0.3
        collisions = collision_rate * gas.hydrogen
        rate = collisions + RADIATIVE_DAMPING
        wing_width = rate * line.centre**2 * CM_PER_NM / (4 * np.pi * LIGHT)
        wing_width = wing_width[:, None]
        core_width = _doppler_width(temperature, element.mass, line.centre)
        distance = wave - line.centre
        spread = distance**2 + wing_width**2 + core_width**2
        wing = wing_width / np.pi / spread
        profile = _doppler_core(distance, core_width) + wing
        opacity += _line_opacity(population, line.gf, line.centre, profile)
    return opacity


def hydrogen_lines(wave: np.ndarray, temperature: np.ndarray, gas: Gas) -> np.ndarray:
    """Opacity of the Balmer and Paschen lines without stimulated emission.

    Their wings fall as in linear Stark broadening, as |x|^-2.5.

    Parameters
    ----------
    wave : (n_wave,) array
        Wavelengths, nm.
    temperature : (n_depth,) array
        Temperatures, K.
    gas : Gas
        Its densities at each depth.

    Returns
    -------
    (n_depth, n_wave) array
        Opacity, cm-1.
    """
    opacity = np.zeros((len(temperature), len(wave)))
    field = HOLTSMARK * gas.electrons ** (2 / 3)
    for lower, upper in HYDROGEN:
        centre = hydrogen_wavelength(lower, upper)
        distance = np.abs(wave - centre)
        core_width = _doppler_width(temperature, 1.0, centre)
        core = 0.6 * _doppler_core(distance, core_width)

        levels = lower**2 * upper**2
        shift = 5.5e-5 * levels * 0.0529 * 0.55 * (centre / 500) ** 2
        stark_width = field * shift + 0.004
        stark_width = stark_width[:, None]
        fall = 1 + (distance / stark_width) ** 2.5
        wing = 0.4 * 0.9 * (0.75 / stark_width) / fall
        population = hydrogen_population(lower, temperature, gas)
        strength = _hydrogen_strength(lower, upper)
        opacity += _line_opacity(population, strength, centre, core + wing)
    return opacity


def _hydrogen_strength(lower: int, upper: int) -> float:
    """Oscillator strength of a Balmer or Paschen line."""
    if lower == 3:
        return 2.7 * 1.6 / upper**3
    return BALMER_STRENGTH.get(upper, 2.7 / upper**3)


def _line_opacity(
    population: np.ndarray, strength: float, centre: float, profile: np.ndarray
) -> np.ndarray:
    """Opacity (n_depth, n_wave) [cm-1] of a line at `centre` [nm] with a profile [nm-1]."""
    absorbers = population[:, None] * strength
    wavelengths = centre**2 * CM_PER_NM
    return absorbers * CLASSICAL * wavelengths * profile


def forest(temperature: np.ndarray, gas: Gas, strength: np.ndarray) -> np.ndarray:
    """Mean opacity of the metal-line forest: iron-like atoms and ions times a strength.

    Parameters
    ----------
    temperature : (n_depth,) array
        Temperatures, K.
    gas : Gas
        Its densities at each depth.
    strength : (n_wave,) array
        Strength of the forest, cm2 per iron atom.

    Returns
    -------
    (n_depth, n_wave) array
        Opacity, cm-1.
    """
    iron = ELEMENTS["Fe"]
    atoms = gas.atoms["Fe"] * boltzmann_factor(FOREST_ATOM_ENERGY, temperature)
    per_state = iron.neutral / iron.ionised
    ions = gas.ions["Fe"] * per_state
    ions = ions * boltzmann_factor(FOREST_ION_ENERGY, temperature)
    absorbers = atoms + FOREST_ION_SHARE * ions
    return absorbers[:, None] * strength
