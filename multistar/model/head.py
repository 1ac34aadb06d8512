"""Memory + queries -> a probability density for each queried slot.

Shape letters: B star, Q query, T token, D width, K mixture component.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from timm.layers.mlp import Mlp
from torch import Tensor, nn

from multistar.model.fusion import attention_mask

LOG_SIGMA_MIN, LOG_SIGMA_MAX = -6.0, 3.0  # of standardised values
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

    def cdf(self, y: Tensor) -> Tensor:
        """(B, Q) probability below y (B, Q)."""
        z = (y[..., None] - self.mean) * torch.exp(-self.log_sigma)
        return (self.log_weight.exp() * torch.special.ndtr(z)).sum(-1)

    def quantile(self, levels: Tensor) -> Tensor:
        """(B, Q, L) values below which the probabilities `levels` (L,) lie, by bisection of the cdf."""
        spread = 8 * self.log_sigma.exp()
        shape = (*self.mean.shape[:-1], len(levels))
        low = (self.mean - spread).amin(-1, keepdim=True).expand(shape).double()
        high = (self.mean + spread).amax(-1, keepdim=True).expand(shape).double()
        wide = Mixture(*(repeat(t.double(), "b q k -> b (q l) k", l=len(levels)) for t in vars(self).values()))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = wide.cdf(rearrange(middle, "b q l -> b (q l)")).reshape(shape) < levels
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return ((low + high) / 2).to(self.mean.dtype)


class CrossBlock(nn.Module):
    """Pre-norm cross-attention and MLP: queries (B, Q, D) read the memory (B, T, D)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.mlp = Mlp(width, 4 * width, act_layer=nn.SiLU)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        query = rearrange(self.query(self.norm_query(x)), "b q (h d) -> b h q d", h=self.heads)
        key, value = rearrange(self.key_value(memory), "b t (two h d) -> two b h t d", two=2, h=self.heads)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.out(rearrange(attended, "b h q d -> b q (h d)"))
        return x + self.mlp(self.norm_mlp(x))


class MixtureHead(nn.Module):
    """Parallel decoding: every queried slot sees only the star, so all marginals come in one pass."""

    def __init__(self, n_slots: int, width: int, depth: int, heads: int, components: int):
        super().__init__()
        self.identity = nn.Embedding(n_slots, width)
        self.blocks = nn.ModuleList([CrossBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.to_mixture = Mlp(width, 2 * width, 3 * components, act_layer=nn.SiLU)
        with torch.no_grad():  # components start spread out, or they would all learn the same
            spread = torch.linspace(-1.5, 1.5, components) if components > 1 else torch.zeros(1)
            cast(Tensor, self.to_mixture.fc2.bias).view(3, components)[1] = spread

    def forward(self, memory: Tensor, observed: Tensor, query: Tensor) -> Mixture:
        """memory (B, T, D), observed (B, T), query (Q,) slot indices shared by the batch."""
        x = repeat(self.identity(query), "q d -> b q d", b=memory.shape[0])
        mask = attention_mask(observed)
        for block in self.blocks:
            x = block(x, memory, mask)
        logit, mean, log_sigma = rearrange(self.to_mixture(self.norm(x)), "b q (three k) -> three b q k", three=3)
        return Mixture(F.log_softmax(logit, -1), mean, log_sigma.clamp(LOG_SIGMA_MIN, LOG_SIGMA_MAX))
