"""Which stars pulsate: delta Scuti stars and long-period variables are found among ordinary stars by where they are."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.phases import GIANT_LOGG, Evolved
from multistar.mock.variability.pulsators import delta_scuti_mode, lpv_mode

CLASS_NAME = "U12"
OLD_CLASSES = ("rrab", "rrc")
STRIP = (6900.0, 8500.0)  # K, of dwarfs
SHARE_IN_STRIP = 0.5  # of the stars in the strip that pulsate; 0.5-0.7 near its centre (Murphy et al. 2019, from memory)
LPV_LOGG = 0.8  # more luminous giants all vary


@dataclass(frozen=True)
class Pulsation:
    """All (n,): name of the class or "", period [d] or NaN, amplitude [mag] or 0."""

    variability: np.ndarray
    period: np.ndarray
    amplitude: np.ndarray


def natural_pulsation(star: Evolved, rng: np.random.Generator) -> Pulsation:
    """Pulsation of stars drawn from isochrones. RR Lyrae stars and Cepheids are not among them."""
    n = len(star.mass)
    out = Pulsation(np.full(n, "", CLASS_NAME), np.full(n, np.nan), np.zeros(n))
    in_strip = (star.teff > STRIP[0]) & (star.teff < STRIP[1]) & (star.logg > GIANT_LOGG)
    groups = {
        "delta_scuti": (in_strip & (rng.random(n) < SHARE_IN_STRIP), delta_scuti_mode),
        "lpv": (star.logg < LPV_LOGG, lpv_mode),
    }
    for name, (chosen, mode) in groups.items():
        out.variability[chosen] = name
        out.period[chosen], out.amplitude[chosen] = mode(
            star.mass[chosen], star.radius[chosen], rng
        )
    return out
