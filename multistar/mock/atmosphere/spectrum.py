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
# Cosines of the angles (0, 1) over which the intensity is integrated.
_COSINES, _COSINE_WEIGHTS = leggauss(3)
_COSINES = (_COSINES + 1) / 2
_COSINE_WEIGHTS = _COSINE_WEIGHTS / 2

TEMPERATURE_CORRECTION = (0.9, 1.12)  # limits of the factor


@dataclass(frozen=True)
class Opacity:
    """Opacities in cm-1, (n_depth, n_wave)."""

    smooth: np.ndarray  # continuum and strong lines, which do not vary within a wavelength bin
    continuum: np.ndarray
    molecules: np.ndarray
    tio: np.ndarray
    forest: np.ndarray
    reference: np.ndarray  # (n_depth,) continuum at 500 nm


@dataclass(frozen=True)
class Atmosphere:
    """A model atmosphere with its spectrum."""

    teff: float  # K
    logg: float  # cgs dex
    m_h: float  # dex
    temperature: np.ndarray  # (n_depth,) K
    scale: float  # fourth root of the factor by which the flux was multiplied: sigma Teff^4 in all
    flux: np.ndarray  # (n_wave,) F_lambda at the surface, erg s-1 cm-2 cm-1


def opacity(
    temperature: np.ndarray, pressure: np.ndarray, abundance: dict[str, float], strength: np.ndarray
) -> Opacity:
    """Opacities of a model's gas.

    Parameters
    ----------
    temperature, pressure : (n_depth,) array
        Temperature [K] and gas pressure [dyn cm-2].
    abundance : dict of str to float
        Nuclei per hydrogen nucleus.
    strength : (n_wave,) array
        Strength of the forest, cm2 per iron atom.
    """
    gas = equation_of_state(temperature, pressure, abundance)
    induced = stimulated(WAVE, temperature)
    continuum = continuous_opacity(WAVE, temperature, gas)
    metals = metal_lines(WAVELENGTH, temperature, gas)
    hydrogen = hydrogen_lines(WAVELENGTH, temperature, gas)
    bands = {}
    for name in BANDS:
        density = gas.molecules[name][:, None]
        bands[name] = band_cross_section(name, WAVE, temperature) * density * induced
    tio = bands.pop("TiO")
    return Opacity(
        smooth=continuum + (metals + hydrogen) * induced,
        continuum=continuum,
        molecules=np.sum(list(bands.values()), axis=0),
        tio=tio,
        forest=forest(temperature, gas, strength),
        reference=continuum[:, _AT_REFERENCE],
    )


def planck(temperature: np.ndarray) -> np.ndarray:
    """Planck function B_lambda (n_depth, n_wave), erg s-1 cm-2 cm-1 sr-1."""
    thermal = WAVE * BOLTZMANN * temperature[:, None]
    exponent = np.clip(PLANCK * LIGHT / thermal, 0, 600)
    brightness = 2 * PLANCK * LIGHT**2 / WAVE**5
    return brightness / np.expm1(exponent)


def emergent_flux(temperature: np.ndarray, opacities: Opacity) -> np.ndarray:
    """Flux at the surface, averaged over the distribution of opacity within each bin.

    The average is a Gauss-Hermite quadrature.

    Parameters
    ----------
    temperature : (n_depth,) array
        Temperature, K.
    opacities : Opacity
        Opacities at each depth.

    Returns
    -------
    (n_wave,) array
        F_lambda, erg s-1 cm-2 cm-1.
    """
    source = planck(temperature)
    flux = np.zeros(len(WAVE))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        # Log-normal factors with mean 1.
        factor = {}
        for name, spread in SPREAD.items():
            factor[name] = np.exp(spread * node - spread**2 / 2)
        total = opacities.smooth + opacities.molecules * factor["molecules"]
        total = total + opacities.tio * factor["TiO"]
        total = total + opacities.forest * factor["forest"]
        relative = total / opacities.reference[:, None]
        flux += weight * _formal_solution(source, relative)
    return flux


def _formal_solution(source: np.ndarray, relative: np.ndarray) -> np.ndarray:
    """Flux from a source function linear in optical depth.

    `relative` is the opacity over that at 500 nm.
    """
    tau = _optical_depth(relative)
    flux = np.zeros(source.shape[1])
    for cosine, weight in zip(_COSINES, _COSINE_WEIGHTS, strict=True):
        slant = tau / cosine
        transmitted = np.exp(-np.clip(slant, 0, 80))
        thickness = np.maximum(np.diff(slant, axis=0), 1e-9)
        slope = np.diff(source, axis=0) / thickness
        above = source[0] * (1 - transmitted[0])
        top = source[:-1] + slope
        top = top * transmitted[:-1]
        bottom = source[1:] + slope
        bottom = bottom * transmitted[1:]
        layers = (top - bottom).sum(0)
        below = (source[-1] + slope[-1]) * transmitted[-1]
        intensity = above + (layers + below)
        flux += 2 * np.pi * cosine * weight * intensity
    return flux


def _optical_depth(relative: np.ndarray) -> np.ndarray:
    """Optical depth (n_depth, n_wave): the trapezoidal rule in ln tau at 500 nm."""
    tau_500 = 10 ** LOG_TAU[:, None]
    integrand = relative * tau_500
    neighbours = integrand[1:] + integrand[:-1]
    middle = neighbours / 2
    log_step = np.diff(np.log(tau_500), axis=0)
    below_surface = np.cumsum(middle * log_step, axis=0)
    surface = integrand[:1]
    return np.vstack([surface, surface + below_surface])


def bolometric(flux: np.ndarray) -> float:
    """Integral of a spectrum (n_wave,) over wavelength, with simple tails beyond the grid."""
    inside = np.trapezoid(flux, WAVE)
    blue = flux[0] * WAVE[0] / 6
    red = flux[-1] * WAVE[-1] / 3
    total = inside + blue + red
    return float(total)


def model_atmosphere(teff: float, logg: float, m_h: float, strength: np.ndarray) -> Atmosphere:
    """Compute a model of solar-scaled composition.

    The temperature is scaled once so that the flux comes near sigma Teff^4, then the flux exactly.

    Parameters
    ----------
    teff, logg, m_h : float
        Teff [K], surface gravity [cgs dex] and [M/H] [dex].
    strength : (n_wave,) array
        Strength of the forest, cm2 per iron atom.
    """
    temperature = temperature_structure(teff)
    _, scale = _flux_and_scale(temperature, teff, logg, m_h, strength)
    correction = np.clip(scale, *TEMPERATURE_CORRECTION)
    temperature = temperature * correction
    flux, scale = _flux_and_scale(temperature, teff, logg, m_h, strength)
    return Atmosphere(teff, logg, m_h, temperature, scale, flux * scale**4)


def _flux_and_scale(
    temperature: np.ndarray, teff: float, logg: float, m_h: float, strength: np.ndarray
) -> tuple[np.ndarray, float]:
    """Emergent flux, and the fourth root of the factor that brings it to sigma Teff^4."""
    pressure = pressure_structure(temperature, logg, m_h, 0.0)
    opacities = opacity(temperature, pressure, abundances(m_h), strength)
    flux = emergent_flux(temperature, opacities)
    wanted = STEFAN_BOLTZMANN * teff**4
    factor = wanted / bolometric(flux)
    return flux, factor**0.25


def with_composition(
    model: Atmosphere, strength: np.ndarray, alpha_m: float = 0.0, c_n: float = 0.0
) -> np.ndarray:
    """Flux (n_wave,) of the same temperature structure with other [alpha/M] or [C/N] [dex].

    `strength` (n_wave,) is that of the forest, cm2 per iron atom.
    """
    pressure = pressure_structure(model.temperature, model.logg, model.m_h, alpha_m)
    abundance = abundances(model.m_h, alpha_m, c_n)
    opacities = opacity(model.temperature, pressure, abundance, strength)
    flux = emergent_flux(model.temperature, opacities)
    return flux * model.scale**4
