"""The strength of the metal-line forest, so that the solar model has the solar spectrum."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from astropy.io import fits

from multistar.mock.atmosphere.gas import abundances
from multistar.mock.atmosphere.spectrum import (
    WAVELENGTH,
    Atmosphere,
    Opacity,
    emergent_flux,
    model_atmosphere,
    opacity,
)
from multistar.mock.atmosphere.structure import pressure_structure

SUN = 5772.0, 4.438, 0.0  # Teff, logg, [M/H]
DILUTION = 46202.0  # (1 au / solar radius)^2
EDGES = np.concatenate([np.arange(288, 700, 3.0), np.arange(700, 1066, 6.0)])  # nm
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2
SWITCH = 535.0  # nm: the forest follows the solar spectrum below, a table of line blocking above
# Wavelength [nm] and share of the flux that weak lines block.
BLOCKING = (
    [520, 550, 600, 650, 700, 800, 900, 1000, 1066],
    [0.085, 0.065, 0.042, 0.032, 0.024, 0.02, 0.018, 0.012, 0.008],
)
STRENGTHS = np.linspace(-24, -15.3, 34)  # log10 cm2
NO_FOREST = 1e-30  # cm2
ROUNDS = 3


@dataclass(frozen=True)
class Forest:
    """The calibrated forest of metal lines."""

    strength: np.ndarray  # (n_wave,) cm2 per iron atom
    correction: np.ndarray  # (n_wave,) the Sun over its model, for every star's flux


def solar_spectrum() -> np.ndarray:
    """Solar flux at the surface averaged in bins, from the file in pyphot.

    Returns
    -------
    (n_bin,) array
        F_lambda, erg s-1 cm-2 cm-1.
    """
    path = files("pyphot") / "libs" / "sun_reference_stis_001.fits"
    table: Any = fits.getdata(str(path))
    wavelength = np.asarray(table["WAVELENGTH"], float) / 10
    flux = np.asarray(table["FLUX"], float) * 1e8 * DILUTION
    return bin_average(wavelength, flux)


def bin_average(wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Average a spectrum (n,) between EDGES, (n_bin,); wavelength in nm."""
    middle = (flux[1:] + flux[:-1]) / 2
    steps = np.diff(wavelength)
    integral = np.r_[0, np.cumsum(middle * steps)]
    at_edges = np.interp(EDGES, wavelength, integral)
    return np.diff(at_edges) / np.diff(EDGES)


def calibrate_forest() -> Forest:
    """Solve for the strength of the forest bin by bin.

    It is done a few times, because the structure of the solar model depends on the strength.
    """
    observed = solar_spectrum()
    strength = np.full(len(WAVELENGTH), NO_FOREST)
    for _ in range(ROUNDS):
        strength = _improve_strength(observed, model_atmosphere(*SUN, strength))
    sun = model_atmosphere(*SUN, strength)
    model = bin_average(WAVELENGTH, sun.flux)
    correction = np.interp(WAVELENGTH, CENTRES, observed / model)
    return Forest(strength, correction)


def _improve_strength(observed: np.ndarray, sun: Atmosphere) -> np.ndarray:
    """Strength (n_wave,) that gives the structure of `sun` the observed spectrum (n_bin,)."""
    _, logg, m_h = SUN
    pressure = pressure_structure(sun.temperature, logg, m_h, 0.0)
    unit_forest = np.ones(len(WAVELENGTH))
    unit = opacity(sun.temperature, pressure, abundances(m_h), unit_forest)
    trials = np.array([_binned_flux(sun, unit, 10**s) for s in STRENGTHS])
    continuum = _binned_flux(sun, unit, NO_FOREST, lines=False)

    blocking = np.interp(CENTRES, *BLOCKING)
    below_continuum = continuum * (1 - blocking)
    below_strong_lines = trials[0] * (1 - 0.6 * blocking)
    blocked = np.minimum(below_continuum, below_strong_lines)
    wanted = np.where(CENTRES > SWITCH, blocked, observed)
    log_strength = np.empty(len(CENTRES))
    for j, flux in enumerate(wanted):
        # Flux falls with strength, and interp wants rising abscissae.
        log_strength[j] = np.interp(-np.log10(flux), -np.log10(trials[:, j]), STRENGTHS)
    return _extend_strength(log_strength)


def _extend_strength(log_strength: np.ndarray) -> np.ndarray:
    """From log10 strength in bins (n_bin,) to the strength at all wavelengths (n_wave,)."""
    log_all = np.interp(WAVELENGTH, CENTRES, log_strength, left=log_strength[0])
    strength = 10**log_all
    red = CENTRES[-1] < WAVELENGTH
    fading = (3000 - WAVELENGTH[red]) / 1934
    fading = np.clip(fading, 0, 1)
    reddest = 10 ** log_strength[-1]
    strength[red] = reddest * 0.08 * fading
    return strength


def _binned_flux(sun: Atmosphere, unit: Opacity, strength: float, lines: bool = True) -> np.ndarray:
    """Binned flux of the solar structure with a forest of one strength.

    Without `lines` there are neither strong lines nor molecular bands.
    """
    nothing = np.zeros_like(unit.tio)
    opacities = Opacity(
        smooth=unit.smooth if lines else unit.continuum,
        continuum=unit.continuum,
        molecules=unit.molecules if lines else nothing,
        tio=unit.tio if lines else nothing,
        forest=unit.forest * strength,
        reference=unit.reference,
    )
    flux = emergent_flux(sun.temperature, opacities) * sun.scale**4
    return bin_average(WAVELENGTH, flux)
