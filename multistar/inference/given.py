"""Labels that are known beforehand: a spectroscopic Teff, a cluster's age, the dust of a map.

The encoder is shown them as it is shown measurements. A known label's own column is its posterior:
what all the rest says of it, times its measurement.

Shape letters: B star, Q label, K mixture component.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from multistar.inference.stream import Encoded, hide_slots
from multistar.modalities.scalars.read import Scalar
from multistar.model.checkpoint import Model
from multistar.model.mixture import Mixture
from multistar.stars import Stars

# A value with a smaller probability of one as far off, by all the rest, contradicts it.
CONTRADICTION = 1e-3

# Label -> the error of values that come without one; None if the table's own must do.
Given = Mapping[str, float | None]


def as_given(given: Collection[str] | Given) -> dict[str, float | None]:
    """Return label -> error for names without errors, too."""
    if isinstance(given, str):
        raise ValueError(f"given={given!r} must be a list of labels, or a dict of label: error")
    if isinstance(given, Mapping):
        return dict(given)
    return dict.fromkeys(given)


def complete_errors(model: Model, stars: Stars, given: Given) -> Stars:
    """Check that the table tells the labels that are given, and fill in errors that it lacks.

    Parameters
    ----------
    model : Model
    stars : Stars
        Read with these labels.
    given : mapping of str to float or None
        Label -> error, in its unit, of values without one.

    Returns
    -------
    Stars
        A value whose error is not known is one that is not given.

    Raises
    ------
    ValueError
        For a label that the model does not have, that the table does not have, whose errors are
        nowhere, or an error that is not above 0.
    """
    block = dict(stars.blocks.get("scalars", {}))
    for name, error in given.items():
        if name not in model.vocabulary.labels:
            raise ValueError(
                f"{name!r} cannot be given: the labels of this model are "
                f"{', '.join(model.vocabulary.labels)}"
            )
        if error is not None and not error > 0:
            raise ValueError(f"the error of {name}, {error}, must be above 0")
        if name not in block:
            raise ValueError(
                f"{name} is given, but the table has no column of it; name yours with columns "
                f"(--columns {name}=YOURS {name}_error=YOURS)"
            )
        value, sigma = block[name].value, block[name].sigma
        if error is not None:
            sigma = np.where(np.isfinite(sigma), sigma, error)
        has_value = np.isfinite(value)
        if has_value.any() and not np.isfinite(sigma[has_value]).any():
            raise ValueError(
                f"{name} is given without errors; add a column {name}_error, or say how large they "
                f"are (--given {name}=ERROR)"
            )
        block[name] = Scalar(np.where(np.isfinite(sigma), value, np.nan), sigma)
    return stars.with_blocks(scalars=block)


@dataclass(frozen=True)
class Marginals:
    """What is known of some labels of B stars.

    Attributes
    ----------
    mixture : Mixture
        (B, Q, K) densities, those of given labels with their measurement.
    is_given : (B, Q) bool Tensor
    contradicts : (B,) bool Tensor
        Whether a given label is improbable by all the rest.
    """

    mixture: Mixture
    is_given: Tensor
    contradicts: Tensor


def decode_marginals(
    model: Model, batch: Encoded, names: Sequence[str], given: Collection[str]
) -> Marginals:
    """Decode labels of stars that were encoded with the given labels shown.

    A given label is decoded without its own measurement, for which the stars are encoded again.
    """
    network, vocabulary = model.network, model.vocabulary
    m = batch.measurement
    device = m.value.device
    slots = torch.tensor([vocabulary.slot(name) for name in names]).to(device)
    mixture = network.decode(batch.memory, slots)
    is_given = m.observed.new_zeros(mixture.mean.shape[:2])
    contradicts = m.observed.new_zeros(len(is_given))
    for name in given:
        slot = vocabulary.slot(name)
        known = m.slots(slot, slot + 1)
        if not known.observed.any():
            continue
        memory = network.encode(hide_slots(m, [slot]))
        expected = network.decode(memory, torch.tensor([slot]).to(device))
        y = torch.where(known.observed, known.value, 0)
        error = torch.where(known.observed, known.sigma, 1)
        below = expected.cdf(y, error)
        improbable = 2 * torch.minimum(below, 1 - below) < CONTRADICTION
        contradicts |= (improbable & known.observed)[:, 0]
        if name in names:
            column = slots == slot
            here = known.observed & column
            mixture = expected.given(y, error).where(here, mixture)
            is_given |= here
    return Marginals(mixture, is_given, contradicts)
