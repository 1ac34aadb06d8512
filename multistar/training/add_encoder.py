"""A light-curve encoder, trained apart, put into a model that has none: they are then trained together."""

import dataclasses

import torch

from multistar.model.checkpoint import Model


def graft(core: Model, curves: Model) -> Model:
    """All of `core`, and of `curves` its light-curve encoder with what its head knows of these slots.

    What `core` predicts for stars without light curves stays as it is, to the bit. Domain and recalibrator are
    those of `core` until training fits them anew.

    Raises ValueError if `core` has light curves already, `curves` has none, or their widths differ.
    """
    if core.vocabulary.light_curve or not curves.vocabulary.light_curve:
        raise ValueError(
            "expected a model without light curves, and one with them to take their encoder from"
        )
    shapes = [(m.config.width, m.config.heads) for m in (core, curves)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"models of different width and heads do not fit together: {shapes[0]} and {shapes[1]}"
        )
    config = dataclasses.replace(
        core.config,
        light_curve_depth=curves.config.light_curve_depth,
        alignment=curves.config.alignment,
    )
    model = Model.fresh(
        config, dataclasses.replace(core.vocabulary, light_curve=curves.vocabulary.light_curve)
    )
    own, theirs = core.state(), curves.state()
    slots = slice(curves.vocabulary.light_curve_slots.start, None)
    state = {}
    for name, fresh in model.state().items():
        if name not in own:
            state[name] = theirs[name]
        elif own[name].shape != fresh.shape:  # one row per slot
            state[name] = torch.cat([own[name], theirs[name][slots]])
        else:
            state[name] = own[name]
    model.load_state(state)
    return model
