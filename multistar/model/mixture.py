"""One-dimensional Gaussian mixtures: what the head says about a slot.

Shape letters: B star, Q query (or sample), K mixture component, L level.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor

BISECTIONS = 40  # halvings of a bracket of about 100 sigma: quantiles to 1e-10


@dataclass(frozen=True)
class Mixture:
    """One-dimensional Gaussian mixtures over standardised values; each field is (B, Q, K)."""

    log_weight: Tensor
    mean: Tensor
    log_sigma: Tensor

    def log_prob(self, y: Tensor, error: Tensor) -> Tensor:
        """(B, Q) log density of a value measured with Gaussian `error` (0 = exact), both (B, Q).

        The mixture is convolved with the error, so fitting noisy labels by maximum likelihood gives
        the distribution of the noise-free ones.
        """
        variance = torch.exp(2 * self.log_sigma) + error[..., None] ** 2
        quadratic = (y[..., None] - self.mean) ** 2 / variance
        log_density = -0.5 * (quadratic + torch.log(2 * torch.pi * variance))
        return torch.logsumexp(self.log_weight + log_density, dim=-1)

    def cdf(self, y: Tensor, error: Tensor | None = None) -> Tensor:
        """(B, Q) probability below y (B, Q), of the mixture convolved with `error` (B, Q) if given."""
        variance = torch.exp(2 * self.log_sigma)
        if error is not None:
            variance = variance + error[..., None] ** 2
        z = (y[..., None] - self.mean) * variance.rsqrt()
        return (self.log_weight.exp() * torch.special.ndtr(z)).sum(-1)

    def quantile(self, levels: Tensor) -> Tensor:
        """(B, Q, L) values below which the probabilities `levels` (L,) or (Q, L) lie, by bisection of the cdf."""
        spread = 8 * self.log_sigma.exp()
        shape = (*self.mean.shape[:-1], levels.shape[-1])
        low = (self.mean - spread).amin(-1, keepdim=True).expand(shape).double()
        high = (self.mean + spread).amax(-1, keepdim=True).expand(shape).double()
        wide = Mixture(*(repeat(t.double(), "b q k -> b (q l) k", l=levels.shape[-1]) for t in vars(self).values()))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = wide.cdf(rearrange(middle, "b q l -> b (q l)")).reshape(shape) < levels
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return ((low + high) / 2).to(self.mean.dtype)

    def draw(self, generator: torch.Generator) -> Tensor:
        """(B, Q) one random value from each mixture; the numbers come from the generator's device."""
        shape, device = self.mean.shape[:-1], self.mean.device
        uniform = torch.rand(*shape, 1, generator=generator, device=generator.device).to(device)
        normal = torch.randn(shape, generator=generator, device=generator.device).to(device)
        below = self.log_weight.exp().cumsum(-1) < uniform
        component = below.sum(-1, keepdim=True).clamp(max=self.mean.shape[-1] - 1)
        mean, log_sigma = (t.gather(-1, component)[..., 0] for t in (self.mean, self.log_sigma))
        return mean + normal * log_sigma.exp()


def pooled(parts: Sequence[Mixture]) -> Mixture:
    """The mean of the densities of equally good mixtures (B, Q, K): one mixture of all their components."""
    log_weight = torch.cat([p.log_weight for p in parts], -1) - math.log(len(parts))
    return Mixture(log_weight, torch.cat([p.mean for p in parts], -1), torch.cat([p.log_sigma for p in parts], -1))
