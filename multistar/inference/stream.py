"""Stars in batches through the encoder, with progress, in bounded memory."""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from encoders import Measurement
from multistar import status
from multistar.inference.plausible import find_implausible
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.model.mismatch import Mismatch
from multistar.stars import Stars

READ = 1024  # stars that are standardised together
# Stars that are encoded together; more do not fit the caches of a CPU.
BATCH, BATCH_ON_GPU = 128, 4096


@dataclass(frozen=True)
class Encoded:
    """A batch of encoded stars.

    Attributes
    ----------
    rows : slice
        Which stars these are.
    measurement : Measurement
        (B, n_slots) what the encoder was shown.
    memory : Memory
    flags : (B,) uint16 ndarray
        The stars' own, completed with "no_data", "outside_training" and what is implausible.
    """

    rows: slice
    measurement: Measurement
    memory: Memory
    flags: np.ndarray


@torch.inference_mode()
def encode_stars(
    model: Model,
    stars: Stars,
    what: str,
    quiet: bool = False,
    labels: bool | Collection[str] = False,
) -> Iterator[Encoded]:
    """Encode stars batch by batch, one after the other.

    Parameters
    ----------
    model : Model
    stars : Stars
    what : str
        What is being done, for the progress bar.
    quiet : bool
        Show no progress.
    labels : bool or collection of str
        Which labels are input, as for `show_measurements`.
    """
    known = stars.flags | find_implausible(stars)
    for rows, m in stream_measurements(model, stars, what, quiet, labels):
        yield _encode_batch(model, known, rows, m, labels)


def map_batches(
    model: Model,
    stars: Stars,
    what: str,
    task: Callable[[Encoded], None],
    quiet: bool = False,
    labels: bool | Collection[str] = False,
) -> np.ndarray:
    """Do `task` to each batch that `encode_stars` gives; on a CPU, to several at once.

    As many threads as torch would take for one operator (torch.get_num_threads()) take a batch
    each, and operators keep to the thread that calls them. So threads never wait for each other,
    another process on the same cores costs no more than its share, and the numbers are the same
    to the bit however many threads there are.

    Parameters
    ----------
    model, stars, what, quiet, labels
        As for `encode_stars`.
    task : callable
        Called from other threads, for rows that no other call has; what it raises is raised here.

    Returns
    -------
    (n,) uint16 ndarray
        The flags of all stars.
    """
    known = stars.flags | find_implausible(stars)
    flags = known.copy()
    if next(model.network.parameters()).device.type != "cpu":
        for batch in encode_stars(model, stars, what, quiet, labels):
            flags[batch.rows] = batch.flags
            with torch.inference_mode():
                task(batch)
        return flags

    def work(rows: slice, m: Measurement) -> None:
        with torch.inference_mode():  # which another thread does not inherit
            batch = _encode_batch(model, known, rows, m, labels)
            flags[rows] = batch.flags
            task(batch)

    workers = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[None]] = deque()
    try:
        for rows, m in stream_measurements(model, stars, what, quiet, labels):
            waiting.append(pool.submit(work, rows, m))
            if len(waiting) > 2 * workers:  # so that memory does not grow with the table
                waiting.popleft().result()
        for done in waiting:
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)
        # what other threads begin with, which those of the pool have changed
        torch.set_num_threads(workers)
    return flags


def _encode_batch(
    model: Model,
    known: np.ndarray,
    rows: slice,
    m: Measurement,
    labels: bool | Collection[str],
) -> Encoded:
    """Encode the measurements of some rows; `known` are the flags of all of them so far."""
    memory = model.network.encode(m)
    if labels is True:
        outside = model.domain.beyond(m).any(1)
    else:
        outside = model.domain.outside(memory.embedding, m)
    flags = known[rows].copy()
    flags[outside.cpu().numpy()] |= status.BIT["outside_training"]
    # nothing that this model can read
    flags[_is_blank(m)] |= status.BIT["no_data"]
    flags[_has_only(m, model.vocabulary.places.get("light_curve"))] |= status.BIT[
        "only_light_curve"
    ]
    return Encoded(rows, m, memory, flags)


def _has_only(m: Measurement, place: slice | None) -> np.ndarray:
    """(n,) stars of which these slots, and no others, are observed."""
    if place is None:
        return np.zeros(len(m.observed), bool)
    here = m.observed[:, place].any(1)
    if not here.any():
        return np.zeros(len(m.observed), bool)
    others = m.observed.sum(1) > m.observed[:, place].sum(1)
    return (here & ~others).cpu().numpy()


def _is_blank(m: Measurement) -> np.ndarray:
    return ~m.observed.any(1).cpu().numpy()


def stream_measurements(
    model: Model,
    stars: Stars,
    what: str,
    quiet: bool = False,
    labels: bool | Collection[str] = False,
) -> Iterator[tuple[slice, Measurement]]:
    """Rows and standardised measurements of each batch, on the device of the model.

    The parameters are those of `encode_stars`; `labels` as for `show_measurements`.
    """
    device = next(model.network.parameters()).device
    size = BATCH if device.type == "cpu" else BATCH_ON_GPU
    together = max(READ, size)
    starts = range(0, len(stars), together)
    for start in track(starts, f"{what} {len(stars)} stars", disable=quiet or len(stars) <= READ):
        part = stars.select(slice(start, start + together))
        m = show_measurements(model, part, labels).to(device)
        for i in range(0, len(part), size):
            yield slice(start + i, start + min(i + size, len(part))), m.rows(slice(i, i + size))


def show_measurements(
    model: Model, stars: Stars, labels: bool | Collection[str] = False
) -> Measurement:
    """(n, n_slots) what the encoder is shown of some stars.

    Errors of real stars are stated with the mismatch that the model was trained for.

    Parameters
    ----------
    model : Model
    stars : Stars
    labels : bool or collection of str
        Labels in the table are hidden, but those that are named; True if labels are all of the
        input.
    """
    m = model.standardiser(stars)
    if labels is True:
        return m
    names = enumerate(model.vocabulary.labels, model.vocabulary.label_slots.start)
    hidden = [slot for slot, name in names if not labels or name not in labels]
    m.observed[:, hidden] = False
    if model.config.mismatch and stars.origin == "sky":
        m = Mismatch(model.standardiser).state(m, torch.ones(len(m.value), 1))
    return m


def hide_slots(m: Measurement, slots: list[int] | Tensor) -> Measurement:
    """The same measurements with these slots unobserved."""
    shown = torch.ones_like(m.observed)
    shown[:, slots] = False
    return m.hide(shown)
