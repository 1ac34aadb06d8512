"""What training minimises: the negative log-likelihood of hidden slots, one by one and jointly."""

import torch
from torch import Tensor

from encoders import Measurement
from multistar.model.alignment import ALIGNED
from multistar.model.mixture import Mixture
from multistar.model.network import Network
from multistar.training.masks import Split

MEASUREMENT_WEIGHT = 0.3  # of a hidden measurement against a hidden label
ALIGNMENT_WEIGHT = 0.3
FEWEST = 8  # stars with both views, without which covariances mean nothing
MOST_ALIGNED = 64  # stars of a batch whose views are compared; each costs two more encodings


def negative_log_likelihood(
    network: Network, stars: Measurement, split: Split, from_embedding: bool
) -> Tensor:
    """Mean over labels plus weighted mean over measurements, in nats per target.

    The encoder sees all stars once; then the marginals of most of them are asked in parallel, and the
    conditionals of the last ones in the order of the split. A target's own error widens the predicted
    density; a target of unknown error is taken as it stands, noise included. With `from_embedding` the
    head sees the embedding alone, so that it must carry the star.
    """
    memory = network.encode(split.context)
    if from_embedding:
        memory = network.recall(memory.embedding)
    n, n_joint = len(stars.value), len(split.given.value)
    alone, joint = slice(0, n - n_joint), slice(n - n_joint, n)
    loss = torch.zeros((), device=stars.value.device)
    if n > n_joint and len(split.query):
        mixture = network.decode(memory.rows(alone), split.query)
        loss = loss + (1 - n_joint / n) * _mean_loss(
            network, mixture, stars, split, alone, split.query
        )
    if n_joint and len(split.order):
        mixture = network.head.autoregressive(memory.rows(joint), split.order, split.given)
        loss = loss + n_joint / n * _mean_loss(network, mixture, stars, split, joint, split.order)
    return loss


def alignment_loss(network: Network, stars: Measurement) -> Tensor:
    """How far the views of the same stars are apart, for some of the stars that have both."""
    own = network.vocabulary.places[ALIGNED]
    rest = stars.observed.clone()
    rest[:, own] = False
    rest[:, list(network.vocabulary.label_slots)] = False
    has_both = rest.any(1) & stars.observed[:, own].any(1)
    both = torch.nonzero(has_both)[:MOST_ALIGNED, 0]
    if len(both) < FEWEST:
        return torch.zeros((), device=stars.value.device)
    assert network.alignment is not None
    return ALIGNMENT_WEIGHT * network.alignment.loss(*network.encode_views(stars.rows(both)))


def _mean_loss(
    network: Network, mixture: Mixture, stars: Measurement, split: Split, rows: slice, slots: Tensor
):
    target, error = stars.value[rows][:, slots], torch.nan_to_num(stars.sigma[rows][:, slots])
    loss, asked = -mixture.log_prob(target, error), split.asked[rows][:, slots]
    labels = network.vocabulary.label_slots
    label = (slots >= labels.start) & (slots < labels.stop)
    return _masked_mean(loss, asked & label) + MEASUREMENT_WEIGHT * _masked_mean(
        loss, asked & ~label
    )


def _masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, x, 0).sum() / mask.sum().clamp(min=1)
