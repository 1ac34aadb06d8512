"""Which ordinary stars pulsate: delta Scuti stars and long-period variables, by where they are."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.phases import GIANT_LOGG, Evolved
from multistar.mock.variability.main_sequence import delta_scuti_mode
from multistar.mock.variability.red_giants import lpv_mode

CLASS_NAME = "U12"  # dtype of the names of classes
STRIP = (6900.0, 8500.0)  # K, of dwarfs
# Of the stars in the strip that pulsate; 0.5-0.7 near its centre (Murphy et al. 2019, from memory).
SHARE_IN_STRIP = 0.5
LPV_LOGG = 0.8  # more luminous giants all vary


@dataclass(frozen=True)
class Pulsation:
    """How stars pulsate; every array is (n,)."""

    variability: np.ndarray  # name of the class, or ""
    period: np.ndarray  # d, or NaN
    amplitude: np.ndarray  # peak to peak in G, mag, or 0


def no_pulsation(n: int) -> Pulsation:
    """Pulsation of n constant stars."""
    return Pulsation(np.full(n, "", CLASS_NAME), np.full(n, np.nan), np.zeros(n))


def draw_pulsation(star: Evolved, rng: np.random.Generator) -> Pulsation:
    """Draw the pulsation of stars from isochrones.

    RR Lyrae stars and Cepheids are not among them.
    """
    n = len(star.mass)
    coolest, hottest = STRIP
    in_strip = (star.teff > coolest) & (star.teff < hottest)
    in_strip &= star.logg > GIANT_LOGG
    delta_scuti = in_strip & (rng.random(n) < SHARE_IN_STRIP)
    lpv = star.logg < LPV_LOGG
    pulsation = no_pulsation(n)
    for name, chosen, draw_mode in (
        ("delta_scuti", delta_scuti, delta_scuti_mode),
        ("lpv", lpv, lpv_mode),
    ):
        period, amplitude = draw_mode(star.mass[chosen], star.radius[chosen], rng)
        pulsation.variability[chosen] = name
        pulsation.period[chosen] = period
        pulsation.amplitude[chosen] = amplitude
    return pulsation
