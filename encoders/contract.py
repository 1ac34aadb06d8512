"""What goes into an encoder and what comes out. One mask polarity everywhere: observed, True = real.

Shape letters: B star, N slot (one number of a measurement), T token, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Measurement:
    """Standardised numbers of one modality. What stands in an unobserved slot has no influence at all."""

    value: Tensor  # (B, N) float, standardised (about zero mean, unit spread)
    sigma: Tensor  # (B, N) float, standard error in the units of `value`; NaN = unknown
    observed: Tensor  # (B, N) bool

    def slots(self, start: int, stop: int) -> "Measurement":
        return Measurement(
            self.value[:, start:stop], self.sigma[:, start:stop], self.observed[:, start:stop]
        )

    def rows(self, which: slice | Tensor) -> "Measurement":
        return Measurement(self.value[which], self.sigma[which], self.observed[which])

    def to(self, device: torch.device) -> "Measurement":
        return Measurement(self.value.to(device), self.sigma.to(device), self.observed.to(device))


@dataclass(frozen=True)
class Tokens:
    """Features of one modality, to be fused with those of others."""

    features: Tensor  # (B, T, D)
    observed: Tensor  # (B, T) bool; False tokens are never attended to
