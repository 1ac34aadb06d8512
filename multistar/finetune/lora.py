"""Low-rank changes of linear layers (Hu et al. 2022, ICLR): W + b a, where only a and b are trained."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """weight (out, in) -> weight + b a with a (rank, in) and b (out, rank)."""

    def __init__(self, a: Tensor, b: Tensor):
        super().__init__()
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        return weight + self.b @ self.a


def add_low_rank(
    network: nn.Module, under: Iterable[str], rank: int, seed: int
) -> dict[str, LowRank]:
    """Puts a change, zero at first, into each linear layer whose name begins with one of `under`; by layer's name."""
    generator, changes, prefixes = torch.Generator().manual_seed(seed), {}, tuple(under)
    layers = [
        (n, m)
        for n, m in network.named_modules()
        if isinstance(m, nn.Linear) and n.startswith(prefixes)
    ]
    for name, layer in layers:
        out, size = layer.weight.shape
        a = torch.randn(rank, size, generator=generator) * size**-0.5
        changes[name] = LowRank(a, torch.zeros(out, rank))
        parametrize.register_parametrization(layer, "weight", changes[name])
    return changes


def merge(network: nn.Module, changes: Iterable[str]) -> None:
    """The changed weights become the layers' own: a plain network, as fast as before."""
    for name in changes:
        parametrize.remove_parametrizations(
            network.get_submodule(name), "weight", leave_parametrized=True
        )
