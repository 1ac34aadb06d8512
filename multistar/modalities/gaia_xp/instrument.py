"""The linear map between a spectrum and Gaia XP coefficients, from the instrument model in GaiaXPy.

GaiaXPy calibrates coefficients c to flux:  f(lambda) = h c 1e9 / (A R lambda) * phi(x)^T Binv^T T^T c,
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


def hermite_functions(order: int, x: np.ndarray) -> np.ndarray:
    """(order, n) orthonormal Hermite functions at x, by their three-term recurrence."""
    out = np.empty((order, len(x)))
    out[0] = np.pi**-0.25 * np.exp(-x * x / 2)
    out[1] = np.sqrt(2) * x * out[0]
    for n in range(2, order):
        out[n] = np.sqrt(2 / n) * x * out[n - 1] - np.sqrt((n - 1) / n) * out[n - 2]
    return out


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
        return len(self.rotation)

    def photon_rate(self, wavelength: np.ndarray) -> np.ndarray:
        """Photo-electrons s-1 nm-1 per unit flux [W m-2 nm-1] at `wavelength` [nm]."""
        response = np.clip(self.model.get_response(wavelength), 0, None)  # pyright: ignore[reportArgumentType]
        return TELESCOPE_PUPIL_AREA * response * wavelength / (1e9 * LIGHT_SPEED * PLANCK)

    def forward(self, wavelength: np.ndarray) -> np.ndarray:
        """(n_basis, n_wave) matrix from flux [W m-2 nm-1] on `wavelength` [nm] to coefficients [e-/s].

        The taper damps orders above 45, which would amplify structure that XP cannot resolve.
        """
        x = self.model.wl_to_pwl(wavelength) * self.scale + self.offset  # pyright: ignore[reportArgumentType]
        order = self.inverse.shape[1]
        taper = np.exp(-(np.clip((np.arange(order) - 45) / 5.0, 0, 9) ** 2))
        weight = self.photon_rate(wavelength) * np.abs(np.gradient(x))
        projection = taper[:, None] * hermite_functions(order, x) * weight
        return self.rotation @ np.linalg.solve(self.inverse.T, projection)

    def internal_basis(self, pseudo_wavelength: np.ndarray) -> np.ndarray:
        """(n_basis, n) basis functions of the mean internal spectrum; h(u) = c @ basis, e-/s per pixel."""
        return self.rotation @ hermite_functions(
            self.n_basis, pseudo_wavelength * self.scale + self.offset
        )


def resampling_matrix(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n_target, n_source) linear interpolation from one wavelength grid to another."""
    left = np.clip(np.searchsorted(source, target) - 1, 0, len(source) - 2)
    share = (target - source[left]) / (source[left + 1] - source[left])
    out = np.zeros((len(target), len(source)))
    rows = np.arange(len(target))
    out[rows, left], out[rows, left + 1] = 1 - share, share
    return out


@lru_cache(maxsize=2)
def load_band(name: str) -> XPBand:
    """`name` is "bp" or "rp"."""
    config = files("gaiaxpy") / "config"
    paths = [
        str(config / f"{CONFIG[name]}_{part}.csv") for part in ("dispersion", "response", "bases")
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # GaiaXPy reports each file it reads
        model = ExternalInstrumentModel.from_config_csv(*paths)
    bases = model.bases
    scale = (bases["normRangeMax"] - bases["normRangeMin"]) / (
        bases["pwlRangeMax"] - bases["pwlRangeMin"]
    )
    return XPBand(
        model=model,
        inverse=np.asarray(bases["inverseBasesCoefficients"], float),
        rotation=np.asarray(bases["transformationMatrix"], float),
        scale=float(scale),
        offset=float(bases["normRangeMin"] - bases["pwlRangeMin"] * scale),
    )


def fine_grid(name: str) -> np.ndarray:
    """Wavelengths [nm] on which the integrals over one band are done."""
    return np.arange(*RANGE[name], STEP)


def xp_matrix(wavelength: np.ndarray) -> np.ndarray:
    """(n_bp + n_rp, n_wave) matrix: flux [W m-2 nm-1] on `wavelength` [nm] -> BP then RP coefficients."""
    blocks = []
    for name in ("bp", "rp"):
        fine = fine_grid(name)
        blocks.append(load_band(name).forward(fine) @ resampling_matrix(wavelength, fine))
    return np.vstack(blocks)
