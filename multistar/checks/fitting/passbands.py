"""Passbands of the mock's photometry: BP and RP from GaiaXPy, the others from pyphot."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from astropy.io import fits

from multistar.modalities.gaia_xp.instrument import STEP, fine_grid, load_band, resampling_matrix

# Riello et al. 2021, in photo-electron rates.
GAIA_ZERO_POINT = {"bp": 25.3385422158, "rp": 24.7478955012}
CURVES = {
    "g": "gaia_maw_g",
    "j": "2mass_j",
    "h": "2mass_h",
    "ks": "2mass_ks",
    "w1": "wise_rsr_w1",
    "w2": "wise_rsr_w2",
}
VEGA_G = 0.03  # mag of Vega in the Gaia system
VEGA_FILE = "alpha_lyr_mod_004.fits"
VEGA_FLUX = 1e-2  # W m-2 nm-1 per erg s-1 cm-2 A-1
NM_PER = {"aa": 0.1, "angstrom": 0.1, "nm": 1.0, "nanometer": 1.0, "um": 1000.0}
SHORTEST, LONGEST, STEPS = 281.0, 5580.0, 1500  # nm, and points of a curve


@dataclass(frozen=True)
class Passband:
    """Weights (n_wave,) on a grid of wavelengths, and the Vega zero point [mag]."""

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
    for name, zero_point in GAIA_ZERO_POINT.items():
        fine = fine_grid(name)
        rate = load_band(name).photon_rate(fine) * STEP
        bands[name] = Passband(rate @ resampling_matrix(wavelength, fine), zero_point)
    library = files("pyphot") / "libs"
    vega: Any = fits.getdata(str(library / VEGA_FILE))
    vega_wavelength, vega_flux = vega["WAVELENGTH"] / 10.0, vega["FLUX"] * VEGA_FLUX
    for name, curve in CURVES.items():
        text = (library / "ascii_sources" / f"{curve}.csv").read_text()
        wave, transmission = parse_curve(text)
        fine = np.linspace(max(wave.min(), SHORTEST), min(wave.max(), LONGEST), STEPS)
        weights = np.interp(fine, wave, transmission) * fine * (fine[1] - fine[0])
        zero_point = 2.5 * np.log10(weights @ np.interp(fine, vega_wavelength, vega_flux))
        if name == "g":
            zero_point += VEGA_G
        bands[name] = Passband(weights @ resampling_matrix(wavelength, fine), zero_point)
    return bands
