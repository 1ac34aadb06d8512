"""Continuous opacity: H-, hydrogen, Rayleigh and electron scattering.

Opacities are per cm, (n_depth, n_wave); wavelengths in cm.
"""

import numpy as np

from multistar.mock.atmosphere.gas import (
    BOLTZMANN,
    ELEMENTS,
    LIGHT,
    SECOND_RADIATION,
    Gas,
    boltzmann_factor,
)

# H- free-free, John (1988) Table 3a (above 0.3645 um) and 3b; columns multiply um^2, 1, um^-1 ...
# um^-4, rows successive half powers of 5040 K / T.
FREE_FREE_RED = np.array(
    [
        [2483.346, 285.827, -2054.291, 2827.776, -1341.537, 208.952],
        [-3449.889, -1158.382, 8746.523, -11485.632, 5303.609, -812.939],
        [2200.04, 2427.719, -13651.105, 16755.524, -7510.494, 1132.738],
        [-696.271, -1841.4, 8624.97, -10051.53, 4400.067, -655.02],
        [88.283, 444.517, -1863.864, 2095.288, -901.788, 132.985],
    ]
)
FREE_FREE_BLUE = np.array(
    [
        [518.1021, -734.8666, 1021.1775, -479.0721, 93.1373, -6.4285],
        [473.2636, 1443.4137, -1977.3395, 922.3575, -178.9275, 12.36],
        [-482.2089, -737.1616, 1096.8827, -521.1341, 101.7963, -7.0571],
        [115.5291, 169.6374, -245.649, 114.243, -21.9972, 1.5097],
    ]
)
FREE_FREE_POWERS = (2, 0, -1, -2, -3, -4)
FREE_FREE_EDGE = 0.3645  # um, between the tables
BOUND_FREE = (152.519, 49.534, -118.858, 92.536, -34.194, 4.982)
DETACHMENT = 1.6419  # um, threshold of H- bound-free
H_MINUS_ALPHA = 1.439e4  # hc / k, um K

HYDROGEN_LEVELS = range(1, 7)
HYDROGEN_EDGE = 91.1763e-7  # cm, of the ground state
HYDROGEN_CROSS_SECTION = 7.91e-18  # cm2 at the edge of the ground state
HYDROGEN_FREE_FREE = 3.69e8
GAUNT_FACTOR = 1.1
THOMSON = 0.6652e-24  # cm2
LYMAN_ALPHA_WING = 1500  # Angstrom; Rayleigh scattering is used redward


def stimulated(wave: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """Correction for stimulated emission, 1 - exp(-hc / lambda k T), (n_depth, n_wave)."""
    temperature = temperature[:, None]
    exponent = SECOND_RADIATION / (wave * temperature)
    return 1 - np.exp(-exponent)


def h_minus(wave: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """H- opacity per neutral hydrogen atom and unit electron pressure.

    Parameters
    ----------
    wave : (n_wave,) array
        Wavelengths, cm.
    temperature : (n_depth,) array
        Temperatures, K.

    Returns
    -------
    (n_depth, n_wave) array
        Opacity, cm4 dyn-1.

    References
    ----------
    John (1988, A&A 193, 189).
    """
    um = wave * 1e4
    temperature = temperature[:, None]
    long = _free_free(FREE_FREE_RED, 3, um, temperature)
    short = _free_free(FREE_FREE_BLUE, 2, um, temperature)
    free_free = 1e-29 * np.where(um > FREE_FREE_EDGE, long, short)
    return _bound_free(um, temperature) + np.maximum(free_free, 0)


def _bound_free(um: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """H- bound-free opacity; temperature (n_depth, 1)."""
    beyond_threshold = 1 / um - 1 / DETACHMENT
    x = np.sqrt(np.maximum(beyond_threshold, 0))
    series = np.zeros(len(um))
    for n, coefficient in enumerate(BOUND_FREE):
        series = series + coefficient * x**n
    cross_section = 1e-18 * um**3 * x**3 * series
    binding = H_MINUS_ALPHA / (DETACHMENT * temperature)
    ions = 0.75 * temperature**-2.5 * np.exp(binding)
    exponent = -H_MINUS_ALPHA / (um * temperature)
    induced = 1 - np.exp(exponent)
    return ions * induced * cross_section


def _free_free(
    table: np.ndarray, first_power: int, um: np.ndarray, temperature: np.ndarray
) -> np.ndarray:
    """H- free-free opacity of one table, 1e-29 cm4 dyn-1.

    Its first row is for theta^(first_power / 2).
    """
    theta = 5040 / temperature
    total = np.zeros((len(theta), len(um)))
    for n, row in enumerate(table):
        term = np.zeros(len(um))
        for coefficient, um_power in zip(row, FREE_FREE_POWERS, strict=True):
            term = term + coefficient * um**um_power
        power = (n + first_power) / 2
        total = total + theta**power * term
    return total


def continuous_opacity(wave: np.ndarray, temperature: np.ndarray, gas: Gas) -> np.ndarray:
    """Sum of all continua.

    Parameters
    ----------
    wave : (n_wave,) array
        Wavelengths, cm.
    temperature : (n_depth,) array
        Temperatures, K.
    gas : Gas
        Its densities at each depth.

    Returns
    -------
    (n_depth, n_wave) array
        Opacity, cm-1.
    """
    induced = stimulated(wave, temperature)
    electron_pressure = gas.electrons * BOLTZMANN * temperature
    attachment = electron_pressure * gas.hydrogen
    opacity = h_minus(wave, temperature) * attachment[:, None]
    for n in HYDROGEN_LEVELS:
        cross_section = _hydrogen_cross_section(n, wave)
        population = hydrogen_population(n, temperature, gas)
        opacity += cross_section * population[:, None] * induced
    encounters = gas.electrons * gas.protons
    collisions = encounters / np.sqrt(temperature)
    free_free = HYDROGEN_FREE_FREE * GAUNT_FACTOR * collisions
    period = wave / LIGHT
    opacity += free_free[:, None] * period**3 * induced
    opacity += rayleigh(wave) * gas.hydrogen[:, None]
    return opacity + THOMSON * gas.electrons[:, None]


def hydrogen_population(level: int, temperature: np.ndarray, gas: Gas) -> np.ndarray:
    """Density (n_depth,) of hydrogen atoms in a level [cm-3], counted from 1."""
    weight = level**2
    excitation = ELEMENTS["H"].ionisation * (1 - 1 / weight)
    excited_share = boltzmann_factor(excitation, temperature)
    return gas.hydrogen * weight * excited_share


def _hydrogen_cross_section(level: int, wave: np.ndarray) -> np.ndarray:
    """Bound-free cross section (n_wave,) [cm2] of a level."""
    edge = HYDROGEN_EDGE * level * level
    ratio = wave / edge
    cross_section = HYDROGEN_CROSS_SECTION * level * ratio**3
    return np.where(wave < edge, cross_section, 0)


def rayleigh(wave: np.ndarray) -> np.ndarray:
    """Cross section (n_wave,) of hydrogen atoms [cm2], redward of Lyman alpha.

    References
    ----------
    Dalgarno (1962).
    """
    angstrom = wave * 1e8
    fourth = 5.799e-13 / angstrom**4
    sixth = 1.422e-6 / angstrom**6
    eighth = 2.784 / angstrom**8
    cross_section = fourth + sixth + eighth
    return np.where(angstrom > LYMAN_ALPHA_WING, cross_section, 0)
