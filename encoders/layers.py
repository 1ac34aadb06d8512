"""Pieces that encoders share."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from encoders.contract import Measurement

LOG_SIGMA_RANGE = (
    -9.0,
    4.0,
)  # of standardised errors; beyond, more or less is the same to the model
N_CHANNELS = 4  # what `channels` gives per slot


def channels(m: Measurement) -> Tensor:
    """(B, N, N_CHANNELS): value, log sigma, observed, sigma known; all zero where not observed.

    `torch.where`, not multiplication, so that NaN or 1e9 in an unobserved slot cannot leak.
    """
    known = m.observed & torch.isfinite(m.sigma) & (m.sigma > 0)
    value = torch.where(m.observed, m.value, 0)
    log_sigma = torch.where(known, m.sigma, 1).log().clamp(*LOG_SIGMA_RANGE)
    return torch.stack([value, log_sigma, m.observed.to(value.dtype), known.to(value.dtype)], -1)


def patches(x: Tensor, size: int) -> Tensor:
    """(B, N, C) -> (B, ceil(N / size), size, C): neighbours together, the last patch padded with zeros."""
    return rearrange(F.pad(x, (0, 0, 0, -x.shape[1] % size)), "b (t p) c -> b t p c", p=size)


class SlotLinear(nn.Module):
    """A linear map of its own for every token: (B, T, F) -> (B, T, D).

    `which` (T,) names the tokens' maps where they are not all of them in order; a single one serves any T.
    """

    def __init__(self, tokens: int, features: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(tokens, features, width) * features**-0.5)
        self.bias = nn.Parameter(torch.randn(tokens, width) * 0.2)

    def forward(self, x: Tensor, which: Tensor | None = None) -> Tensor:
        """Apply to each token its own linear layer.

        Parameters
        ----------
        x : (B, T, F) Tensor
        which : (T or 1,) int Tensor, optional
            The layers of the tokens; all in their order without it.

        Returns
        -------
        (B, T, D) Tensor
        """
        if which is None:
            return torch.einsum("btf,tfd->btd", x, self.weight) + self.bias
        weight, bias = self.weight[which], self.bias[which]
        if len(which) == 1:
            return x @ weight[0] + bias
        return torch.einsum("btf,tfd->btd", x, weight) + bias
