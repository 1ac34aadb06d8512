"""Architectures at equal time: what each has learnt after the same hour on the same cores."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from encoders import Measurement
from multistar.model.network import ModelConfig, Network
from multistar.training.data import load_dataset
from multistar.training.pretrain import Trainer
from multistar.training.run import RunConfig
from multistar.training.workers import Workers

MEASURED_STEPS = 30  # from which the length of the run is estimated
WARM_UP_STEPS = 5
BATCH = 1024  # stars that are decoded together
MAD_TO_STD = 1.4826


def compare_architectures(
    run: RunConfig, variants: Mapping[str, Mapping[str, Any]], seconds: float
) -> list[dict[str, Any]]:
    """Train one network for each variant for the same time and judge it on held-out stars.

    Parameters
    ----------
    run : RunConfig
        Data, seed, batch and learning rate; its `steps` are replaced.
    variants : mapping of str to mapping
        Name -> fields of ModelConfig that differ from those of `run`.
    seconds : float
        Time of each training, without reading.

    Returns
    -------
    list of dict
        For each variant its settings, star-steps, stars per second of training and of `predict`'s
        network with all inputs, negative log-likelihood per label and MAD-std by label, in
        standardised units, against the truth.
    """
    rows = []
    for name, changes in variants.items():
        config = dataclasses.replace(run.model, **changes)
        rows.append({"variant": name, **changes, **_train(run, config, seconds)})
    return rows


def _train(run: RunConfig, config: ModelConfig, seconds: float) -> dict[str, Any]:
    run = dataclasses.replace(run, model=config, out=run.out + ".compared")
    data = load_dataset(run, Workers())
    steps = _steps_within(seconds, run, data)
    data = load_dataset(run, Workers())  # with fresh weights
    training = dataclasses.replace(run.training, steps=steps)
    trainer = Trainer(dataclasses.replace(run, training=training), data)
    begun = time.monotonic()
    trainer.model.network.train()
    for _ in range(steps):
        trainer.advance()
    spent = time.monotonic() - begun
    trainer.model.network.load_state_dict(trainer.engine.average.tensors)
    network = trainer.model.network.eval()
    stars = steps * training.batch
    result = {"star-steps": stars, "seconds": round(spent), "trained stars/s": stars / spent}
    return result | judge(network, trainer.validation)


def _steps_within(seconds: float, run: RunConfig, data: Any) -> int:
    trainer = Trainer(run, data)
    for step in range(MEASURED_STEPS + WARM_UP_STEPS):
        if step == WARM_UP_STEPS:
            begun = time.monotonic()
        trainer.advance()
    return max(1, round(seconds * MEASURED_STEPS / (time.monotonic() - begun)))


@torch.no_grad()
def judge(network: Network, stars: Measurement) -> dict[str, Any]:
    """Measure speed and accuracy of marginals of all labels, with all measurements shown."""
    vocabulary = network.vocabulary
    labels = torch.tensor(list(vocabulary.label_slots))
    shown = stars.observed.clone()
    shown[:, labels] = False
    context = Measurement(stars.value, stars.sigma, shown)
    losses: list[Tensor] = []
    medians: list[Tensor] = []
    begun = time.process_time()
    for start in range(0, len(shown), BATCH):
        rows = slice(start, start + BATCH)
        mixture = network.decode(network.encode(context.rows(rows)), labels)
        errors = torch.nan_to_num(stars.sigma[rows][:, labels])
        losses.append(-mixture.log_prob(stars.value[rows][:, labels], errors))
        medians.append((mixture.log_weight.exp() * mixture.mean).sum(-1))
    rate = len(shown) * torch.get_num_threads() / (time.process_time() - begun)
    known = stars.observed[:, labels]
    loss = torch.where(known, torch.cat(losses), 0).sum(0) / known.sum(0).clamp(min=1)
    difference = torch.cat(medians) - stars.value[:, labels]
    result: dict[str, Any] = {"predicted stars/s": rate, "nll": loss.mean().item()}
    for place, name in enumerate(vocabulary.labels):
        off = difference[known[:, place], place].numpy()
        result[f"{name} scatter"] = float(MAD_TO_STD * np.median(np.abs(off - np.median(off))))
    return result
