"""Temperature and pressure against optical depth."""

from functools import lru_cache

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from multistar.mock.atmosphere.continuum import continuous_opacity
from multistar.mock.atmosphere.gas import abundances, equation_of_state

LOG_TAU = np.linspace(-4.6, 1.7, 48)  # log10 of the optical depth at 500 nm
REFERENCE = 5.005e-5  # cm, the wavelength of that optical depth
LOG_TEMPERATURE, LOG_PRESSURE = np.linspace(3.3, 4.25, 40), np.linspace(-0.5, 7.5, 34)


def temperature_structure(teff: float) -> np.ndarray:
    """T(tau) of Krishna Swamy (1966), cooled near the surface below 4900 K where molecules radiate.

    The size of that cooling (6 %) is a judgement: it gives a 3600 K giant a plausible TiO band at 705 nm.
    """
    tau = 10**LOG_TAU
    hopf = 1.39 - 0.815 * np.exp(-2.54 * tau) - 0.025 * np.exp(-30 * tau)
    molecular = 0.06 * np.clip((4900 - teff) / 1100, 0, 1.15)
    surface = 1 / (1 + np.exp(np.clip((LOG_TAU + 1.7) / 0.45, -40, 40)))
    return teff * (0.75 * (tau + hopf)) ** 0.25 * (1 - molecular * surface)


@lru_cache(maxsize=32)
def _opacity_table(m_h: float, alpha_m: float) -> RegularGridInterpolator:
    """log10 continuous opacity at 500 nm [cm2 g-1] against log T and log P."""
    t, p = (x.ravel() for x in np.meshgrid(10**LOG_TEMPERATURE, 10**LOG_PRESSURE, indexing="ij"))
    gas = equation_of_state(t, p, abundances(m_h, alpha_m))
    opacity = continuous_opacity(np.array([REFERENCE]), t, gas)[:, 0] / gas.mass_density
    table = np.log10(opacity).reshape(len(LOG_TEMPERATURE), -1)
    return RegularGridInterpolator(
        (LOG_TEMPERATURE, LOG_PRESSURE), table, bounds_error=False, fill_value=None
    )  # type: ignore[arg-type]


def pressure_structure(
    temperature: np.ndarray, logg: float, m_h: float, alpha_m: float
) -> np.ndarray:
    """Gas pressure (n_depth,) of hydrostatic equilibrium, d ln P / d ln tau = g tau / (kappa P)."""
    table = _opacity_table(round(m_h, 3), round(alpha_m, 3))
    log_t, tau, gravity = np.log10(temperature), 10**LOG_TAU, 10**logg

    def opacity(depth: int, log_p: float) -> float:
        inside = float(np.clip(log_p, LOG_PRESSURE[0], LOG_PRESSURE[-1]))
        return 10 ** table([[log_t[depth], inside]]).item()

    log_p = np.empty_like(tau)
    log_p[0] = 1.0
    for _ in range(9):  # at the top P = g tau / kappa(P), by iteration
        log_p[0] = np.log10(gravity * tau[0] / opacity(0, log_p[0]))
    for i in range(1, len(tau)):  # Heun's method
        step = np.log(tau[i] / tau[i - 1]) / np.log(10)
        here = gravity * tau[i - 1] / (opacity(i - 1, log_p[i - 1]) * 10 ** log_p[i - 1])
        trial = log_p[i - 1] + here * step
        there = gravity * tau[i] / (opacity(i, trial) * 10**trial)
        log_p[i] = log_p[i - 1] + (here + there) / 2 * step
    return 10**log_p
