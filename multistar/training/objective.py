"""What training minimises: the negative log-likelihood of hidden slots, one by one and jointly."""

from dataclasses import dataclass

import torch
from torch import Tensor

from encoders import Measurement
from multistar.model.alignment import ALIGNED
from multistar.model.mixture import Mixture
from multistar.model.network import Network
from multistar.training.masks import Split
from multistar.training.run import LossConfig

DEFAULT = LossConfig()


def negative_log_likelihood(
    network: Network,
    stars: Measurement,
    split: Split,
    from_embedding: bool,
    config: LossConfig = DEFAULT,
) -> Tensor:
    """Compute the mean over labels plus the weighted mean over measurements.

    The encoder sees all stars once. Then the marginals of most of them are predicted in parallel,
    and the conditionals of the last ones in the order of the split. A target's own error widens the
    predicted density; a target of unknown error is taken as it stands, noise included.

    Parameters
    ----------
    network : Network
        What is trained.
    stars : Measurement
        (B, n_slots), all that is known of the stars.
    split : Split
        What of it is shown and what is to be predicted.
    from_embedding : bool
        Whether the head sees the embedding alone, so that the embedding must carry the star.
    config : LossConfig
        The weight of the measurements.

    Returns
    -------
    scalar Tensor
        In nats per target.
    """
    memory = network.encode(split.context)
    if from_embedding:
        memory = network.recall(memory.embedding)
    n, n_joint = len(stars.value), len(split.given.value)
    alone, joint = slice(0, n - n_joint), slice(n - n_joint, n)
    loss = torch.zeros((), device=stars.value.device)
    if n > n_joint and len(split.query):
        mixture = network.decode(memory.rows(alone), split.query)
        targets = Targets(stars, split, alone, split.query)
        loss = loss + (1 - n_joint / n) * _mean_loss(network, mixture, targets, config)
    if n_joint and len(split.order):
        mixture = network.head.autoregressive(memory.rows(joint), split.order, split.given)
        targets = Targets(stars, split, joint, split.order)
        loss = loss + n_joint / n * _mean_loss(network, mixture, targets, config)
    return loss


def alignment_loss(network: Network, stars: Measurement, config: LossConfig = DEFAULT) -> Tensor:
    """Measure how far two views of the same stars are apart.

    Parameters
    ----------
    network : Network
        A network with an alignment.
    stars : Measurement
        (B, n_slots), of which some stars have both views.
    config : LossConfig
        The weight of this loss, and how many stars it needs and takes.

    Returns
    -------
    scalar Tensor
        The weighted loss; 0 if too few stars have both views.
    """
    own = network.vocabulary.places[ALIGNED]
    rest = stars.observed.clone()
    rest[:, own] = False
    rest[:, list(network.vocabulary.label_slots)] = False
    has_both = rest.any(1) & stars.observed[:, own].any(1)
    both = torch.nonzero(has_both)[: config.most_aligned, 0]
    if len(both) < config.fewest_aligned:
        return torch.zeros((), device=stars.value.device)
    assert network.alignment is not None
    views = network.encode_views(stars.rows(both))
    return config.alignment_weight * network.alignment.loss(*views)


@dataclass(frozen=True)
class Targets:
    """Some rows and slots of a batch whose values are to be predicted."""

    stars: Measurement
    split: Split
    rows: slice
    slots: Tensor


def _mean_loss(network: Network, mixture: Mixture, targets: Targets, config: LossConfig) -> Tensor:
    rows, slots = targets.rows, targets.slots
    value = targets.stars.value[rows][:, slots]
    error = torch.nan_to_num(targets.stars.sigma[rows][:, slots])
    loss = -mixture.log_prob(value, error)
    is_target = targets.split.asked[rows][:, slots]
    labels = network.vocabulary.label_slots
    is_label = (slots >= labels.start) & (slots < labels.stop)
    of_labels = _masked_mean(loss, is_target & is_label)
    of_measurements = _masked_mean(loss, is_target & ~is_label)
    return of_labels + config.measurement_weight * of_measurements


def _masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, x, 0).sum() / mask.sum().clamp(min=1)
