"""Variable stars by class: masses, temperatures, periods and amplitudes that belong together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from multistar.mock.variability import cepheids, main_sequence, red_giants, rr_lyrae, surfaces
from multistar.mock.variability.drawn import Pulsators


@dataclass(frozen=True)
class PulsatorClass:
    """How the stars of a class are drawn, and the [M/H] [dex] that is typical of it.

    Old classes are of the halo and the thick disc, others of the thin disc. Stars beyond `reach`
    [kpc] are not drawn: faint ones, of which almost none would be seen.
    """

    draw: Callable[[np.ndarray, np.random.Generator], Pulsators]
    mean_m_h: float
    m_h_scatter: float
    old: bool = False
    reach: float | None = None


CLASSES = {
    "rrab": PulsatorClass(rr_lyrae.draw_rrab, -1.4, 0.4, old=True),
    "rrc": PulsatorClass(rr_lyrae.draw_rrc, -1.6, 0.4, old=True),
    "cepheid": PulsatorClass(cepheids.draw_cepheids, 0.05, 0.10),
    "delta_scuti": PulsatorClass(main_sequence.draw_delta_scuti, 0.0, 0.15),
    "lpv": PulsatorClass(red_giants.draw_lpvs, -0.15, 0.25),
    "rrd": PulsatorClass(rr_lyrae.draw_rrd, -1.6, 0.3, old=True),
    "cepheid_1o": PulsatorClass(cepheids.draw_overtone_cepheids, 0.05, 0.10),
    "cepheid_ii": PulsatorClass(cepheids.draw_old_cepheids, -1.0, 0.4, old=True),
    "sx_phe": PulsatorClass(main_sequence.draw_sx_phe, -1.2, 0.4, old=True),
    "hads": PulsatorClass(main_sequence.draw_hads, 0.0, 0.15),
    "gamma_dor": PulsatorClass(main_sequence.draw_gamma_dor, 0.0, 0.15),
    "spb": PulsatorClass(main_sequence.draw_spb, 0.0, 0.15),
    "beta_cep": PulsatorClass(main_sequence.draw_beta_cep, 0.0, 0.15),
    "osarg": PulsatorClass(red_giants.draw_osargs, -0.2, 0.3),
    "mira": PulsatorClass(red_giants.draw_miras, -0.15, 0.25),
    "alpha2_cvn": PulsatorClass(surfaces.draw_alpha2_cvn, 0.0, 0.15),
    "flare_star": PulsatorClass(surfaces.draw_flare_stars, 0.0, 0.15, reach=0.15),
    "be": PulsatorClass(surfaces.draw_be_stars, 0.0, 0.15),
}


def draw_pulsators(
    variability_class: str, n: int, rng: np.random.Generator, m_h: np.ndarray | float | None = None
) -> Pulsators:
    """Draw stars of one class; how many stars of each class there are is not said here.

    Parameters
    ----------
    variability_class : str
        A name in CLASSES.
    n : int
        Number of stars.
    rng : numpy.random.Generator
        Source of all random numbers.
    m_h : (n,) array or float, optional
        Metallicities [dex]; drawn typical of the class if not given.

    Raises
    ------
    ValueError
        For an unknown class.
    """
    if variability_class not in CLASSES:
        raise ValueError(
            f"unknown variability class {variability_class!r}; known are {sorted(CLASSES)}"
        )
    pulsator_class = CLASSES[variability_class]
    if m_h is None:
        m_h = rng.normal(pulsator_class.mean_m_h, pulsator_class.m_h_scatter, n)
    else:
        m_h = np.broadcast_to(np.asarray(m_h, float), n)
    return pulsator_class.draw(m_h, rng)
