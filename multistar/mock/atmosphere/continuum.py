"""Continuous opacity: H-, hydrogen, Rayleigh and electron scattering.

Opacities are per cm, (n_depth, n_wave); wavelengths in cm.
"""

import numpy as np

from multistar.mock.atmosphere.gas import BOLTZMANN, EV, LIGHT, SECOND_RADIATION, Gas

# H- free-free, John (1988) Table 3a (above 0.3645 um) and 3b; columns multiply um^2, 1, um^-1 ... um^-4
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
BOUND_FREE = (152.519, 49.534, -118.858, 92.536, -34.194, 4.982)
DETACHMENT = 1.6419  # um, threshold of H- bound-free
POWERS = (2, 0, -1, -2, -3, -4)
HYDROGEN_LEVELS = range(1, 7)


def stimulated(wave: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """1 - exp(-hc / lambda k T), (n_depth, n_wave)."""
    return 1 - np.exp(-SECOND_RADIATION / (wave * temperature[:, None]))


def h_minus(wave: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """H- opacity per neutral hydrogen atom and unit electron pressure, cm4 dyn-1 (John 1988, A&A 193, 189)."""
    um, t = wave * 1e4, temperature[:, None]
    x = np.sqrt(np.maximum(1 / um - 1 / DETACHMENT, 0))
    cross_section = 1e-18 * um**3 * x**3 * sum(c * x**n for n, c in enumerate(BOUND_FREE))
    alpha = 1.439e4
    bound_free = (
        0.75
        * t**-2.5
        * np.exp(alpha / (DETACHMENT * t))
        * (1 - np.exp(-alpha / (um * t)))
        * cross_section
    )
    red, blue = (
        [sum(row[j] * um**p for j, p in enumerate(POWERS)) for row in table]
        for table in (FREE_FREE_RED, FREE_FREE_BLUE)
    )
    theta = 5040 / t
    long = sum(theta ** ((n + 3) / 2) * term for n, term in enumerate(red))
    short = sum(theta ** ((n + 2) / 2) * term for n, term in enumerate(blue))
    return bound_free + np.maximum(1e-29 * np.where(um > 0.3645, long, short), 0)


def continuous_opacity(wave: np.ndarray, temperature: np.ndarray, gas: Gas) -> np.ndarray:
    """Sum of all continua, cm-1."""
    induced = stimulated(wave, temperature)
    electron_pressure = gas.electrons * BOLTZMANN * temperature
    out = h_minus(wave, temperature) * (electron_pressure * gas.hydrogen)[:, None]
    for n in HYDROGEN_LEVELS:
        excitation = 13.598 * (1 - 1 / n**2) * EV
        edge = 91.1763e-7 * n * n
        population = gas.hydrogen * n * n * np.exp(-excitation / (BOLTZMANN * temperature))
        out += (
            np.where(wave < edge, 7.91e-18 * n * (wave / edge) ** 3, 0)
            * population[:, None]
            * induced
        )
    collisions = gas.electrons * gas.protons / np.sqrt(temperature)
    out += 3.69e8 * 1.1 * collisions[:, None] * (wave / LIGHT) ** 3 * induced  # Gaunt factor 1.1
    return out + rayleigh(wave) * gas.hydrogen[:, None] + 0.6652e-24 * gas.electrons[:, None]


def rayleigh(wave: np.ndarray) -> np.ndarray:
    """Cross section of hydrogen atoms, cm2 (Dalgarno 1962), redward of Lyman alpha."""
    angstrom = wave * 1e8
    return np.where(
        angstrom > 1500, 5.799e-13 / angstrom**4 + 1.422e-6 / angstrom**6 + 2.784 / angstrom**8, 0
    )
