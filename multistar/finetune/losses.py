"""What fine-tuning minimises: the likelihood of the labels or, of numbers that belong together, Mahalanobis' distance.

Shape letters: B star, Q numeric target, K component, C class.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from multistar.finetune.examples import Examples
from multistar.model.mixture import Mixture

LOSSES = ("likelihood", "mahalanobis")


@dataclass(frozen=True)
class Loss:
    """covariance (Q, Q) of the standardised targets among the training stars, or None: the likelihood.

    likelihood   a number's density is convolved with the label's error; of a class, it is the cross-entropy.
    mahalanobis  sqrt(d^T S^-1 d) of the densities' means from all numbers of a star at once, so that a miss counts by
                 the scale of its label, and more against the relation of the labels than along it. The widths follow
                 from the likelihood about these means, which it does not move. Classes as above.

    Zhang, Wu, Bu et al. 2024 (arXiv:2401.04900) train (age, mass) of red giants with a loss of this name, against
    labels of unequal scale that depend on each other. The formula is not known to us: that S is the covariance of the
    training labels, the scale they are in (here the model's: logarithms of age and mass, standardised) and the square
    root are our reading; the widths, stars that lack a label (whose S is that of the others), and label
    errors, which do not weigh in the distance, are our own.
    """

    covariance: Tensor | None

    def sums(self, mixture: Mixture, logs: list[Tensor], part: Examples) -> tuple[Tensor, Tensor]:
        """(terms,) summed over the stars that have the label, and how many they are.

        Terms: Q numbers, with a covariance their distance, C classes.
        """
        target, known = part.target, part.target.observed
        value, error = (torch.where(known, x, 0) for x in (target.value, target.sigma))
        terms = []
        if self.covariance is not None:
            distance = mahalanobis(
                (mixture.log_weight.exp() * mixture.mean).sum(-1) - value, known, self.covariance
            )
            terms = [(distance.sum()[None], known.any(1).sum()[None])]
            mixture = Mixture(mixture.log_weight.detach(), mixture.mean.detach(), mixture.log_sigma)
        terms.insert(
            0, (torch.where(known, -mixture.log_prob(value, error), 0).sum(0), known.sum(0))
        )
        for log, code in zip(logs, part.codes.T, strict=True):
            loss = F.nll_loss(log, code, ignore_index=-1, reduction="sum")
            terms.append((loss[None], (code >= 0).sum()[None]))
        losses, numbers = zip(*terms, strict=True)
        return torch.cat(losses), torch.cat(numbers)

    def means(self, mixture: Mixture, logs: list[Tensor], part: Examples) -> Tensor:
        """(terms,) per star that has the label."""
        losses, known = self.sums(mixture, logs, part)
        return losses / known.clamp(min=1)


def loss_of(name: str, train: Examples) -> Loss:
    """The loss of LOSSES for these stars. ValueError if too few of them have all numbers for a covariance."""
    if name == "likelihood":
        return Loss(None)
    whole = train.target.value[train.target.observed.all(1)]
    n_targets = train.target.value.shape[1]
    if not n_targets or len(whole) <= 2 * n_targets:
        raise ValueError(
            f"loss mahalanobis needs a covariance of {n_targets} numeric labels, but {len(whole)} training stars have "
            "all of them; use likelihood"
        )
    covariance = torch.cov(whole.double().T).reshape(n_targets, n_targets)
    if torch.linalg.cond(covariance) > 1e8:
        raise ValueError(
            "loss mahalanobis: the labels are constant or functions of each other; use likelihood"
        )
    return Loss(covariance.to(whole.dtype))


def mahalanobis(difference: Tensor, known: Tensor, covariance: Tensor) -> Tensor:
    """(B,) distances of differences (B, Q), of which those `known` (B, Q) count: 0 where none is."""
    both = known[:, :, None] & known[:, None, :]
    own = torch.where(both, covariance, torch.eye(len(covariance)).to(covariance))
    d = torch.where(known, difference, 0)
    square = (d * torch.linalg.solve(own, d[..., None])[..., 0]).sum(-1)
    return (square + 1e-12).sqrt() * known.any(1)  # the root has no slope at 0
