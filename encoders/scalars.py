"""Catalogue numbers (photometry, parallax, labels): a token per quantity, or per group of them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from encoders.contract import Measurement, Tokens
from encoders.layers import N_CHANNELS, SlotLinear, channels


class ScalarEncoder(nn.Module):
    """Numbers (B, n_quantities) -> tokens; the weights of a quantity say which one it is.

    The tokens of quantities of one group are added up, so that the group costs one token.

    Parameters
    ----------
    n_quantities : int
    width : int
        D, of the tokens.
    groups : sequence of int, optional
        Number of the group of each quantity, counted from 0; without it each is a group.
    """

    group: Tensor

    def __init__(self, n_quantities: int, width: int, groups: Sequence[int] | None = None):
        super().__init__()
        self.is_grouped = groups is not None
        group = torch.tensor(list(groups or range(n_quantities)), dtype=torch.long)
        self.register_buffer("group", group, persistent=False)
        self.n_groups = int(group.max()) + 1 if n_quantities else 0
        self.embed = SlotLinear(n_quantities, N_CHANNELS, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))

    def forward(self, m: Measurement) -> Tokens:
        """Encode numbers.

        Parameters
        ----------
        m : Measurement
            Of (B, n_quantities).

        Returns
        -------
        Tokens
            Of (B, T, D), one for each group; observed where any of its quantities is.
        """
        x = self.embed(channels(m))
        observed = m.observed
        if self.is_grouped:
            shape = (len(x), self.n_groups)
            x = torch.where(observed[..., None], x, 0)
            x = x.new_zeros(*shape, x.shape[-1]).index_add(1, self.group, x)
            number = observed.new_zeros(shape, dtype=torch.float32)
            observed = number.index_add(1, self.group, m.observed.float()) > 0
        features: Tensor = self.mix(x)
        return Tokens(features, observed)
