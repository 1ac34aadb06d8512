"""An encoder that was trained apart is added to a model: the two are then trained together."""

import dataclasses
from functools import partial

import torch
from torch import Tensor

from multistar.model.alignment import ALIGNED
from multistar.model.checkpoint import Model
from multistar.model.vocabulary import Vocabulary


def add_encoder(core: Model, other: Model) -> Model:
    """Make a model with all of `core` and the modalities of `other` that it lacks.

    Of these, it gets their encoders and what the head of `other` knows of their slots. What `core` predicts for stars
    without them stays as it is, to the bit. Domain and recalibrator are those of `core` until training fits them anew.

    Raises
    ------
    ValueError
        If there is nothing to add, or the widths or heads of the models differ.
    """
    new = [own for own in other.vocabulary.modalities if own.name not in core.vocabulary]
    if not new:
        names = [own.name for own in other.vocabulary.modalities]
        raise ValueError(
            f"expected a model with a modality that the first one lacks, such as light curves; "
            f"both have {names}"
        )
    shapes = [(m.config.width, m.config.heads) for m in (core, other)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"models of different width and heads do not fit together: {shapes[0]} and {shapes[1]}"
        )
    vocabulary = core.vocabulary
    for modality in new:
        vocabulary = vocabulary.with_modality(modality)
    config = core.config
    if any(own.name == ALIGNED for own in new):
        config = dataclasses.replace(
            config,
            light_curve_depth=other.config.light_curve_depth,
            alignment=other.config.alignment,
        )
    model = Model.fresh(config, vocabulary)
    own, theirs = core.state(), other.state()
    state = {}
    for name, fresh in model.state().items():
        if name not in own:
            state[name] = theirs[name]
        elif own[name].shape != fresh.shape:  # one row per slot
            state[name] = _join_rows(vocabulary, core, own[name], other, theirs[name])
        else:
            state[name] = own[name]
    model.load_state(state)
    return model


def freeze_core(model: Model, core: Model) -> None:
    """Let training change nothing of a model that `core` has.

    Gradients of tensors that both have are not computed; of those with a row for each slot, the
    rows of core's slots are set to zero.

    Parameters
    ----------
    model : Model
        Of add_encoder.
    core : Model
        What it was made from.
    """
    own = dict(core.network.named_parameters())
    slots = torch.zeros(model.vocabulary.n_slots, dtype=torch.bool)
    for modality in core.vocabulary.modalities:
        slots[model.vocabulary.places[modality.name]] = True
    for name, parameter in model.network.named_parameters():
        if name not in own:
            continue
        if own[name].shape == parameter.shape:
            parameter.requires_grad_(False)
        else:
            parameter.register_hook(partial(_without_rows, rows=slots))


def carry_over(core: Model, model: Model) -> None:
    """Give a saved model what was fitted to `core`, which holds for it, too, as the core stood still.

    Parameters
    ----------
    core : Model
        What training began with.
    model : Model
        Of freeze_core, after it was trained and saved, so that it has its hash.
    """
    model.projections = {
        name: dataclasses.replace(own, model_sha256=model.hash)
        for name, own in core.projections.items()
    }
    if core.populations is not None:
        model.populations = dataclasses.replace(core.populations, model_sha256=model.hash)


def _without_rows(gradient: Tensor, rows: Tensor) -> Tensor:
    changed = gradient.clone()
    changed[rows.to(gradient.device)] = 0
    return changed


def _join_rows(
    vocabulary: Vocabulary, core: Model, own: Tensor, other: Model, theirs: Tensor
) -> Tensor:
    """Rows of all slots of the vocabulary, from `core` where it has the modality."""
    parts = []
    for modality in vocabulary.modalities:
        if modality.name in core.vocabulary:
            parts.append(own[core.vocabulary.places[modality.name]])
        else:
            parts.append(theirs[other.vocabulary.places[modality.name]])
    return torch.cat(parts)
