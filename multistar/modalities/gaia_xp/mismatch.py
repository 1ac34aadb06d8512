"""How far XP spectra of real stars are from the mock's, and how a model is told of it.

Synthetic spectra and the instrument model are off by some percent, smoothly in wavelength, alike
for similar stars. A model that takes them for exact quotes intervals too narrow on the sky. So
training multiplies part of the mock spectra with random smooth functions of wavelength and states
the errors that much larger; for real stars errors are stated larger in the same way.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from encoders import Measurement

# Error of the mean spectrum, rms [%] at wavelengths [nm]. Response and calibration are known to
# 0.3-1 % at 400-960 nm, by stars of HST that nothing was fitted to (scripts/fit_xp_response.py);
# model spectra of stars of 5500-6300 K miss those of HST by 1-2 % at 400-650 nm, 3 % below and 1 %
# beyond, and medians of field stars differ by as much. Those of M dwarfs are worse.
WAVELENGTHS = (330.0, 380.0, 420.0, 470.0, 520.0, 580.0, 640.0, 720.0, 850.0, 900.0, 970.0, 1050.0)
SIZES = (5.0, 3.5, 2.2, 1.6, 1.4, 1.2, 1.0, 0.7, 0.8, 1.0, 1.2, 1.6)
# Shares of the variance, by length of correlation in ln wavelength: ripples and trends
SHARES = {0.012: 0.75, 0.06: 0.25}
KEPT = 0.98  # of the variance, by the modes that are used
SAMPLES = np.linspace(0, 60, 241)  # pseudo-wavelengths


@lru_cache(maxsize=2)
def error_responses(band: str) -> Tensor:
    """(n, n, modes): coefficients @ responses = change of the coefficients by each mode of the flux
    error.

    The mean spectrum is h(u) = sum_n c_n basis_n(u); a relative error e(wavelength) changes c_n
    by the integral of basis_n h e, as the bases are orthonormal.
    """
    from multistar.modalities.gaia_xp.instrument import RANGE, load_band  # loads all of GaiaXPy

    model = load_band(band)
    basis, step = model.internal_basis(SAMPLES), model.scale * (SAMPLES[1] - SAMPLES[0])
    grid = np.linspace(*RANGE[band], 1000)
    place = np.asarray(model.model.wl_to_pwl(grid))  # pyright: ignore[reportArgumentType]
    order = np.argsort(place)
    wavelength = np.interp(SAMPLES, place[order], grid[order])
    apart = np.subtract.outer(np.log(wavelength), np.log(wavelength))
    size = np.interp(wavelength, WAVELENGTHS, SIZES) / 100
    correlation = sum(
        share * np.exp(-0.5 * (apart / length) ** 2) for length, share in SHARES.items()
    )
    variance, modes = np.linalg.eigh(np.outer(size, size) * correlation)
    used = np.cumsum(variance[::-1]) < KEPT * variance.sum()
    modes = (modes * np.sqrt(np.maximum(variance, 0)))[:, ::-1][:, used]
    return torch.from_numpy(np.einsum("mg,ng,gr->mnr", basis * step, basis, modes)).float()


def widen_spectrum(
    m: Measurement,
    center: Tensor,
    scale: Tensor,
    band: str,
    size: Tensor,
    generator: torch.Generator | None,
) -> Measurement:
    """State errors of a band's coefficients larger by the mismatch.

    With a generator, move the values by it.

    Parameters
    ----------
    m : Measurement
        (B, n) standardised coefficients of the band: arcsinh of the linear value.
    center, scale : (n,) Tensor
        Of the standardiser.
    band : str
        "bp" or "rp".
    size : (B, 1) Tensor
        In units of the measured mismatch; 0 leaves a star as it is.
    generator : torch.Generator or None
    """
    change = _changes(m, center, scale, error_responses(band)) * size[..., None]
    linear, width = m.value.sinh(), m.sigma * m.value.cosh()
    if generator is not None:
        modes = torch.randn(len(change), change.shape[-1], 1, generator=generator)
        linear = linear + (change @ modes)[..., 0]
    width = torch.hypot(width, change.norm(dim=-1))
    sigma = width / (1 + linear**2).sqrt()
    return Measurement(torch.where(m.observed, linear.asinh(), m.value), sigma, m.observed)


def _changes(m: Measurement, center: Tensor, scale: Tensor, response: Tensor) -> Tensor:
    """(B, n, modes) change of the standardised linear coefficients by each mode."""
    coefficients = torch.where(m.observed, m.value.sinh() * scale + center, 0)
    n = len(scale)
    change = coefficients @ response.reshape(n, -1).to(coefficients)
    return change.reshape(len(coefficients), n, -1) / scale[:, None]
