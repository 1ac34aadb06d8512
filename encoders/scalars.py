"""Catalogue numbers (photometry, parallax, labels): one token per quantity."""

from torch import Tensor, nn

from encoders.contract import Measurement, Tokens
from encoders.layers import N_CHANNELS, SlotLinear, channels


class ScalarEncoder(nn.Module):
    """(B, n_quantities) measurement -> as many tokens; the quantity's identity is its own weights."""

    def __init__(self, n_quantities: int, width: int):
        super().__init__()
        self.embed = SlotLinear(n_quantities, N_CHANNELS, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))

    def forward(self, m: Measurement) -> Tokens:
        features: Tensor = self.mix(self.embed(channels(m)))
        return Tokens(features, m.observed)
