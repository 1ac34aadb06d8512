"""Stars of known labels -> what erases one quantity from a model's vectors."""

import numpy as np

from multistar import status
from multistar.inference.stream import encode_stars
from multistar.model.checkpoint import Model
from multistar.model.nuisance import INTRINSIC, NuisanceProjection, fit_projection, quantity_of
from multistar.stars import Origin, Stars


def fit_nuisance_projection(
    model: Model, stars: Stars, quantity: str, quiet: bool = False
) -> NuisanceProjection:
    """Fit what removes one quantity from a model's vectors.

    If the model was trained for the mismatch between mock stars and the sky, every other mock
    star is given to it as one of the sky.

    Parameters
    ----------
    model : Model
    stars : Stars
        Stars with labels (`true_L` where the table has it), of all kinds that it shall serve.
    quantity : str
        A label, or another name of it that `quantity_of` knows.
    quiet : bool
        Show no progress.

    Raises
    ------
    ValueError
        As `fit_projection` does, and for names that are no label.
    """
    quantity = quantity_of(quantity)
    labels = {name: known_label(stars, name) for name in (*INTRINSIC, quantity)}
    labels = {name: values for name, values in labels.items() if np.isfinite(values).any()}
    as_sky = np.zeros(len(stars), bool)
    if stars.origin == "mock" and model.config.mismatch:
        as_sky[1::2] = True
    embedding = np.empty((len(stars), model.config.embedding))
    halves: list[tuple[np.ndarray, Origin]] = [(~as_sky, stars.origin), (as_sky, "sky")]
    for here, origin in halves:
        if here.any():
            part = stars.with_origin(origin).select(here)
            batches = encode_stars(model, part, "embed", quiet)
            vectors = [batch.memory.embedding.cpu().numpy() for batch in batches]
            embedding[here] = np.concatenate(vectors)
    blank = (stars.flags & status.BIT["no_data"]) > 0
    return fit_projection(np.where(blank[:, None], np.nan, embedding), labels, quantity, model.hash)


def known_label(stars: Stars, name: str) -> np.ndarray:
    """(n,) the truth where the table has it, otherwise the label, otherwise NaN."""
    if f"true_{name}" in stars.extra:
        return stars.extra[f"true_{name}"]
    if name in stars.scalars:
        return stars.scalars[name].value
    return np.full(len(stars), np.nan)
