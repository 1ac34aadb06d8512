"""Temperature and pressure against optical depth."""

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from multistar.mock.atmosphere.continuum import continuous_opacity
from multistar.mock.atmosphere.gas import abundances, equation_of_state

LOG_TAU = np.linspace(-4.6, 1.7, 48)  # log10 of the optical depth at 500 nm
REFERENCE = 5.005e-5  # cm, the wavelength of that optical depth
# Grid of the opacity table, log10 of K and of dyn cm-2.
LOG_TEMPERATURE = np.linspace(3.3, 4.25, 40)
LOG_PRESSURE = np.linspace(-0.5, 7.5, 34)
# Where molecules cool the surface [K], and by how much: a judgement, which gives a 3600 K giant a
# plausible TiO band at 705 nm.
MOLECULAR_TEFF, MOLECULAR_COOLING = 4900, 0.06
TOP_ITERATIONS = 9


def temperature_structure(teff: float) -> np.ndarray:
    """Temperature (n_depth,) [K] at LOG_TAU.

    References
    ----------
    T(tau) of Krishna Swamy (1966), cooled by up to 6 % near the surface below 4900 K, where
    molecules radiate.
    """
    tau = 10**LOG_TAU
    slow = 0.815 * np.exp(-2.54 * tau)
    fast = 0.025 * np.exp(-30 * tau)
    hopf = 1.39 - slow - fast
    fourth_power = 0.75 * (tau + hopf)
    temperature = teff * fourth_power**0.25
    coolness = np.clip((MOLECULAR_TEFF - teff) / 1100, 0, 1.15)
    depth = np.clip((LOG_TAU + 1.7) / 0.45, -40, 40)
    surface = 1 / (1 + np.exp(depth))
    cooling = MOLECULAR_COOLING * coolness * surface
    return temperature * (1 - cooling)


@lru_cache(maxsize=32)
def _opacity_table(m_h: float, alpha_m: float) -> RegularGridInterpolator:
    """log10 continuous opacity at 500 nm [cm2 g-1] against log T and log P."""
    grid = np.meshgrid(10**LOG_TEMPERATURE, 10**LOG_PRESSURE, indexing="ij")
    temperature, pressure = (x.ravel() for x in grid)
    gas = equation_of_state(temperature, pressure, abundances(m_h, alpha_m))
    per_cm = continuous_opacity(np.array([REFERENCE]), temperature, gas)[:, 0]
    table = np.log10(per_cm / gas.mass_density).reshape(len(LOG_TEMPERATURE), -1)
    extrapolate: Any = None  # the type stubs know only numbers
    axes = (LOG_TEMPERATURE, LOG_PRESSURE)
    return RegularGridInterpolator(axes, table, bounds_error=False, fill_value=extrapolate)


def pressure_structure(
    temperature: np.ndarray, logg: float, m_h: float, alpha_m: float
) -> np.ndarray:
    """Gas pressure of hydrostatic equilibrium, d ln P / d ln tau = g tau / (kappa P).

    Parameters
    ----------
    temperature : (n_depth,) array
        Temperature [K] at LOG_TAU.
    logg, m_h, alpha_m : float
        Surface gravity [cgs dex], [M/H] and [alpha/M] [dex].

    Returns
    -------
    (n_depth,) array
        Pressure, dyn cm-2.
    """
    table = _opacity_table(round(m_h, 3), round(alpha_m, 3))
    log_temperature = np.log10(temperature)
    tau = 10**LOG_TAU
    gravity = 10**logg

    def find_opacity(depth: int, log_p: float) -> float:
        """Opacity at 500 nm, cm2 g-1."""
        inside = np.clip(log_p, LOG_PRESSURE[0], LOG_PRESSURE[-1])
        log_opacity = table([[log_temperature[depth], float(inside)]])
        return 10 ** log_opacity.item()

    def find_slope(depth: int, log_p: float) -> float:
        """d log P / d log tau."""
        weight = find_opacity(depth, log_p) * 10**log_p
        return gravity * tau[depth] / weight

    log_p = np.empty_like(tau)
    log_p[0] = 1.0
    for _ in range(TOP_ITERATIONS):  # at the top P = g tau / kappa(P)
        opacity = find_opacity(0, log_p[0])
        log_p[0] = np.log10(gravity * tau[0] / opacity)
    for i in range(1, len(tau)):  # Heun's method
        step = np.log(tau[i] / tau[i - 1]) / np.log(10)
        above = log_p[i - 1]
        first_slope = find_slope(i - 1, above)
        second_slope = find_slope(i, above + first_slope * step)
        mean_slope = (first_slope + second_slope) / 2
        log_p[i] = above + mean_slope * step
    return 10**log_p
