"""Physical units <-> the numbers that the network sees.

Magnitudes become colours against G, XP coefficients are divided by the G flux, skewed quantities are
transformed; then every slot is shifted and scaled by the median and MAD of the training stars.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import median_abs_deviation
from torch import nn

from encoders import Measurement
from multistar.modalities.light_curve.features import pools
from multistar.model.vocabulary import Vocabulary
from multistar.quantities import Quantity
from multistar.stars import Stars

NORMAL_MAD = 1.4826  # standard deviation of a Gaussian over its median absolute deviation
G_ZERO_POINT = 25.6873668671  # mag, Gaia DR3 G of 1 e-/s (Riello et al. 2021)


def forward(quantity: Quantity, x: np.ndarray) -> np.ndarray:
    if quantity.transform == "log":
        return np.log(x)
    return np.arcsinh(x / quantity.softening) if quantity.transform == "asinh" else x


def inverse(quantity: Quantity, y: np.ndarray) -> np.ndarray:
    if quantity.transform == "log":
        return np.exp(y)
    return np.sinh(y) * quantity.softening if quantity.transform == "asinh" else y


def slope(quantity: Quantity, x: np.ndarray) -> np.ndarray:
    """d forward / d x, which carries errors over."""
    if quantity.transform == "log":
        return 1 / x
    return 1 / np.hypot(quantity.softening, x) if quantity.transform == "asinh" else np.ones_like(x)


def _g_flux(g: np.ndarray) -> np.ndarray:
    """[e-/s]; XP coefficients are divided by it."""
    return 10 ** (0.4 * (G_ZERO_POINT - g))


def _location_and_scale(value: np.ndarray, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and MAD of the columns (n, m) by pool (m,): columns of one pool share theirs."""
    center, scale = np.zeros(len(pool)), np.ones(len(pool))
    for number in np.unique(pool):
        here = pool == number
        x = value[:, here].ravel()
        x = x[np.isfinite(x)]
        spread = median_abs_deviation(x) * NORMAL_MAD if len(x) else np.nan
        center[here] = np.median(x) if len(x) else 0.0
        scale[here] = spread if spread > 0 else 1.0
    return center, scale


class Standardiser(nn.Module):
    """Holds center, scale (n_slots,) as buffers, so they travel with the weights."""

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(self, vocabulary: Vocabulary):
        super().__init__()
        self.vocabulary = vocabulary
        self.register_buffer("center", torch.zeros(vocabulary.n_slots))
        self.register_buffer("scale", torch.ones(vocabulary.n_slots))

    def fit(self, stars: Stars) -> None:
        """Median and MAD of the transformed training values."""
        value, _ = self._transform(stars)
        start = self.vocabulary.light_curve_slots.start
        center, scale = _location_and_scale(value[:, :start], np.arange(start))
        if self.vocabulary.layout:
            alike = _location_and_scale(value[:, start:], pools())
            center, scale = np.r_[center, alike[0]], np.r_[scale, alike[1]]
        self.center.copy_(torch.from_numpy(center))
        self.scale.copy_(torch.from_numpy(scale))

    def fit_scalars(self, stars: Stars, names: Sequence[str]) -> None:
        """Median and MAD of these scalars alone; all others keep theirs."""
        slots = [self.vocabulary.slot(name) for name in names]
        value, _ = self._transform(stars)
        center, scale = _location_and_scale(value[:, slots], np.arange(len(slots)))
        self.center[slots], self.scale[slots] = (
            torch.from_numpy(center).float(),
            torch.from_numpy(scale).float(),
        )

    def __call__(self, stars: Stars) -> Measurement:
        """(n, n_slots) measurement of the stars; unobserved slots hold zero."""
        value, sigma = self._transform(stars)
        center, scale = self.center.double().cpu().numpy(), self.scale.double().cpu().numpy()
        z, error = (value - center) / scale, sigma / scale
        vectors = slice(
            self.vocabulary.n_scalars, None
        )  # high orders and samples of eclipses have heavy tails
        error[:, vectors] /= np.sqrt(1 + z[:, vectors] ** 2)
        z[:, vectors] = np.arcsinh(z[:, vectors])
        observed = np.isfinite(z)
        return Measurement(
            torch.from_numpy(np.where(observed, z, 0).astype(np.float32)),
            torch.from_numpy(np.where(observed, error, np.nan).astype(np.float32)),
            torch.from_numpy(observed),
        )

    def physical(self, name: str, z: np.ndarray) -> np.ndarray:
        """Standardised values of a scalar slot -> its unit. Monotonic, so quantiles carry over."""
        slot = self.vocabulary.slot(name)
        return inverse(
            self.vocabulary.quantity(name), z * float(self.scale[slot]) + float(self.center[slot])
        )

    def coefficients(self, band: str, z: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Standardised XP slots (..., orders) of a band -> coefficients [e-/s] of stars of magnitude g (...).

        Orders may be fewer than the model has. Increasing in z, so quantiles carry over.
        """
        slots = self.vocabulary.band_slots[band][: z.shape[-1]]
        center, scale = (
            x[slots.start : slots.stop].double().cpu().numpy() for x in (self.center, self.scale)
        )
        return (np.sinh(z) * scale + center) * _g_flux(g)[..., None]

    def _transform(self, stars: Stars) -> tuple[np.ndarray, np.ndarray]:
        """Value and sigma (n, n_slots) before shift and scale; NaN where not observed."""
        vocabulary = self.vocabulary
        value = np.full((len(stars), vocabulary.n_slots), np.nan)
        sigma = np.full_like(value, np.nan)
        for slot, name in enumerate(vocabulary.scalars):
            if name in stars.scalars:
                quantity, scalar = vocabulary.quantity(name), stars.scalars[name]
                with np.errstate(divide="ignore", invalid="ignore"):
                    value[:, slot] = forward(quantity, scalar.value)
                    sigma[:, slot] = scalar.sigma * np.abs(slope(quantity, scalar.value))
        self._to_colours(value)
        for band, slots in vocabulary.band_slots.items():
            if band in stars.xp and len(slots):
                self._normalise_xp(stars, band, slots, value, sigma)
        if vocabulary.layout and stars.light_curve is not None:
            here = slice(vocabulary.light_curve_slots.start, vocabulary.n_slots)
            value[:, here], sigma[:, here] = stars.light_curve.value, stars.light_curve.sigma
        return value, sigma

    def _to_colours(self, value: np.ndarray) -> None:
        """Magnitudes other than G are taken relative to G, or to the mean of the bands where G is missing."""
        names = self.vocabulary.measurements
        bands = [
            i
            for i, n in enumerate(names)
            if self.vocabulary.quantity(n).kind == "magnitude" and n != "g"
        ]
        if not bands:
            return
        typical = (
            self.center.double().cpu().numpy()[bands]
        )  # the typical band - G of the training stars
        level = value[:, bands] - typical
        n_observed = np.isfinite(level).sum(1)
        reference = np.nansum(level, axis=1) / np.maximum(n_observed, 1)
        if "g" in names:
            g = value[:, names.index("g")]
            reference = np.where(np.isfinite(g), g, reference)
        value[:, bands] -= reference[:, None]

    def _normalise_xp(
        self, stars: Stars, band: str, slots: range, value: np.ndarray, sigma: np.ndarray
    ) -> None:
        xp = stars.xp[band]
        orders = xp.value.shape[1]
        if orders > len(slots):
            raise ValueError(
                f"the table has {orders} {band} coefficients per star, the model was trained on {len(slots)}; "
                "train a model on stars of the new layout (multistar pretrain)"
            )
        flux = _g_flux(stars.scalars["g"].value)[:, None]
        here = slice(slots.start, slots.start + orders)
        value[:, here], sigma[:, here] = xp.value / flux, xp.sigma / flux
