"""Physical units <-> the numbers that the network sees.

Each modality brings its numbers into a form with even errors (see `Modality.transform`); then every slot is shifted and
scaled by the median and MAD of the training stars, and heavy tails are drawn in by arcsinh.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import median_abs_deviation
from torch import nn

from encoders import Measurement
from multistar.modalities.scalars.transforms import from_even_scale
from multistar.model.vocabulary import Vocabulary
from multistar.stars import Stars

NORMAL_MAD = 1.4826  # standard deviation of a Gaussian over its median absolute deviation


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
    """Stars -> standardised slots and back.

    Attributes
    ----------
    center, scale : (n_slots,) Tensor
        Buffers, so they travel with the weights.
    """

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(self, vocabulary: Vocabulary):
        super().__init__()
        self.vocabulary = vocabulary
        self.register_buffer("center", torch.zeros(vocabulary.n_slots))
        self.register_buffer("scale", torch.ones(vocabulary.n_slots))

    def fit(self, stars: Stars) -> None:
        """Take the median and MAD of the transformed values of training stars."""
        value, _ = self._transform(stars)
        center, scale = _location_and_scale(value, self.vocabulary.pools())
        self.center.copy_(torch.from_numpy(center))
        self.scale.copy_(torch.from_numpy(scale))

    def fit_scalars(self, stars: Stars, names: Sequence[str]) -> None:
        """Take the median and MAD of these quantities alone; all others keep theirs."""
        slots = [self.vocabulary.slot(name) for name in names]
        value, _ = self._transform(stars)
        center, scale = _location_and_scale(value[:, slots], np.arange(len(slots)))
        self.center[slots] = torch.from_numpy(center).float()
        self.scale[slots] = torch.from_numpy(scale).float()

    def __call__(self, stars: Stars) -> Measurement:
        """(n, n_slots) measurement of the stars; unobserved slots hold zero."""
        n, center_scale = len(stars), self._numpy()
        shape = n, self.vocabulary.n_slots
        standardised, error = np.zeros(shape, np.float32), np.full(shape, np.nan, np.float32)
        observed = np.zeros(shape, bool)
        for modality in self.vocabulary.modalities:
            here = self.vocabulary.places[modality.name]
            center, scale = (numbers[here] for numbers in center_scale)
            value, sigma = modality.transform(stars.blocks, n, center)
            known = np.isfinite(value)
            if not known.any():  # a modality that no star has costs nothing
                continue
            z, width = (value - center) / scale, sigma / scale
            if modality.heavy_tailed:
                width /= np.sqrt(1 + z**2)
                z = np.arcsinh(z)
            standardised[:, here] = np.where(known, z, 0)
            error[:, here] = np.where(known, width, np.nan)
            observed[:, here] = known
        return Measurement(
            torch.from_numpy(standardised), torch.from_numpy(error), torch.from_numpy(observed)
        )

    def physical(self, name: str, z: np.ndarray) -> np.ndarray:
        """Standardised values of a quantity -> its unit. Monotonic, so quantiles carry over."""
        slot = self.vocabulary.slot(name)
        even = z * float(self.scale[slot]) + float(self.center[slot])
        return from_even_scale(self.vocabulary.quantity(name), even)

    def unscale(self, slots: range, z: np.ndarray) -> np.ndarray:
        """Standardised values (..., len(slots)) of heavy-tailed slots -> what `Modality.transform` gave.

        Monotonic, so quantiles carry over.
        """
        center, scale = self._numpy()
        here = slice(slots.start, slots.stop)
        return np.sinh(z) * scale[here] + center[here]

    def _numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """Center and scale, in double precision."""
        return self.center.double().cpu().numpy(), self.scale.double().cpu().numpy()

    def _transform(self, stars: Stars) -> tuple[np.ndarray, np.ndarray]:
        """Value and sigma (n, n_slots) before shift and scale; NaN where not observed."""
        n = len(stars)
        value, sigma = np.full((2, n, self.vocabulary.n_slots), np.nan)
        center, _ = self._numpy()
        for modality in self.vocabulary.modalities:
            here = self.vocabulary.places[modality.name]
            value[:, here], sigma[:, here] = modality.transform(stars.blocks, n, center[here])
        return value, sigma
