"""The strength of the metal-line forest, so that the solar model has the solar spectrum."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from astropy.io import fits

from multistar.mock.atmosphere.gas import abundances
from multistar.mock.atmosphere.spectrum import (
    WAVELENGTH,
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
BLOCKING = (
    [520, 550, 600, 650, 700, 800, 900, 1000, 1066],
    [0.085, 0.065, 0.042, 0.032, 0.024, 0.02, 0.018, 0.012, 0.008],
)
STRENGTHS = np.linspace(-24, -15.3, 34)  # log10 cm2
ROUNDS = 3


@dataclass(frozen=True)
class Forest:
    """strength (n_wave,) cm2 per iron atom; correction (n_wave,): the Sun over its model, for every star's flux."""

    strength: np.ndarray
    correction: np.ndarray


def solar_spectrum() -> np.ndarray:
    """F_lambda at the solar surface averaged in bins (n_bin,), erg s-1 cm-2 cm-1, from the file in pyphot."""
    table: Any = fits.getdata(str(files("pyphot") / "libs" / "sun_reference_stis_001.fits"))
    return bin_average(
        np.asarray(table["WAVELENGTH"], float) / 10,
        np.asarray(table["FLUX"], float) * 1e8 * DILUTION,
    )


def bin_average(wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
    integral = np.r_[0, np.cumsum((flux[1:] + flux[:-1]) / 2 * np.diff(wavelength))]
    return np.diff(np.interp(EDGES, wavelength, integral)) / np.diff(EDGES)


def calibrate_forest() -> Forest:
    """Solve for the strength bin by bin, a few times because the structure depends on it."""
    observed = solar_spectrum()
    blocking = np.interp(CENTRES, *BLOCKING)
    strength = np.full(len(WAVELENGTH), 1e-30)
    for _ in range(ROUNDS):
        sun = model_atmosphere(*SUN, strength)
        pressure = pressure_structure(sun.temperature, SUN[1], SUN[2], 0.0)
        unit = opacity(sun.temperature, pressure, abundances(0.0), np.ones(len(WAVELENGTH)))
        trials = np.array([_binned(sun, unit, 10**s) for s in STRENGTHS])
        continuum = _binned(sun, unit, 1e-30, lines=False)
        wanted = np.where(
            CENTRES > SWITCH,
            np.minimum(continuum * (1 - blocking), trials[0] * (1 - 0.6 * blocking)),
            observed,
        )
        log_strength = np.array(
            [
                np.interp(-np.log10(wanted[j]), -np.log10(trials[:, j]), STRENGTHS)
                for j in range(len(CENTRES))
            ]
        )
        strength = 10 ** np.interp(WAVELENGTH, CENTRES, log_strength, left=log_strength[0])
        red = CENTRES[-1] < WAVELENGTH
        strength[red] = (
            10 ** log_strength[-1] * 0.08 * np.clip((3000 - WAVELENGTH[red]) / 1934, 0, 1)
        )
    ratio = observed / bin_average(WAVELENGTH, model_atmosphere(*SUN, strength).flux)
    return Forest(strength, np.interp(WAVELENGTH, CENTRES, ratio))


def _binned(sun, unit: Opacity, strength: float, lines: bool = True) -> np.ndarray:
    """Binned flux of the solar structure with a forest of one strength, with or without strong lines and bands."""
    smooth = unit.smooth if lines else unit.continuum
    molecules, tio = (x if lines else np.zeros_like(x) for x in (unit.molecules, unit.tio))
    k = Opacity(smooth, unit.continuum, molecules, tio, unit.forest * strength, unit.reference)
    return bin_average(WAVELENGTH, emergent_flux(sun.temperature, k) * sun.scale**4)
