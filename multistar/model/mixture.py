"""One-dimensional Gaussian mixtures: what the head says about a slot.

Shape letters: B star, Q query (or sample), K mixture component, L level.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FARTHEST = 8.0  # normal score of the most extreme quantile; float64 tells no levels beyond
CLOSE = 1e-6  # of the narrowest sigma: a step of Newton's that is shorter was the last, its error is the square
STEPS, MOST = (
    6,
    16,
)  # steps until it is asked which quantiles are found (nearly all), and how often at most


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
        """(B, Q, L) values below which the probabilities `levels` (L,) or (Q, L) lie, in float64 till the end."""
        log_weight, mean, log_sigma = (x.double().unsqueeze(-2) for x in vars(self).values())
        weight, sigma = log_weight.exp(), log_sigma.exp()
        levels = levels.to(mean)
        score = torch.special.ndtri(levels).clamp(-FARTHEST, FARTHEST)
        own = mean + sigma * score[..., None]  # (B, Q, L, K) the components' quantiles
        shape = own.shape[:-1]
        rows = (x.expand(own.shape).flatten(0, -2) for x in (weight, mean, sigma, own))
        return _solve(levels.expand(shape).flatten(), *rows).reshape(shape).to(self.mean.dtype)

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
    return Mixture(
        log_weight,
        torch.cat([p.mean for p in parts], -1),
        torch.cat([p.log_sigma for p in parts], -1),
    )


def _solve(level: Tensor, weight: Tensor, mean: Tensor, sigma: Tensor, own: Tensor) -> Tensor:
    """(M,) quantiles at level (M,) of mixtures (M, K), of which the components' are `own` (M, K).

    A mixture's quantile lies between its components'. Newton's steps start from their mean; one that would leave the
    bracket, which each step narrows, or is longer than the last but one, halves the bracket instead.
    """
    low, high, y = own.amin(-1), own.amax(-1), (weight * own).sum(-1)
    out, rows = torch.empty_like(y), torch.arange(len(y), device=y.device)
    moved = before = torch.full_like(y, torch.inf)
    for attempt in range(MOST):
        shrink = 0.5 if attempt else 1.0  # which no cycle of steps survives
        height = weight / (sigma * math.sqrt(2 * math.pi))
        for _ in range(STEPS):
            z = (y[:, None] - mean) / sigma
            excess = (weight * torch.special.ndtr(z)).sum(-1) - level
            low, high = torch.where(excess < 0, y, low), torch.where(excess < 0, high, y)
            newton = y - excess / (height * torch.exp(-0.5 * z**2)).sum(-1)
            sound = (newton >= low) & (newton <= high) & ((newton - y).abs() <= shrink * before)
            better = torch.where(sound, newton, (low + high) / 2)
            before, moved, y = moved, (better - y).abs(), better
        out[rows] = y
        left = moved > CLOSE * sigma.amin(-1)
        if not left.any():
            break
        rows, level, weight, mean, sigma = (x[left] for x in (rows, level, weight, mean, sigma))
        low, high, y, before, moved = (x[left] for x in (low, high, y, before, moved))
    return out
