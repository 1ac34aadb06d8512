"""What goes into an encoder and what comes out. One mask polarity everywhere: observed, True = real.

Shape letters: B star, N slot (one number of a measurement), T token, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class Measurement:
    """Standardised numbers of one modality. What stands in an unobserved slot has no influence at all.

    Attributes
    ----------
    value : (B, N) Tensor
        Standardised: about zero mean, unit spread.
    sigma : (B, N) Tensor
        Standard error in the units of `value`; NaN = unknown.
    observed : (B, N) bool Tensor
    coordinate : (B, N) Tensor, optional
        Where a number stands, for modalities whose slots have no fixed place: a wavelength, a time. What stands in
        unobserved slots has no influence.
    """

    value: Tensor
    sigma: Tensor
    observed: Tensor
    coordinate: Tensor | None = None

    def slots(self, start: int, stop: int) -> "Measurement":
        """The numbers from `start` up to `stop` of all stars."""
        return self._part((slice(None), slice(start, stop)))

    def rows(self, which: slice | Tensor) -> "Measurement":
        """Some of the stars."""
        return self._part(which)

    def to(self, device: torch.device) -> "Measurement":
        """The same on a device."""
        place = None if self.coordinate is None else self.coordinate.to(device)
        value, sigma = self.value.to(device), self.sigma.to(device)
        return Measurement(value, sigma, self.observed.to(device), place)

    def hide(self, shown: Tensor) -> "Measurement":
        """The same where only what is also in `shown` (B, N) bool counts as observed."""
        return Measurement(self.value, self.sigma, self.observed & shown, self.coordinate)

    def _part(self, which) -> "Measurement":
        place = None if self.coordinate is None else self.coordinate[which]
        return Measurement(self.value[which], self.sigma[which], self.observed[which], place)


def concatenate_measurements(parts: Sequence[Measurement], dim: int = 0) -> Measurement:
    """Put stars (dim=0) or slots (dim=1) one after the other; coordinates are kept where all parts have them."""
    places = [part.coordinate for part in parts]
    known = [place for place in places if place is not None]
    return Measurement(
        torch.cat([part.value for part in parts], dim),
        torch.cat([part.sigma for part in parts], dim),
        torch.cat([part.observed for part in parts], dim),
        torch.cat(known, dim) if len(known) == len(places) else None,
    )


@dataclass(frozen=True)
class Tokens:
    """Features of one modality, to be fused with those of others.

    Attributes
    ----------
    features : (B, T, D) Tensor
    observed : (B, T) bool Tensor
        False tokens are never attended to.
    """

    features: Tensor
    observed: Tensor


@runtime_checkable
class FittedEncoder(Protocol):
    """An encoder that also learns something of the training stars directly, before its weights are trained."""

    def fit(self, m: Measurement) -> None: ...
