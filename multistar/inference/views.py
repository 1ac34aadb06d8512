"""Embeddings of a star by its light curve, by everything else, and by both.

The first two can be compared in the space that they share.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from multistar.inference.stream import hide_slots, stream_measurements
from multistar.model.alignment import ALIGNED
from multistar.model.checkpoint import Model
from multistar.stars import Stars


@dataclass(frozen=True)
class Views:
    """Embeddings (n, E), float32 of unit norm, NaN where a star has no such data.

    Attributes
    ----------
    curve : ndarray
        Of the light curve alone.
    rest : ndarray
        Of spectra, photometry and parallax.
    fused : ndarray
        Of everything.
    aligned : tuple of ndarray
        `curve` and `rest` mapped into the space that they share.
    """

    curve: np.ndarray
    rest: np.ndarray
    fused: np.ndarray
    aligned: tuple[np.ndarray, np.ndarray]


@torch.inference_mode()
def embed_views(model: Model, stars: Stars, quiet: bool = True) -> Views:
    """Embed stars by their light curves, by everything else, and by both.

    Raises
    ------
    ValueError
        If the model was not trained to align a light curve with the rest of its star.
    """
    alignment = model.network.alignment
    if alignment is None:
        raise ValueError(
            "this model does not align light curves with other data; "
            "train one with [model] alignment"
        )
    own = model.vocabulary.places[ALIGNED]
    labels = list(model.vocabulary.label_slots)
    parts = []
    for _, m in stream_measurements(model, stars, "views", quiet):
        m = hide_slots(m, labels)
        others = m.observed.clone()
        others[:, own] = False
        curve = _zero_if_observed(m.observed[:, own])
        rest = _zero_if_observed(others)
        either = torch.minimum(curve, rest).nan_to_num()
        e1, e2 = model.network.encode_views(m)
        fused = model.network.encode(m).embedding
        p1, p2 = (torch.nn.functional.normalize(p, dim=-1) for p in alignment(e1, e2))
        parts.append((e1 + curve, e2 + rest, fused + either, p1 + curve, p2 + rest))
    columns = zip(*parts, strict=True)
    e1, e2, fused, p1, p2 = (torch.cat(column).cpu().numpy() for column in columns)
    return Views(e1, e2, fused, (p1, p2))


def _zero_if_observed(observed: Tensor) -> Tensor:
    """(n, 1) 0 for stars of which something is observed, NaN for the others."""
    return torch.where(observed.any(1, keepdim=True), 0.0, torch.nan)
