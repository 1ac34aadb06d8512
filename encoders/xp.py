"""Gaia XP coefficients: neighbouring orders of one band are grouped into a patch, one token each."""

import torch
from einops import rearrange
from torch import Tensor, nn

from encoders.contract import Measurement, Tokens
from encoders.layers import N_CHANNELS, SlotLinear, channels, patches


class XPEncoder(nn.Module):
    """(B, n_bp + n_rp) coefficients -> ceil(n_bp / patch) + ceil(n_rp / patch) tokens.

    A patch carries value, log error and an observed flag per coefficient, so any subset may be
    missing; a patch with none observed is an absent token. The last patch of a band is padded.
    """

    def __init__(self, n_bp: int, n_rp: int, patch: int, width: int):
        super().__init__()
        self.orders, self.patch = (n_bp, n_rp), patch
        tokens = sum(-(-n // patch) for n in self.orders)
        self.embed = SlotLinear(tokens, patch * N_CHANNELS, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))

    def forward(self, m: Measurement) -> Tokens:
        """Encode coefficients (B, n_bp + n_rp) as one token for each patch of orders."""
        x = rearrange(self._patches(channels(m)), "b t p c -> b t (p c)")
        real = rearrange(self._patches(m.observed[..., None]), "b t p 1 -> b t p").any(-1)
        return Tokens(self.mix(self.embed(x)), real)

    def _patches(self, x: Tensor) -> Tensor:
        """(B, n_bp + n_rp, C) -> (B, T, patch, C); patches do not straddle the bands."""
        return torch.cat([patches(band, self.patch) for band in x.split(self.orders, dim=1)], dim=1)
