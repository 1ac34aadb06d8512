"""Passbands of the mock's photometry: those of Gaia from GaiaXPy, the others from pyphot.

Magnitudes are Vega's, those of Pan-STARRS1 AB.

G, BP and RP are those that GaiaXPy (its system of DR3) derives from XP coefficients, applied to the
coefficients of a spectrum: so the magnitudes and the XP spectrum of a mock star agree.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from astropy.io import fits

from multistar.modalities.gaia_xp.instrument import resampling_matrix, xp_matrix
from multistar.modalities.gaia_xp.synthesis import MAGNITUDES, photometry_matrix

CURVES = {
    "j": "2mass_j",
    "h": "2mass_h",
    "ks": "2mass_ks",
    "w1": "wise_rsr_w1",
    "w2": "wise_rsr_w2",
}
AB_CURVES = {f"ps1_{band}": f"PS1_{band}" for band in "grizy"}
AB_FLUX = 3631e-26  # W m-2 Hz-1, of a star of magnitude 0
LIGHT = 2.99792458e17  # nm s-1
VEGA_FILE = "alpha_lyr_mod_004.fits"
VEGA_FLUX = 1e-2  # W m-2 nm-1 per erg s-1 cm-2 A-1
NM_PER = {"aa": 0.1, "angstrom": 0.1, "nm": 1.0, "nanometer": 1.0, "um": 1000.0}
SHORTEST, LONGEST, STEPS = 281.0, 5580.0, 1500  # nm, and points of a curve


@dataclass(frozen=True)
class Passband:
    """Weights (n_wave,) on a grid of wavelengths, and the zero point [mag]."""

    weights: np.ndarray
    zero_point: float

    def magnitude(self, flux: np.ndarray) -> np.ndarray:
        """Return the magnitude of spectra (..., n_wave) [W m-2 nm-1]."""
        return self.zero_point - 2.5 * np.log10(flux @ self.weights)


def parse_curve(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a transmission curve in pyphot's ASCII form.

    Returns
    -------
    wavelength : ndarray
        (n,) [nm].
    transmission : ndarray
        (n,) of a detector that counts photons.
    """
    head: dict[str, str] = {}
    rows = []
    for line in text.splitlines():
        if line.startswith("#"):
            words = line.split()
            if len(words) > 2:
                head[words[1]] = words[-1].lower()
        elif line[:1].isdigit() or line[:1] == ".":
            rows.append([float(number) for number in line.split(",")[:2]])
    wavelength, transmission = np.array(rows).T
    wavelength = wavelength * NM_PER[head["WAVELENGTH_UNIT"]]
    if head["DETECTOR"] == "energy":
        transmission = transmission / wavelength
    return wavelength, transmission


def read_passbands(wavelength: np.ndarray) -> dict[str, Passband]:
    """Give the passbands of the mock on a grid of wavelengths (n_wave,) [nm]; needs pyphot."""
    bands = {}
    to_magnitude, zero_points = photometry_matrix()
    to_coefficients = xp_matrix(wavelength)
    for i, name in enumerate(MAGNITUDES):
        bands[name] = Passband(to_magnitude[:, i] @ to_coefficients, float(zero_points[i]))
    library = files("pyphot") / "libs"
    vega: Any = fits.getdata(str(library / VEGA_FILE))
    vega_wavelength, vega_flux = vega["WAVELENGTH"] / 10.0, vega["FLUX"] * VEGA_FLUX
    for name, curve in (CURVES | AB_CURVES).items():
        text = (library / "ascii_sources" / f"{curve}.csv").read_text()
        wave, transmission = parse_curve(text)
        fine = np.linspace(max(wave.min(), SHORTEST), min(wave.max(), LONGEST), STEPS)
        weights = np.interp(fine, wave, transmission) * fine * (fine[1] - fine[0])
        if name in AB_CURVES:
            standard = AB_FLUX * LIGHT / fine**2
        else:
            standard = np.interp(fine, vega_wavelength, vega_flux)
        zero_point = 2.5 * np.log10(weights @ standard)
        bands[name] = Passband(weights @ resampling_matrix(wavelength, fine), zero_point)
    return bands
