"""A batch of encoded stars -> the densities and classes of an adapter."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from encoders import Measurement
from multistar.finetune.adapter import Adapter
from multistar.finetune.dropout import densities
from multistar.inference.stream import stream_measurements
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.model.mixture import Mixture
from multistar.model.vocabulary import Vocabulary
from multistar.stars import Stars

# Tables with a row per scalar, and a number per slot; rows of what only one model knows may differ.
ROW_PER_SCALAR, NUMBER_PER_SLOT = "network.encoders.scalars.embed.", "standardiser."
READ_WITH = ("network.encoders.", "network.fusion.", NUMBER_PER_SLOT)


@dataclass(frozen=True)
class Decoded:
    """What an adapter says of a batch of stars.

    Attributes
    ----------
    rows : slice
    mixture : Mixture
        (B, Q) densities of the numeric targets.
    log_probability : list of (B, C) Tensor
        Of the classes of each class label.
    outside : (B,) bool ndarray
        Stars unlike those of the fine-tuning.
    """

    rows: slice
    mixture: Mixture
    log_probability: list[Tensor]
    outside: np.ndarray


def decode_batch(
    adapter: Adapter, rows: slice, m: Measurement, memory: Memory, passes: int = 0
) -> Decoded:
    """Decode stars that are encoded.

    Parameters
    ----------
    adapter : Adapter
    rows : slice
        Which stars of the table these are.
    m : Measurement
        (B, n_slots) in the adapter's slots.
    memory : Memory
        Of the adapter's network, or of one that encodes alike.
    passes : int
        Of Monte-Carlo dropout; see `densities`.
    """
    outside = adapter.model.domain.outside(memory.embedding, m).cpu().numpy()
    mixture, log_probability = densities(adapter, m, memory, passes)
    return Decoded(rows, mixture, log_probability, outside)


@torch.inference_mode()
def decode_stars(
    adapter: Adapter, stars: Stars, quiet: bool = True, passes: int = 0
) -> Iterator[Decoded]:
    """Encode and decode stars batch by batch; passes: of Monte-Carlo dropout, see densities."""
    what = f"predict {', '.join(adapter.request.names)} of"
    for rows, m in stream_measurements(adapter.model, stars, what, quiet, adapter.request.given):
        yield decode_batch(adapter, rows, m, adapter.encode(m), passes)


def encodes_alike(one: Model, adapter: Adapter) -> bool:
    """Tell whether a network gives stars the memory that the adapter's own would give them.

    It does if the adapter reads no more than what is measured, and all weights up to the memory
    are equal, in the same precision and on the same device. Quantities that only one of the two
    knows are not observed, so what stands in their rows has no influence.
    """
    other = adapter.model
    if adapter.request.inputs or adapter.request.given or one.precision != other.precision:
        return False
    ours, theirs = one.state(), other.state()
    names = [name for name in ours if name.startswith(READ_WITH)]
    if set(names) != {name for name in theirs if name.startswith(READ_WITH)}:
        return False
    shared = [name for name in one.vocabulary.scalars if name in other.vocabulary.scalars]
    if {*one.vocabulary.measurements} != {*other.vocabulary.measurements}:
        return False
    for name in names:
        left, right = ours[name], theirs[name]
        if left.device != right.device:
            return False
        if name.startswith(ROW_PER_SCALAR):
            left = left[[one.vocabulary.slot(n) for n in shared]]
            right = right[[other.vocabulary.slot(n) for n in shared]]
        elif name.startswith(NUMBER_PER_SLOT):
            source, target = slots_in_both(one.vocabulary, other.vocabulary)
            left, right = left[source], right[target]
        if not torch.equal(left, right):
            return False
    return True


def slots_in_both(one: Vocabulary, other: Vocabulary) -> tuple[Tensor, Tensor]:
    """Slots of the quantities and numbers that both have: in `one`, and in `other`.

    Behind the scalars both have the same modalities.
    """
    scalars = [name for name in one.scalars if name in other.scalars]
    rest = range(one.n_slots - one.n_scalars)
    source = [*map(one.slot, scalars), *(one.n_scalars + i for i in rest)]
    target = [*map(other.slot, scalars), *(other.n_scalars + i for i in rest)]
    return torch.tensor(source), torch.tensor(target)


def in_slots_of(one: Vocabulary, other: Vocabulary, m: Measurement) -> Measurement:
    """(B, n_slots) measurements in the slots of `other`; what `one` does not know is unobserved."""
    source, target = slots_in_both(one, other)
    shape = (len(m.value), other.n_slots)
    value, sigma = m.value.new_zeros(shape), m.sigma.new_full(shape, torch.nan)
    observed = m.observed.new_zeros(shape)
    value[:, target], sigma[:, target] = m.value[:, source], m.sigma[:, source]
    observed[:, target] = m.observed[:, source]
    return Measurement(value, sigma, observed)
