"""Molecular bands in the just-overlapping-line approximation: a head and an exponential tail.

Each band is (head [nm], oscillator strength, |B' - B''| / B'', direction of the tail: +1 to the red,
lower level [cm-1]). Strengths are Franck-Condon factors times band oscillator strengths of the
literature, rounded, and from memory.
"""

import numpy as np

from multistar.mock.atmosphere.gas import MOLECULES, SECOND_RADIATION

BANDS: dict[str, list[tuple[float, float, float, int, float]]] = {
    "TiO": [
        (705.4, 0.72 * 0.092, 0.06, 1, 0),
        (665.1, 0.2 * 0.092, 0.06, 1, 0),
        (758.9, 0.25 * 0.092, 0.06, 1, 1000),
        (712.5, 0.4 * 0.092, 0.06, 1, 1000),
        (820.5, 0.05 * 0.092, 0.06, 1, 2000),
        (766.6, 0.3 * 0.092, 0.06, 1, 2000),
        (630.0, 0.05 * 0.092, 0.06, 1, 0),
        (843.2, 0.7 * 0.0024, 0.05, 1, 0),
        (886.0, 0.8 * 0.048, 0.05, 1, 0),
        (937.0, 0.1 * 0.048, 0.05, 1, 1000),
        (895.0, 0.7 * 0.048, 0.05, 1, 1000),
        (516.7, 0.39 * 0.1, 0.09, 1, 0),
        (495.5, 0.32 * 0.1, 0.09, 1, 0),
        (476.1, 0.17 * 0.1, 0.09, 1, 0),
        (544.8, 0.33 * 0.1, 0.09, 1, 1000),
        (559.8, 0.2 * 0.1, 0.09, 1, 2000),
        (584.7, 0.2 * 0.1, 0.09, 1, 2000),
        (615.9, 0.8 * 0.09, 0.05, 1, 0),
        (585.0, 0.2 * 0.09, 0.05, 1, 0),
        (651.2, 0.2 * 0.09, 0.05, 1, 1000),
        (1103.0, 0.8 * 0.018, 0.05, 1, 0),
    ],
    "MgH": [
        (521.1, 0.95 * 0.16, 0.05, -1, 0),
        (518.2, 0.9 * 0.16, 0.05, -1, 1430),
        (484.5, 0.05 * 0.16, 0.05, -1, 0),
        (556.0, 0.05 * 0.16, 0.05, -1, 1430),
    ],
    "CaH": [(693.0, 0.9 * 0.08, 0.03, -1, 0), (638.5, 0.9 * 0.05, 0.03, -1, 0)],
    "CH": [
        (431.4, 0.99 * 0.0022, 0.03, 1, 0),
        (430.0, 0.9 * 0.0022, 0.03, 1, 2733),
        (388.9, 0.8 * 0.0037, 0.05, -1, 0),
    ],
    "CN": [
        (388.3, 0.92 * 0.033, 0.05, -1, 0),
        (387.1, 0.8 * 0.033, 0.05, -1, 2042),
        (421.6, 0.08 * 0.033, 0.05, -1, 2042),
        (359.0, 0.08 * 0.033, 0.05, -1, 0),
        (1093.0, 0.5 * 0.0045, 0.1, 1, 0),
        (917.0, 0.32 * 0.0045, 0.1, 1, 0),
        (788.0, 0.12 * 0.0045, 0.1, 1, 0),
        (692.0, 0.035 * 0.0045, 0.1, 1, 0),
        (806.0, 0.2 * 0.0045, 0.1, 1, 2042),
        (935.0, 0.1 * 0.0045, 0.1, 1, 2042),
    ],
    "CO": [
        (2293.5, 1.6e-7, 0.02, 1, 0),
        (2322.7, 3.5e-7, 0.02, 1, 2143),
        (2352.0, 5e-7, 0.02, 1, 4260),
        (4670.0, 1.1e-5, 0.12, 1, 0),
        (4670.0, 1.1e-5, 0.12, -1, 0),
        (4800.0, 2e-5, 0.12, 1, 2143),
        (1578.0, 1.2e-9, 0.02, 1, 0),
        (1640.0, 6e-9, 0.02, 1, 4260),
    ],
    "OH": [(309.0, 0.0008, 0.1, 1, 0), (3400.0, 1e-6, 0.5, 1, 0)],
}
CLASSICAL = 8.853e-13  # pi e2 / m c2, cm
CM_PER_KELVIN = 0.695  # k / hc, cm-1 K-1
SHARP_SIDE, NARROWEST = 15.0, 25.0  # cm-1


def band_cross_section(name: str, wave: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """cm2 per molecule, (n_depth, n_wave); wave in cm."""
    wavenumber = 1 / wave
    vibration = 1 - np.exp(-SECOND_RADIATION * MOLECULES[name].vibration / temperature)
    out = np.zeros((len(temperature), len(wave)))
    for head, strength, change, direction, lower in BANDS[name]:
        width = np.maximum(CM_PER_KELVIN * temperature * change, NARROWEST)[:, None]
        x = direction * (1e7 / head - wavenumber)[None, :]
        tail = np.exp(-np.clip(np.where(x >= 0, x / width, -x / SHARP_SIDE), 0, 60)) / width
        population = np.exp(-SECOND_RADIATION * lower / temperature) * vibration
        out += CLASSICAL * strength * tail * population[:, None]
    return out
