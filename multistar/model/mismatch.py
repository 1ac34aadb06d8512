"""How far real stars are from mock ones, and how a model is told of it.

Synthetic spectra, the instrument model and the zero points of photometry are off by some percent, smoothly in
wavelength, alike for similar stars. A model that takes them for exact quotes intervals too narrow on the sky. So
training multiplies part of the mock spectra with random smooth functions of wavelength, shifts magnitudes, and
states the errors that much larger; for stars of the sky errors are stated larger in the same way, and what is known
of the mock's zero points is taken away.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from encoders import Measurement
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS
from multistar.model.standardise import Standardiser

# Error of the mean spectrum, rms [%] at wavelengths [nm]. Calibration to flux amplifies it about three times at the
# ripples' scale; sizes are such that flux and coefficients scatter as the residuals that scripts/compare_real_xp.py
# shows for Gaia DR3 stars (field, CALSPEC, Rubin): 5 % at 400-500 nm, 1-2 % at 600-850 nm, 5 % beyond.
WAVELENGTHS = (330.0, 380.0, 420.0, 470.0, 520.0, 580.0, 640.0, 720.0, 850.0, 900.0, 970.0, 1050.0)
SIZES = (5.0, 4.0, 3.0, 2.5, 2.0, 1.5, 1.0, 0.7, 1.0, 1.8, 1.8, 1.8)
SHARES = {
    0.012: 0.75,
    0.06: 0.25,
}  # of the variance, by length of correlation in ln wavelength: ripples and trends
KEPT = 0.98  # of the variance, by the modes that are used
MAGNITUDE = 0.02  # mag, scatter of zero points and synthetic colours of any band but G
# Mock - sky [mag], on the scale on which BP and RP agree, as BP-RP is what the colour-temperature relation holds:
# medians over twins of 2,400 LAMOST stars and 1,900 Kepler giants (scripts/evaluate_shift.py), which agree to 0.005
# but for Ks (0.01, 0.04), where stars of the two samples differ.
ZERO_POINTS = {"g": 0.028, "j": 0.02, "h": -0.03, "ks": 0.025, "w1": 0.043, "w2": 0.053}
SAMPLES = np.linspace(0, 60, 241)  # pseudo-wavelengths


@lru_cache(maxsize=2)
def responses(band: str) -> Tensor:
    """(n, n, modes): coefficients @ responses = change of the coefficients by each mode of the flux error.

    The mean spectrum is h(u) = sum_n c_n basis_n(u); a relative error e(wavelength) changes c_n by the
    integral of basis_n h e, as the bases are orthonormal.
    """
    from multistar.modalities.gaia_xp.instrument import (  # here, because it loads all of GaiaXPy
        RANGE,
        load_band,
    )

    model = load_band(band)
    basis, step = model.internal_basis(SAMPLES), model.scale * (SAMPLES[1] - SAMPLES[0])
    grid = np.linspace(*RANGE[band], 1000)
    place = np.asarray(model.model.wl_to_pwl(grid))  # pyright: ignore[reportArgumentType]
    order = np.argsort(place)
    wavelength = np.interp(SAMPLES, place[order], grid[order])
    apart = np.subtract.outer(np.log(wavelength), np.log(wavelength))
    size = np.interp(wavelength, WAVELENGTHS, SIZES) / 100
    covariance = sum(
        share * np.exp(-0.5 * (apart / length) ** 2) for length, share in SHARES.items()
    )
    variance, modes = np.linalg.eigh(np.outer(size, size) * covariance)
    used = np.cumsum(variance[::-1]) < KEPT * variance.sum()
    modes = (modes * np.sqrt(np.maximum(variance, 0)))[:, ::-1][:, used]
    return torch.from_numpy(np.einsum("mg,ng,gr->mnr", basis * step, basis, modes)).float()


class Mismatch:
    """Acts on standardised measurements. size (B, 1): 0 leaves a star as it is, 1 is the mismatch as measured.

    Bands whose bases are unknown (other layouts than DR3's) are left as they are.
    """

    def __init__(self, standardiser: Standardiser):
        vocabulary = standardiser.vocabulary
        self.center, self.scale = standardiser.center, standardiser.scale
        self.bands = {b: s for b, s in vocabulary.band_slots.items() if len(s) == DR3_ORDERS[b]}
        names = enumerate(vocabulary.measurements)
        magnitudes = {n: slot for slot, n in names if vocabulary.quantity(n).kind == "magnitude"}
        self.g = magnitudes.pop("g", None)
        self.colours = list(magnitudes.values())
        self.zero_points = torch.tensor([ZERO_POINTS.get(n, 0.0) for n in magnitudes])

    def told(self, m: Measurement, size: Tensor) -> Measurement:
        """Stars of the sky: magnitudes with the mock's zero points, and errors that hold the mismatch."""
        return self._apply(self._levelled(m), size, None)

    def drawn(self, m: Measurement, size: Tensor, generator: torch.Generator) -> Measurement:
        """Mock stars as off as those of the sky, with errors that hold it."""
        return self._apply(m, size, generator)

    def _levelled(self, m: Measurement) -> Measurement:
        """Zero points of magnitudes added, where they are relative to G or, without it, to the mean of the bands.

        XP coefficients stay relative to G as it is: the mock's own agree with its G to 1 %.
        """
        value, seen, zero = (
            m.value.clone(),
            m.observed[:, self.colours],
            self.zero_points.to(m.value),
        )
        reference = (seen * zero).sum(1) / seen.sum(1).clamp(min=1)
        if self.g is not None:
            reference = torch.where(m.observed[:, self.g], ZERO_POINTS["g"], reference)
            value[:, self.g] += ZERO_POINTS["g"] / self.scale[self.g]
        value[:, self.colours] += (zero - reference[:, None]) / self.scale[self.colours]
        return Measurement(torch.where(m.observed, value, m.value), m.sigma, m.observed)

    def _apply(
        self, m: Measurement, size: Tensor, generator: torch.Generator | None
    ) -> Measurement:
        value, sigma = m.value.clone(), m.sigma.clone()
        scatter = size * MAGNITUDE / self.scale[self.colours]
        sigma[:, self.colours] = torch.hypot(sigma[:, self.colours], scatter)
        if generator is not None:
            value[:, self.colours] += scatter * torch.randn(scatter.shape, generator=generator)
        for band, slots in self.bands.items():
            here = slice(slots.start, slots.stop)
            change = self._change(m, here, responses(band)) * size[..., None]
            # XP slots are arcsinh of the linear value: see Standardiser
            linear, width = value[:, here].sinh(), sigma[:, here] * value[:, here].cosh()
            if generator is not None:
                linear += (
                    change @ torch.randn(len(change), change.shape[-1], 1, generator=generator)
                )[..., 0]
            width = torch.hypot(width, change.norm(dim=-1))
            value[:, here], sigma[:, here] = linear.asinh(), width / (1 + linear**2).sqrt()
        value = torch.where(m.observed, value, m.value)
        return Measurement(value, sigma, m.observed)

    def _change(self, m: Measurement, here: slice, response: Tensor) -> Tensor:
        """(B, n, modes) change of the standardised linear coefficients by each mode."""
        scale, center = self.scale[here], self.center[here]
        coefficients = torch.where(m.observed[:, here], m.value[:, here].sinh() * scale + center, 0)
        n = len(scale)
        change = (coefficients @ response.reshape(n, -1).to(coefficients)).reshape(
            len(coefficients), n, -1
        )
        return change / scale[:, None]
