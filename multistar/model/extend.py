"""A model with other slots: new measured quantities for its encoder, new labels for its head, or fewer labels."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from multistar.model.calibration import Recalibrator
from multistar.model.checkpoint import Model
from multistar.quantities import Quantity


def extend(base: Model, inputs: Sequence[Quantity], labels: Sequence[Quantity]) -> Model:
    """A copy of `base` that also has the slots of `inputs` (read) and `labels` (asked for).

    Nothing is drawn at random: a new slot begins with the mean of the rows of all measurements (all labels). What
    the model says about old labels of stars that have none of the new quantities is as before, to the bit. Rows go
    by name, as a new scalar moves all that follow it.

    Raises ValueError if the model has one of the quantities already, or one is named twice.
    """
    old = base.vocabulary
    names = [q.name for q in (*inputs, *labels)]
    if wrong := sorted({n for n in names if n in old.scalars or names.count(n) > 1}):
        raise ValueError(f"{wrong}: the model has these already, or they are named twice")
    scalar_part = old.scalar_part.with_quantities(tuple(inputs), tuple(labels))
    vocabulary = old.with_scalars(scalar_part)
    source = {name: [name] for name in old.scalars}
    source |= {q.name: list(old.measurements or old.labels) for q in inputs}
    source |= {q.name: list(old.labels) for q in labels}
    scalars = [[old.slot(n) for n in source[name]] for name in vocabulary.scalars]
    slots = [*scalars, *([slot] for slot in range(old.n_scalars, old.n_slots))]
    model = Model.fresh(base.config, vocabulary)
    fresh, state = model.state(), {}
    for name, tensor in base.state().items():
        if tensor.shape == fresh[name].shape:
            state[name] = tensor.clone()
        elif name == "recalibrator.score":
            state[name] = torch.cat([tensor, Recalibrator(len(labels)).score])
        else:
            state[name] = _rows(
                tensor, scalars if name.startswith("network.encoders.scalars.") else slots
            )
    model.load_state(state)
    for slot in map(vocabulary.slot, names):  # of the new ones, no scale and no range is known
        model.standardiser.center[slot], model.standardiser.scale[slot] = 0.0, 1.0
        model.domain.low[slot], model.domain.high[slot] = -torch.inf, torch.inf
    model.hash, model.provenance = base.hash, base.provenance
    model.network.eval()
    return model


def with_labels(model: Model, labels: Sequence[Quantity]) -> Model:
    """Make a copy of a model that predicts these labels, and no others.

    What the model says of labels that it had stays as it is, to the bit. New ones begin as the
    mean of all labels of the model; their scale is not known yet.

    Parameters
    ----------
    model : Model
    labels : sequence of Quantity

    Returns
    -------
    Model
        Without nuisance projections, which belong to other weights.
    """
    new = [quantity for quantity in labels if quantity.name not in model.vocabulary.labels]
    larger = extend(model, [], new)
    old, wanted = larger.vocabulary, {quantity.name for quantity in labels}
    kept = [name for name in old.scalars if name in old.measurements or name in wanted]
    part = old.scalar_part
    scalars = dataclasses.replace(
        part,
        labels=tuple(name for name in old.labels if name in wanted),
        declared=tuple(quantity for quantity in part.declared if quantity.name in kept),
    )
    smaller = Model.fresh(larger.config, old.with_scalars(scalars))
    rows = [old.slot(name) for name in kept]
    slots = torch.tensor([*rows, *range(old.n_scalars, old.n_slots)])
    own_labels = torch.tensor([old.labels.index(name) for name in scalars.labels])
    fresh, state = smaller.state(), {}
    for name, tensor in larger.state().items():
        if tensor.shape == fresh[name].shape:
            state[name] = tensor
        elif name == "recalibrator.score":
            state[name] = tensor[own_labels]
        elif name.startswith("network.encoders.scalars."):
            state[name] = tensor[torch.tensor(rows)]
        else:
            state[name] = tensor[slots]
    smaller.load_state(state)
    smaller.hash, smaller.provenance = model.hash, model.provenance
    smaller.network.eval()
    return smaller


def with_alignment(model: Model, kind: str) -> Model:
    """Make a copy of a model whose views of a star are aligned in another way.

    Everything else stays as it is, and the matrices, too, where both ways have them.

    Parameters
    ----------
    model : Model
    kind : str
        A key of `alignment.ALIGNMENTS`.

    Returns
    -------
    Model
    """
    changed = Model.fresh(dataclasses.replace(model.config, alignment=kind), model.vocabulary)
    own = model.state()
    changed.load_state({name: own.get(name, fresh) for name, fresh in changed.state().items()})
    changed.hash, changed.provenance = model.hash, model.provenance
    changed.network.eval()
    return changed


def _rows(tensor: Tensor, sources: Sequence[Sequence[int]]) -> Tensor:
    """For each of sources the mean of these rows."""
    return torch.stack([tensor[s[0]] if len(s) == 1 else tensor[list(s)].mean(0) for s in sources])
