"""One-dimensional Gaussian mixtures: what the head says about a slot.

Shape letters: B star, Q query (or sample), K mixture component, L level.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# normal score of the most extreme quantile; float64 does not resolve levels beyond
FARTHEST = 8.0
# of the narrowest sigma: a Newton step that is shorter was the last, its error is the square
CLOSE = 1e-6
# Newton steps until the quantiles that are found (nearly all) are set aside
STEPS = 6
# how often that is done at most
MAX_ROUNDS = 16


@dataclass(frozen=True)
class Mixture:
    """One-dimensional Gaussian mixtures over standardised values.

    Attributes
    ----------
    log_weight, mean, log_sigma : (B, Q, K) Tensor
    """

    log_weight: Tensor
    mean: Tensor
    log_sigma: Tensor

    def log_prob(self, y: Tensor, error: Tensor) -> Tensor:
        """Return the log density of measured values.

        The mixture is convolved with the error, so fitting noisy labels by maximum likelihood
        gives the distribution of the noise-free ones.

        Parameters
        ----------
        y, error : (B, Q) Tensor
            Values and their Gaussian standard errors (0 = exact).

        Returns
        -------
        (B, Q) Tensor
        """
        variance = torch.exp(2 * self.log_sigma) + error[..., None] ** 2
        quadratic = (y[..., None] - self.mean) ** 2 / variance
        log_density = -0.5 * (quadratic + torch.log(2 * torch.pi * variance))
        return torch.logsumexp(self.log_weight + log_density, dim=-1)

    def given(self, y: Tensor, error: Tensor) -> "Mixture":
        """Return the densities after a measurement: the product with N(y | x, error), normalised.

        Parameters
        ----------
        y, error : (B, Q) Tensor
            Measured values and their Gaussian standard errors, above 0.

        Returns
        -------
        Mixture
            Of as many components: each Gaussian is updated, and weighted by how probable it made
            the measurement.
        """
        variance = torch.exp(2 * self.log_sigma)
        noise = error[..., None] ** 2
        total = variance + noise
        distance = y[..., None] - self.mean
        log_evidence = self.log_weight - 0.5 * (distance**2 / total + torch.log(total))
        return Mixture(
            torch.log_softmax(log_evidence, -1),
            self.mean + variance / total * distance,
            self.log_sigma + 0.5 * torch.log(noise / total),
        )

    def where(self, mask: Tensor, other: "Mixture") -> "Mixture":
        """Return the densities of this mixture where mask (B, Q) is True, of the other elsewhere."""
        mask = mask[..., None]
        return Mixture(
            torch.where(mask, self.log_weight, other.log_weight),
            torch.where(mask, self.mean, other.mean),
            torch.where(mask, self.log_sigma, other.log_sigma),
        )

    def cdf(self, y: Tensor, error: Tensor | None = None) -> Tensor:
        """Return the probability (B, Q) below y (B, Q), convolved with `error` (B, Q) if given."""
        variance = torch.exp(2 * self.log_sigma)
        if error is not None:
            variance = variance + error[..., None] ** 2
        z = (y[..., None] - self.mean) * variance.rsqrt()
        weight = self.log_weight.exp()
        return (weight * torch.special.ndtr(z)).sum(-1)

    def quantile(self, levels: Tensor) -> Tensor:
        """Return the values below which given probabilities lie.

        Parameters
        ----------
        levels : (L,) or (Q, L) Tensor
            Probabilities in (0, 1).

        Returns
        -------
        (B, Q, L) Tensor
            Computed in float64, returned in the precision of the mixture.
        """
        weight = self.log_weight.double().unsqueeze(-2).exp()
        mean = self.mean.double().unsqueeze(-2)
        sigma = self.log_sigma.double().unsqueeze(-2).exp()
        levels = levels.to(mean)
        score = torch.special.ndtri(levels).clamp(-FARTHEST, FARTHEST)
        # the components' own quantiles, (B, Q, L, K)
        own = mean + sigma * score[..., None]
        shape = own.shape[:-1]
        rows = [x.expand(own.shape).flatten(0, -2) for x in (weight, mean, sigma, own)]
        found = _solve(levels.expand(shape).flatten(), *rows)
        return found.reshape(shape).to(self.mean.dtype)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw one random value (B, Q) from each mixture, by numbers of the generator's device."""
        shape = self.mean.shape[:-1]
        device = self.mean.device
        uniform = torch.rand(*shape, 1, generator=generator, device=generator.device).to(device)
        normal = torch.randn(shape, generator=generator, device=generator.device).to(device)
        below = self.log_weight.exp().cumsum(-1) < uniform
        component = below.sum(-1, keepdim=True).clamp(max=self.mean.shape[-1] - 1)
        mean = self.mean.gather(-1, component)[..., 0]
        log_sigma = self.log_sigma.gather(-1, component)[..., 0]
        return mean + normal * log_sigma.exp()

    def first(self, n: int) -> "Mixture":
        """Return the first n of the Q densities."""
        return Mixture(self.log_weight[:, :n], self.mean[:, :n], self.log_sigma[:, :n])

    def repeat(self, n: int) -> "Mixture":
        """Return (B, n, K), the same mixture n times, for mixtures (B, 1, K)."""
        return Mixture(
            self.log_weight.expand(-1, n, -1),
            self.mean.expand(-1, n, -1),
            self.log_sigma.expand(-1, n, -1),
        )


def pooled(parts: Sequence[Mixture]) -> Mixture:
    """Return the mean density of equally good mixtures (B, Q, K): one of all their components."""
    log_weight = torch.cat([part.log_weight for part in parts], -1)
    mean = torch.cat([part.mean for part in parts], -1)
    log_sigma = torch.cat([part.log_sigma for part in parts], -1)
    return Mixture(log_weight - math.log(len(parts)), mean, log_sigma)


def _solve(level: Tensor, weight: Tensor, mean: Tensor, sigma: Tensor, own: Tensor) -> Tensor:
    """Quantiles (M,) at level (M,) of mixtures (M, K), of which the components' are `own` (M, K).

    A mixture's quantile lies between its components'. Newton's steps start from their mean; one
    that would leave the bracket, which each step narrows, or is longer than the last but one,
    halves the bracket instead.
    """
    low = own.amin(-1)
    high = own.amax(-1)
    y = (weight * own).sum(-1)
    out = torch.empty_like(y)
    rows = torch.arange(len(y), device=y.device)
    moved = before = torch.full_like(y, torch.inf)
    for attempt in range(MAX_ROUNDS):
        # no cycle of steps survives steps that must shrink
        shrink = 0.5 if attempt else 1.0
        height = weight / (sigma * math.sqrt(2 * math.pi))
        for _ in range(STEPS):
            z = (y[:, None] - mean) / sigma
            excess = (weight * torch.special.ndtr(z)).sum(-1) - level
            low = torch.where(excess < 0, y, low)
            high = torch.where(excess < 0, high, y)
            density = (height * torch.exp(-0.5 * z**2)).sum(-1)
            newton = y - excess / density
            inside = (newton >= low) & (newton <= high)
            shorter = (newton - y).abs() <= shrink * before
            better = torch.where(inside & shorter, newton, (low + high) / 2)
            before = moved
            moved = (better - y).abs()
            y = better
        out[rows] = y
        left = moved > CLOSE * sigma.amin(-1)
        if not left.any():
            break
        rows, level, weight, mean, sigma = (x[left] for x in (rows, level, weight, mean, sigma))
        low, high, y, before, moved = (x[left] for x in (low, high, y, before, moved))
    return out
