"""Stars in batches through the encoder, with progress, in bounded memory."""

from collections.abc import Collection, Iterator

import torch
from rich.progress import track

from encoders import Measurement
from multistar import status
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.model.mismatch import Mismatch
from multistar.stars import Stars

READ = 1024  # stars that are standardised together
BATCH, BATCH_ON_GPU = (
    128,
    4096,
)  # stars that are encoded together; more do not fit the caches of a CPU


@torch.inference_mode()
def encoded(
    model: Model, stars: Stars, what: str, quiet: bool = False, labels: bool = False
) -> Iterator[tuple[slice, Memory]]:
    """Rows and memory of each batch; flags of `stars` are completed with "no_data" and "outside_training"."""
    for rows, m in measurements(model, stars, what, quiet, labels):
        memory = model.network.encode(m)
        outside = (
            (model.domain.beyond(m).any(1) if labels else model.domain.outside(memory.embedding, m))
            .cpu()
            .numpy()
        )
        stars.flags[rows][outside] |= status.BIT["outside_training"]
        blank = ~m.observed.any(1).cpu().numpy()  # nothing that this model can read
        stars.flags[rows][blank] |= status.BIT["no_data"]
        yield rows, memory


def measurements(
    model: Model,
    stars: Stars,
    what: str,
    quiet: bool = False,
    labels: bool | Collection[str] = False,
) -> Iterator[tuple[slice, Measurement]]:
    """Rows and standardised measurements of each batch, on the device of the model; `labels` as for `shown`."""
    device = next(model.network.parameters()).device
    size = BATCH if device.type == "cpu" else BATCH_ON_GPU
    together = max(READ, size)
    starts = range(0, len(stars), together)
    for start in track(starts, f"{what} {len(stars)} stars", disable=quiet or len(stars) <= READ):
        part = stars.select(slice(start, start + together))
        m = shown(model, part, stars.mock, labels).to(device)
        for i in range(0, len(part), size):
            yield slice(start + i, start + min(i + size, len(part))), m.rows(slice(i, i + size))


def shown(
    model: Model, stars: Stars, mock: bool, labels: bool | Collection[str] = False
) -> Measurement:
    """(n, n_slots) what the encoder is shown of some stars.

    Labels in the table are hidden from it, but those that are named; True if labels are all of the input. Errors of
    stars of the sky (not `mock`) are told with the mismatch that the model was trained for.
    """
    m = model.standardiser(stars)
    if labels is True:
        return m
    names = enumerate(model.vocabulary.labels, model.vocabulary.label_slots.start)
    m.observed[:, [slot for slot, name in names if not labels or name not in labels]] = False
    if model.config.mismatch and not mock:
        m = Mismatch(model.standardiser).told(m, torch.ones(len(m.value), 1))
    return m
