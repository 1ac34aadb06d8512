"""What held-out stars set when an adapter has learnt: widths, temperatures of classes, and domain."""

from collections.abc import Iterable

import torch

from multistar.finetune.adapter import Adapter
from multistar.finetune.dropout import PASSES, densities
from multistar.finetune.examples import Examples
from multistar.model.domain import extremes
from multistar.model.fusion import Memory

FEWEST_TO_CALIBRATE = 100  # held-out stars of a class label
Encoded = Iterable[tuple[Examples, Memory]]  # batches, in order


@torch.no_grad()
def calibrate(
    adapter: Adapter,
    train: Examples,
    validation: Examples,
    encoded_train: Encoded,
    encoded_validation: Encoded,
) -> None:
    """Fit recalibrator, temperatures and domain.

    Parameters
    ----------
    adapter : Adapter
        Whose weights are final.
    train, validation : Examples
        Stars that were learnt from, and those held out.
    encoded_train, encoded_validation : iterable of (Examples, Memory)
        The same in batches, encoded.
    """
    readout, model = adapter.readout, adapter.model
    pit, thinned, logs, embeddings = [], [], [], []
    for part, memory in encoded_validation:
        mixture, log = adapter.decode(part.stars, memory)
        pit.append(mixture.cdf(part.target.value, part.target.sigma))
        if adapter.dropout:
            mixture, _ = densities(adapter, part.stars, memory, PASSES)
            thinned.append(mixture.cdf(part.target.value, part.target.sigma))
        logs.append(log)
        embeddings.append(memory.embedding)
    known = validation.target.observed
    labels = adapter.slots - model.vocabulary.label_slots.start
    model.recalibrator.refit(labels, torch.cat(pit), known)
    if readout.thinned is not None:
        readout.thinned.refit(torch.arange(len(labels)), torch.cat(thinned), known)
    of_each_label = [torch.cat(x) for x in zip(*logs, strict=True)]
    readout.calibrate(of_each_label, validation.codes, FEWEST_TO_CALIBRATE)
    trained = torch.cat([memory.embedding for _, memory in encoded_train])
    held_out = torch.cat(embeddings), validation.stars
    model.domain.fit(trained, *extremes(train.stars), held_out)
