"""Stars of known labels -> what erases one quantity from a model's vectors."""

import dataclasses

import numpy as np

from multistar import status
from multistar.inference.stream import encoded
from multistar.model.checkpoint import Model
from multistar.model.nuisance import INTRINSIC, Eraser, fit_eraser, quantity_of
from multistar.stars import Stars


def eraser_of(model: Model, stars: Stars, quantity: str, quiet: bool = False) -> Eraser:
    """Fitted to stars with labels (`true_L` where the table has it), of all kinds that it shall serve.

    If the model is told of the mismatch between mock stars and the sky, every other mock star is given as one of the
    sky. Raises ValueError as fit_eraser does, and for names that are no label.
    """
    quantity = quantity_of(quantity)
    labels = {name: known_label(stars, name) for name in (*INTRINSIC, quantity)}
    labels = {name: values for name, values in labels.items() if np.isfinite(values).any()}
    sky = (
        np.arange(len(stars)) % 2 == 1
        if stars.mock and model.config.mismatch
        else np.zeros(len(stars), bool)
    )
    embedding = np.empty((len(stars), model.config.embedding))
    for here, extra in (
        (~sky, stars.extra),
        (sky, {}),
    ):  # the mock's truth tells what is no star of the sky
        part = dataclasses.replace(stars, extra=extra).select(here) if here.any() else None
        if part is not None:
            vectors = [
                memory.embedding.cpu().numpy() for _, memory in encoded(model, part, "embed", quiet)
            ]
            embedding[here] = np.concatenate(vectors)
    blank = (stars.flags & status.BIT["no_data"]) > 0
    return fit_eraser(np.where(blank[:, None], np.nan, embedding), labels, quantity, model.hash)


def known_label(stars: Stars, name: str) -> np.ndarray:
    """(n,) the truth where the table has it, otherwise the label, otherwise NaN."""
    if f"true_{name}" in stars.extra:
        return stars.extra[f"true_{name}"]
    return stars.scalars[name].value if name in stars.scalars else np.full(len(stars), np.nan)
