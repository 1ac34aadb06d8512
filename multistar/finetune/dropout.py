"""Dropout in what an adapter puts behind the encoder: while it is trained, and to ask several thinned networks.

Monte-Carlo dropout (Gal & Ghahramani 2016, ICML; for red giants Zhang, Wu, Bu et al. 2024, arXiv:2401.04900): N
networks, each with its own choice of silent units, stand for what the training stars leave open. Where they disagree,
the mean of their densities is wider than each of them.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from encoders import Measurement
from multistar.finetune.adapter import Adapter
from multistar.finetune.readout import Readout
from multistar.model.fusion import Memory
from multistar.model.mixture import Mixture, pooled

PASSES = 32  # thinned networks whose widths are recalibrated


def thinned_layers(adapter: Adapter) -> list[nn.Module]:
    """Linear layers whose inputs are dropped: of a probe all; else those that end the decoder's branches, and the
    densities' and classes' own. The encoder is left whole, so that a star is encoded once for all passes."""
    readout, head = adapter.readout, adapter.model.network.head
    assert isinstance(readout, Readout)  # trees have no layers
    if readout.probe:
        return [*([readout.numbers] if readout.numbers else []), *readout.classes]
    branches = [layer for block in head.decoder_blocks() for layer in (block.out, block.mlp.fc2)]
    return [*branches, head.to_mixture.fc2, *readout.classes]


@contextmanager
def dropped(adapter: Adapter, generator: torch.Generator, alike: bool = False) -> Iterator[None]:
    """Within it, a share `adapter.dropout` of the inputs of these layers is 0, drawn from the generator at each call.

    alike: the same inputs for all stars and targets, that is one thinned network; otherwise for each its own.
    Nothing is drawn, and nothing changes, with a share of 0.
    """
    rate = adapter.dropout

    def drop(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = inputs
        shape = x.shape[-1:] if alike else x.shape
        kept = torch.rand(shape, generator=generator) >= rate
        return (x * (kept.to(x.device, x.dtype) / (1 - rate)),)

    hooks = (
        [layer.register_forward_pre_hook(drop) for layer in thinned_layers(adapter)] if rate else []
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def densities(
    adapter: Adapter, stars: Measurement, memory: Memory, passes: int = 0
) -> tuple[Mixture, list[Tensor]]:
    """Mixtures (B, Q, K) of the numbers and log probabilities (B, C) of each class label: of the whole network, or

    stars   what the memory is of
    passes  if not 0, the means of the densities (B, Q, passes K) and of the probabilities of that many thinned
            networks, which are the same for every star of every table; the first N of more are the same N.
            Temperatures of classes are those of the whole network.
    """
    if not passes:
        return adapter.decode(stars, memory)
    generator, said = torch.Generator(), []
    for number in range(passes):
        generator.manual_seed(number)
        with dropped(adapter, generator, alike=True):
            said.append(adapter.decode(stars, memory))
    mixtures, logs = zip(*said, strict=True)
    shares = [torch.stack(log).logsumexp(0) - math.log(passes) for log in zip(*logs, strict=True)]
    return pooled(mixtures), shares


def check_passes(adapters: Sequence[Adapter], passes: int) -> None:
    """ValueError unless passes is 0, or at least 2 and all adapters were trained with dropout."""
    if passes < 0 or passes == 1:
        raise ValueError(
            f"mc_dropout={passes} must be 0 (off) or at least 2 passes, which can differ"
        )
    if passes and not adapters:
        raise ValueError(
            "mc_dropout is for the labels of adapters, and there is none; fine-tune one with dropout"
        )
    whole = [", ".join(adapter.request.names) for adapter in adapters if not adapter.dropout]
    if passes and whole:
        raise ValueError(
            f"the adapter of {'; '.join(whole)} was trained without dropout, so all passes would be the same; "
            "fine-tune it with dropout (--dropout 0.1), or predict without mc_dropout"
        )
