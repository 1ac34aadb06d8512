"""Joint samples of slots of which something is known: weighted by it, and drawn again.

Shape letters: B star, n sample, Q slot in the order of the chain, K mixture component.
"""

import torch
from torch import Tensor

from encoders import Measurement
from multistar.model.mixture import Mixture


class SampleWeights:
    """How well samples agree with what is known of their slots.

    Parameters
    ----------
    known : Measurement or None
        Of (B, Q); None if nothing is known.
    """

    def __init__(self, known: Measurement | None):
        self.known = known
        self.log_weight: Tensor | None = None

    def measure(self, mixture: Mixture, position: int) -> Mixture:
        """Return the densities (B, n, K) of a slot after its measurement, if there is one."""
        if self.known is None or not self.known.observed[:, position].any():
            return mixture
        shape = mixture.mean.shape[:2]
        here = self.known.slots(position, position + 1)
        is_known = here.observed.expand(shape)
        y = torch.where(here.observed, here.value, 0).expand(shape)
        error = torch.where(here.observed, here.sigma, 1).expand(shape)
        agreement = torch.where(is_known, mixture.log_prob(y, error), 0)
        self.log_weight = agreement if self.log_weight is None else self.log_weight + agreement
        return mixture.given(y, error).where(is_known, mixture)

    def resample(self, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """Draw as many of the samples (B, n, Q) again, by their weights (systematic resampling)."""
        if self.log_weight is None:
            return drawn
        n = drawn.shape[1]
        offset = torch.rand(len(drawn), 1, generator=generator, device=generator.device)
        level = (torch.arange(n) + offset.cpu()).to(drawn.device) / n
        cumulative = self.log_weight.softmax(1).cumsum(1)
        row = torch.searchsorted(cumulative, level).clamp(max=n - 1)
        return drawn.gather(1, row[..., None].expand_as(drawn))
