"""Stars in batches through the encoder, with progress, in bounded memory."""

from collections.abc import Iterator

import torch
from rich.progress import track

from encoders import Measurement
from multistar.data import status
from multistar.data.stars import Stars
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.model.mismatch import Mismatch

BATCH = 256  # fits the caches of a CPU; larger is slower there


@torch.inference_mode()
def encoded(
    model: Model, stars: Stars, what: str, quiet: bool = False, labels: bool = False
) -> Iterator[tuple[slice, Memory]]:
    """Rows and memory of each batch; flags of `stars` are completed with "no_data" and "outside_training"."""
    for rows, m in measurements(model, stars, what, quiet, labels):
        memory = model.network.encode(m)
        outside = (model.domain.beyond(m).any(1) if labels else model.domain.outside(memory.embedding, m)).cpu().numpy()
        stars.flags[rows][outside] |= status.BIT["outside_training"]
        blank = ~m.observed.any(1).cpu().numpy()  # nothing that this model can read
        stars.flags[rows][blank] |= status.BIT["no_data"]
        yield rows, memory


def measurements(
    model: Model, stars: Stars, what: str, quiet: bool = False, labels: bool = False
) -> Iterator[tuple[slice, Measurement]]:
    """Rows and standardised measurements of each batch, on the device of the model.

    Labels in the table are hidden from the encoder, unless `labels` says that they are the input. Errors of
    stars of the sky (see Stars.mock) are told with the mismatch that the model was trained for.
    """
    label_slots = list(model.vocabulary.label_slots)
    device = next(model.network.parameters()).device
    mismatch = Mismatch(model.standardiser) if model.config.mismatch and not (labels or stars.mock) else None
    starts = range(0, len(stars), BATCH)
    for start in track(starts, f"{what} {len(stars)} stars", disable=quiet or len(stars) < 4 * BATCH):
        rows = slice(start, min(start + BATCH, len(stars)))
        m = model.standardiser(stars.select(rows))
        if not labels:
            m.observed[:, label_slots] = False
        if mismatch:
            m = mismatch.told(m, torch.ones(len(m.value), 1))
        yield rows, m.to(device)
