"""Molecular bands in the just-overlapping-line approximation: a head and an exponential tail."""

from typing import NamedTuple

import numpy as np

from multistar.mock.atmosphere.gas import MOLECULES, SECOND_RADIATION

CLASSICAL = 8.853e-13  # pi e2 / m c2, cm
CM_PER_KELVIN = 0.695  # k / hc, cm-1 K-1
SHARP_SIDE, NARROWEST = 15.0, 25.0  # cm-1, widths of the head and of the narrowest tail


class Band(NamedTuple):
    """A band with its head and the direction of its tail."""

    head: float  # nm
    strength: float  # oscillator strength
    change: float  # |B' - B''| / B''
    direction: int  # of the tail: +1 to the red
    lower: float  # level, cm-1


# Strengths are Franck-Condon factors times band oscillator strengths of the literature, rounded,
# and from memory.
BANDS = {
    "TiO": [
        Band(705.4, 0.72 * 0.092, 0.06, 1, 0),
        Band(665.1, 0.2 * 0.092, 0.06, 1, 0),
        Band(758.9, 0.25 * 0.092, 0.06, 1, 1000),
        Band(712.5, 0.4 * 0.092, 0.06, 1, 1000),
        Band(820.5, 0.05 * 0.092, 0.06, 1, 2000),
        Band(766.6, 0.3 * 0.092, 0.06, 1, 2000),
        Band(630.0, 0.05 * 0.092, 0.06, 1, 0),
        Band(843.2, 0.7 * 0.0024, 0.05, 1, 0),
        Band(886.0, 0.8 * 0.048, 0.05, 1, 0),
        Band(937.0, 0.1 * 0.048, 0.05, 1, 1000),
        Band(895.0, 0.7 * 0.048, 0.05, 1, 1000),
        Band(516.7, 0.39 * 0.1, 0.09, 1, 0),
        Band(495.5, 0.32 * 0.1, 0.09, 1, 0),
        Band(476.1, 0.17 * 0.1, 0.09, 1, 0),
        Band(544.8, 0.33 * 0.1, 0.09, 1, 1000),
        Band(559.8, 0.2 * 0.1, 0.09, 1, 2000),
        Band(584.7, 0.2 * 0.1, 0.09, 1, 2000),
        Band(615.9, 0.8 * 0.09, 0.05, 1, 0),
        Band(585.0, 0.2 * 0.09, 0.05, 1, 0),
        Band(651.2, 0.2 * 0.09, 0.05, 1, 1000),
        Band(1103.0, 0.8 * 0.018, 0.05, 1, 0),
    ],
    "MgH": [
        Band(521.1, 0.95 * 0.16, 0.05, -1, 0),
        Band(518.2, 0.9 * 0.16, 0.05, -1, 1430),
        Band(484.5, 0.05 * 0.16, 0.05, -1, 0),
        Band(556.0, 0.05 * 0.16, 0.05, -1, 1430),
    ],
    "CaH": [Band(693.0, 0.9 * 0.08, 0.03, -1, 0), Band(638.5, 0.9 * 0.05, 0.03, -1, 0)],
    "CH": [
        Band(431.4, 0.99 * 0.0022, 0.03, 1, 0),
        Band(430.0, 0.9 * 0.0022, 0.03, 1, 2733),
        Band(388.9, 0.8 * 0.0037, 0.05, -1, 0),
    ],
    "CN": [
        Band(388.3, 0.92 * 0.033, 0.05, -1, 0),
        Band(387.1, 0.8 * 0.033, 0.05, -1, 2042),
        Band(421.6, 0.08 * 0.033, 0.05, -1, 2042),
        Band(359.0, 0.08 * 0.033, 0.05, -1, 0),
        Band(1093.0, 0.5 * 0.0045, 0.1, 1, 0),
        Band(917.0, 0.32 * 0.0045, 0.1, 1, 0),
        Band(788.0, 0.12 * 0.0045, 0.1, 1, 0),
        Band(692.0, 0.035 * 0.0045, 0.1, 1, 0),
        Band(806.0, 0.2 * 0.0045, 0.1, 1, 2042),
        Band(935.0, 0.1 * 0.0045, 0.1, 1, 2042),
    ],
    "CO": [
        Band(2293.5, 1.6e-7, 0.02, 1, 0),
        Band(2322.7, 3.5e-7, 0.02, 1, 2143),
        Band(2352.0, 5e-7, 0.02, 1, 4260),
        Band(4670.0, 1.1e-5, 0.12, 1, 0),
        Band(4670.0, 1.1e-5, 0.12, -1, 0),
        Band(4800.0, 2e-5, 0.12, 1, 2143),
        Band(1578.0, 1.2e-9, 0.02, 1, 0),
        Band(1640.0, 6e-9, 0.02, 1, 4260),
    ],
    "OH": [Band(309.0, 0.0008, 0.1, 1, 0), Band(3400.0, 1e-6, 0.5, 1, 0)],
}


def band_cross_section(name: str, wave: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """Cross section of all bands of a molecule.

    Parameters
    ----------
    name : str
        A name in BANDS.
    wave : (n_wave,) array
        Wavelengths, cm.
    temperature : (n_depth,) array
        Temperatures, K.

    Returns
    -------
    (n_depth, n_wave) array
        cm2 per molecule.
    """
    wavenumber = 1 / wave
    quantum = SECOND_RADIATION * MOLECULES[name].vibration / temperature
    ground_share = 1 - np.exp(-quantum)
    total = np.zeros((len(temperature), len(wave)))
    for band in BANDS[name]:
        width = CM_PER_KELVIN * temperature * band.change
        width = np.maximum(width, NARROWEST)[:, None]
        beyond_head = band.direction * (1e7 / band.head - wavenumber)
        tail = beyond_head / width
        exponent = np.where(beyond_head >= 0, tail, -beyond_head / SHARP_SIDE)
        profile = np.exp(-np.clip(exponent, 0, 60)) / width
        excitation = SECOND_RADIATION * band.lower / temperature
        population = np.exp(-excitation) * ground_share
        total += CLASSICAL * band.strength * profile * population[:, None]
    return total
