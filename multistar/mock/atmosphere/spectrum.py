"""From a model atmosphere to its emergent spectrum."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss

from multistar.mock.atmosphere.continuum import continuous_opacity, stimulated
from multistar.mock.atmosphere.gas import (
    BOLTZMANN,
    LIGHT,
    PLANCK,
    STEFAN_BOLTZMANN,
    abundances,
    equation_of_state,
)
from multistar.mock.atmosphere.lines import forest, hydrogen_lines, metal_lines, wavelength_grid
from multistar.mock.atmosphere.molecules import BANDS, band_cross_section
from multistar.mock.atmosphere.structure import (
    LOG_TAU,
    REFERENCE,
    pressure_structure,
    temperature_structure,
)

WAVELENGTH = wavelength_grid()  # nm
WAVE = WAVELENGTH * 1e-7  # cm
_AT_REFERENCE = int(np.argmin(np.abs(WAVE - REFERENCE)))

# Opacity within a bin is log-normal: its spread [ln] for the forest, TiO and the other molecules.
SPREAD = {"forest": 2.3, "TiO": 1.8, "molecules": 1.0}
_NODES, _WEIGHTS = hermegauss(6)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_ANGLE, _ANGLE_WEIGHT = ((x + shift) / 2 for x, shift in zip(leggauss(3), (1, 0), strict=True))


@dataclass(frozen=True)
class Opacity:
    """Opacities in cm-1, (n_depth, n_wave); `smooth` does not vary within a wavelength bin."""

    smooth: np.ndarray  # continuum and strong lines
    continuum: np.ndarray
    molecules: np.ndarray
    tio: np.ndarray
    forest: np.ndarray
    reference: np.ndarray  # (n_depth,) continuum at 500 nm


@dataclass(frozen=True)
class Atmosphere:
    """teff K, logg dex; temperature (n_depth,); flux (n_wave,) F_lambda at the surface, erg s-1 cm-2 cm-1."""

    teff: float
    logg: float
    m_h: float
    temperature: np.ndarray
    scale: float  # by which the flux was multiplied to have sigma Teff^4
    flux: np.ndarray


def opacity(
    temperature: np.ndarray, pressure: np.ndarray, abundance: dict[str, float], strength: np.ndarray
) -> Opacity:
    gas = equation_of_state(temperature, pressure, abundance)
    induced = stimulated(WAVE, temperature)
    continuum = continuous_opacity(WAVE, temperature, gas)
    strong = (
        metal_lines(WAVELENGTH, temperature, gas) + hydrogen_lines(WAVELENGTH, temperature, gas)
    ) * induced
    bands = {
        m: band_cross_section(m, WAVE, temperature) * gas.molecules[m][:, None] * induced
        for m in BANDS
    }
    tio = bands.pop("TiO")
    reference = continuum[:, _AT_REFERENCE]
    molecules = np.sum(list(bands.values()), axis=0)
    weak = forest(temperature, gas, strength)
    return Opacity(continuum + strong, continuum, molecules, tio, weak, reference)


def planck(temperature: np.ndarray) -> np.ndarray:
    """B_lambda (n_depth, n_wave), erg s-1 cm-2 cm-1 sr-1."""
    exponent = np.clip(PLANCK * LIGHT / (WAVE * BOLTZMANN * temperature[:, None]), 0, 600)
    return 2 * PLANCK * LIGHT**2 / WAVE**5 / np.expm1(exponent)


def emergent_flux(temperature: np.ndarray, k: Opacity) -> np.ndarray:
    """F_lambda averaged over the opacity distribution within each bin, by Gauss-Hermite quadrature."""
    source = planck(temperature)
    out = np.zeros(len(WAVE))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        factor = {name: np.exp(s * node - s**2 / 2) for name, s in SPREAD.items()}  # mean 1
        total = (
            k.smooth
            + k.molecules * factor["molecules"]
            + k.tio * factor["TiO"]
            + k.forest * factor["forest"]
        )
        out += weight * _formal_solution(source, total / k.reference[:, None])
    return out


def _formal_solution(source: np.ndarray, relative: np.ndarray) -> np.ndarray:
    """Flux from a source function linear in optical depth; `relative` is opacity over that at 500 nm."""
    tau5 = 10 ** LOG_TAU[:, None]
    integrand = relative * tau5
    steps = (integrand[1:] + integrand[:-1]) / 2 * np.diff(np.log(tau5), axis=0)
    tau = np.vstack([integrand[:1], integrand[:1] + np.cumsum(steps, axis=0)])
    flux = np.zeros(source.shape[1])
    for mu, weight in zip(_ANGLE, _ANGLE_WEIGHT, strict=True):
        slant = tau / mu
        transmitted = np.exp(-np.clip(slant, 0, 80))
        slope = np.diff(source, axis=0) / np.maximum(np.diff(slant, axis=0), 1e-9)
        intensity = source[0] * (1 - transmitted[0])
        layers = (source[:-1] + slope) * transmitted[:-1] - (source[1:] + slope) * transmitted[1:]
        intensity += layers.sum(0) + (source[-1] + slope[-1]) * transmitted[-1]
        flux += 2 * np.pi * mu * weight * intensity
    return flux


def bolometric(flux: np.ndarray) -> float:
    """Integral over wavelength, with simple tails beyond the grid."""
    return float(np.trapezoid(flux, WAVE) + flux[0] * WAVE[0] / 6 + flux[-1] * WAVE[-1] / 3)


def model_atmosphere(teff: float, logg: float, m_h: float, strength: np.ndarray) -> Atmosphere:
    """Solar-scaled model; `strength` (n_wave,) is the forest's, cm2 per iron atom.

    The temperature is scaled once so that the flux comes near sigma Teff^4, then the flux exactly.
    """
    temperature = temperature_structure(teff)
    abundance = abundances(m_h)
    scale, flux = 1.0, np.empty(0)
    for iteration in range(2):
        if iteration:
            temperature = temperature * np.clip(scale, 0.9, 1.12)
        pressure = pressure_structure(temperature, logg, m_h, 0.0)
        flux = emergent_flux(temperature, opacity(temperature, pressure, abundance, strength))
        scale = (STEFAN_BOLTZMANN * teff**4 / bolometric(flux)) ** 0.25
    return Atmosphere(teff, logg, m_h, temperature, scale, flux * scale**4)


def with_composition(
    model: Atmosphere, strength: np.ndarray, alpha_m: float = 0.0, c_n: float = 0.0
) -> np.ndarray:
    """Flux of the same temperature structure with other [alpha/M] or [C/N]."""
    pressure = pressure_structure(model.temperature, model.logg, model.m_h, alpha_m)
    abundance = abundances(model.m_h, alpha_m, c_n)
    return (
        emergent_flux(model.temperature, opacity(model.temperature, pressure, abundance, strength))
        * model.scale**4
    )
