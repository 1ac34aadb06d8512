"""What training minimises: the negative log-likelihood of hidden slots."""

import torch
from torch import Tensor

from encoders import Measurement
from multistar.model.network import Network
from multistar.training.splits import Split

MEASUREMENT_WEIGHT = 0.3  # of a hidden measurement against a hidden label
OUTLIER = 30.0  # standardised; farther targets are faults of the data and say nothing


def negative_log_likelihood(network: Network, stars: Measurement, split: Split, from_embedding: bool) -> Tensor:
    """Mean over labels plus weighted mean over measurements, in nats per target.

    A target's own error widens the predicted density; a target of unknown error is taken as it stands,
    noise included. With `from_embedding` the head sees the embedding alone, so that it must carry the star.
    """
    memory = network.encode(split.context)
    decode = network.decode_embedding if from_embedding else network.decode
    mixture = decode(memory.embedding if from_embedding else memory, split.query)  # type: ignore[arg-type]
    target, error = stars.value[:, split.query], torch.nan_to_num(stars.sigma[:, split.query])
    loss = -mixture.log_prob(target, error)
    n_labels = len(network.vocabulary.labels)
    usable = split.asked & (target.abs() < OUTLIER)
    labels = _masked_mean(loss[:, :n_labels], usable[:, :n_labels])
    return labels + MEASUREMENT_WEIGHT * _masked_mean(loss[:, n_labels:], usable[:, n_labels:])


def _masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, x, 0).sum() / mask.sum().clamp(min=1)
