"""Where new tokens begin: as copies of those of the known quantity that behaves most alike."""

import numpy as np
import torch
from torch import Tensor

from multistar.finetune.adapter import Adapter
from multistar.finetune.examples import Examples
from multistar.model.checkpoint import Model

MOST = 2000  # stars that are asked
ALIKE = 0.3  # least |correlation|; below, a new token begins as the mean of all


@torch.no_grad()
def begin(adapter: Adapter, base: Model, train: Examples) -> dict[str, str]:
    """Copies token rows of the base; returns new quantity -> the known one that it begins like.

    A new input is like the measurement of the base that it is most correlated with over the training stars; a new
    label is like the label whose prediction it follows most.
    """
    model, some = adapter.model, train.rows(slice(0, MOST))
    vocabulary, known = model.vocabulary, base.vocabulary
    seen, stars = {}, some.stars
    for quantity in adapter.request.inputs:
        slots = [vocabulary.slot(name) for name in known.measurements]
        new = vocabulary.slot(quantity.name)
        found = _most_alike(
            _gaps(stars.value[:, new], stars.observed[:, new]), _gaps(stars.value, stars.observed)[:, slots]
        )
        if found is not None:
            seen[quantity.name] = known.measurements[found]
            for table in (model.network.scalars.embed.weight, model.network.scalars.embed.bias):
                table[new] = table[slots[found]]
    labels = torch.tensor([vocabulary.slot(name) for name in known.labels])
    targets = [(i, q.name) for i, q in enumerate(adapter.request.targets) if q.name not in known.labels]
    if targets and len(labels):
        mixture = model.network.decode(model.network.encode(stars), labels)
        predicted = (mixture.log_weight.exp() * mixture.mean).sum(-1)
        for i, name in targets:
            found = _most_alike(_gaps(some.target.value[:, i], some.target.observed[:, i]), predicted)
            if found is not None:
                seen[name] = known.labels[found]
                table = model.network.head.identity.weight
                table[vocabulary.slot(name)] = table[labels[found]]
    return seen


def _gaps(value: Tensor, observed: Tensor) -> Tensor:
    return torch.where(observed, value, torch.nan)


def _most_alike(one: Tensor, others: Tensor) -> int | None:
    """Which column of others (n, m) has the largest |correlation| with `one` (n,), over the rows that have both."""
    sizes = []
    for other in others.T:
        both = (torch.isfinite(one) & torch.isfinite(other)).numpy()
        x, y = one.numpy()[both], other.numpy()[both]
        spread = len(x) > 2 and x.std() > 0 and y.std() > 0
        sizes.append(abs(np.corrcoef(x, y)[0, 1]) if spread else 0.0)
    return int(np.argmax(sizes)) if sizes and max(sizes) > ALIKE else None
