"""The linear map between a spectrum and Gaia XP coefficients, from the instrument model in GaiaXPy.

GaiaXPy calibrates coefficients c to flux:
f(lambda) = h c 1e9 / (A R lambda) * phi(x)^T Binv^T T^T c,
with phi the Hermite functions of the scaled pseudo-wavelength x(lambda), R the response and A the
pupil area (De Angeli et al. 2023, Montegriffo et al. 2023). Here that relation is inverted:
c = T (Binv^T)^-1 taper . integral phi(x) f A R lambda / (1e9 h c) dx.
"""

import contextlib
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from scipy.constants import c as LIGHT_SPEED
from scipy.constants import h as PLANCK

from multistar._compat import load_gaiaxpy

load_gaiaxpy()
from gaiaxpy.calibrator.external_instrument_model import ExternalInstrumentModel  # noqa: E402
from gaiaxpy.core.satellite import TELESCOPE_PUPIL_AREA  # noqa: E402

STEP = 0.25  # nm, grid of the integral
RANGE = {"bp": (322.0, 690.0), "rp": (612.0, 1080.0)}  # nm, beyond which the response is nil
CONFIG = {"bp": "bpC03_v375wi", "rp": "rpC03_v142r"}  # DR3 instrument model in the GaiaXPy wheel
# Orders above the first are damped, over about this many orders: they would amplify structure that
# XP cannot resolve.
TAPER_START, TAPER_WIDTH = 45, 5.0


def hermite_functions(order: int, x: np.ndarray) -> np.ndarray:
    """Evaluate orthonormal Hermite functions by their three-term recurrence.

    Parameters
    ----------
    order : int
        Number of functions, at least 2.
    x : (n,) array
        Where to evaluate them.

    Returns
    -------
    (order, n) array
        The functions, row by row.
    """
    values = np.empty((order, len(x)))
    values[0] = np.pi**-0.25 * np.exp(-x * x / 2)
    values[1] = np.sqrt(2) * x * values[0]
    for n in range(2, order):
        rising = np.sqrt(2 / n) * x * values[n - 1]
        falling = np.sqrt((n - 1) / n) * values[n - 2]
        values[n] = rising - falling
    return values


@dataclass(frozen=True)
class XPBand:
    """One of BP and RP: its bases, dispersion and response."""

    model: ExternalInstrumentModel
    inverse: np.ndarray  # (n_basis, n_inverse) `Binv`
    rotation: np.ndarray  # (n_basis, n_basis) `T`, orthogonal
    scale: float  # x = scale * pseudo-wavelength + offset
    offset: float

    @property
    def n_basis(self) -> int:
        """Number of coefficients."""
        return len(self.rotation)

    def photon_rate(self, wavelength: np.ndarray) -> np.ndarray:
        """Photo-electrons s-1 nm-1 per unit flux [W m-2 nm-1] at `wavelength` (n,) [nm]."""
        response = self.model.get_response(wavelength)  # pyright: ignore[reportArgumentType]
        area = TELESCOPE_PUPIL_AREA * np.clip(response, 0, None)
        photon_energy = 1e9 * LIGHT_SPEED * PLANCK  # J nm
        return area * wavelength / photon_energy

    def forward(self, wavelength: np.ndarray) -> np.ndarray:
        """Matrix from flux to coefficients.

        Parameters
        ----------
        wavelength : (n_wave,) array
            Wavelengths, nm.

        Returns
        -------
        (n_basis, n_wave) array
            Coefficients [e-/s] per flux [W m-2 nm-1].
        """
        pseudo_wavelength = self.model.wl_to_pwl(wavelength)  # pyright: ignore[reportArgumentType]
        x = pseudo_wavelength * self.scale + self.offset
        n_functions = self.inverse.shape[1]
        beyond_start = (np.arange(n_functions) - TAPER_START) / TAPER_WIDTH
        beyond_start = np.clip(beyond_start, 0, 9)
        taper = np.exp(-(beyond_start**2))
        step = np.abs(np.gradient(x))
        weight = self.photon_rate(wavelength) * step
        functions = hermite_functions(n_functions, x)
        projection = taper[:, None] * functions * weight
        solution = np.linalg.solve(self.inverse.T, projection)
        return self.rotation @ solution

    def internal_basis(self, pseudo_wavelength: np.ndarray) -> np.ndarray:
        """Basis functions of the mean internal spectrum.

        Parameters
        ----------
        pseudo_wavelength : (n,) array
            Pseudo-wavelengths u, pixels.

        Returns
        -------
        (n_basis, n) array
            The spectrum is h(u) = c @ basis, e-/s per pixel.
        """
        x = pseudo_wavelength * self.scale + self.offset
        functions = hermite_functions(self.n_basis, x)
        return self.rotation @ functions


def resampling_matrix(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Linear interpolation from one wavelength grid to another as a matrix.

    Parameters
    ----------
    source : (n_source,) array
        Rising wavelengths.
    target : (n_target,) array
        Wavelengths to interpolate to.

    Returns
    -------
    (n_target, n_source) array
        Weights; two per row differ from 0.
    """
    left = np.searchsorted(source, target) - 1
    left = np.clip(left, 0, len(source) - 2)
    step = source[left + 1] - source[left]
    share = (target - source[left]) / step
    matrix = np.zeros((len(target), len(source)))
    rows = np.arange(len(target))
    matrix[rows, left] = 1 - share
    matrix[rows, left + 1] = share
    return matrix


@lru_cache(maxsize=2)
def load_band(name: str) -> XPBand:
    """Load the instrument model of "bp" or "rp"."""
    config = files("gaiaxpy") / "config"
    parts = ("dispersion", "response", "bases")
    paths = [str(config / f"{CONFIG[name]}_{part}.csv") for part in parts]
    with contextlib.redirect_stdout(io.StringIO()):  # GaiaXPy reports each file it reads
        model = ExternalInstrumentModel.from_config_csv(*paths)
    bases = model.bases
    x_range = bases["normRangeMax"] - bases["normRangeMin"]
    pixel_range = bases["pwlRangeMax"] - bases["pwlRangeMin"]
    scale = x_range / pixel_range
    offset = bases["normRangeMin"] - bases["pwlRangeMin"] * scale
    return XPBand(
        model=model,
        inverse=np.asarray(bases["inverseBasesCoefficients"], float),
        rotation=np.asarray(bases["transformationMatrix"], float),
        scale=float(scale),
        offset=float(offset),
    )


def fine_grid(name: str) -> np.ndarray:
    """Wavelengths [nm] on which the integrals over one band ("bp" or "rp") are done."""
    shortest, longest = RANGE[name]
    return np.arange(shortest, longest, STEP)


def xp_matrix(wavelength: np.ndarray) -> np.ndarray:
    """Matrix from a spectrum to the coefficients of both bands.

    Parameters
    ----------
    wavelength : (n_wave,) array
        Wavelengths of the spectrum, nm.

    Returns
    -------
    (n_bp + n_rp, n_wave) array
        BP then RP coefficients [e-/s] per flux [W m-2 nm-1].
    """
    blocks = []
    for name in ("bp", "rp"):
        fine = fine_grid(name)
        to_fine = resampling_matrix(wavelength, fine)
        blocks.append(load_band(name).forward(fine) @ to_fine)
    return np.vstack(blocks)
