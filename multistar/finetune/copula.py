"""A Gaussian copula of labels: which of their values go together.

Shape letters: B star, n sample, Q label.
"""

import torch
from torch import Tensor

from multistar.model.mixture import Mixture

FEWEST = 100  # stars that have both labels; with fewer they count as independent
LARGEST = 0.99  # correlation
EXTREME = 1e-5  # a PIT nearer to 0 or 1 counts as this


def correlation(pit: Tensor, told: Tensor, known: Tensor) -> Tensor:
    """(Q, Q) correlations of true - predicted, from labels with independent Gaussian errors.

    pit, told, known (B, Q) of the labels, `told` as below. An error hides correlation: the normal
    scores of labels that tell little are weighted accordingly, so that the estimate is that of
    the truths.
    """
    score = torch.special.ndtri(pit.double().clamp(EXTREME, 1 - EXTREME))
    score, told = torch.where(known, score, 0), torch.where(known, told.double(), 0)
    score = (
        score / ((score**2).sum(0) / known.sum(0).clamp(min=1)).clamp(min=1e-12).sqrt()
    )  # widths may be wrong
    product, weight = (score * told).T @ (score * told), (told**2).T @ (told**2)
    together = known.double().T @ known.double()
    rho = torch.where(together >= FEWEST, product / weight.clamp(min=1e-12), 0).clamp(
        -LARGEST, LARGEST
    )
    return _nearest(rho.fill_diagonal_(1.0)).float()


def correlate_with_truth(mixture: Mixture, error: Tensor) -> Tensor:
    """(B, Q) correlation of truth and label with `error` (B, Q; NaN counts as 0), if the truth is as
    in the mixture.
    """
    weight = mixture.log_weight.exp()
    mean = (weight * mixture.mean).sum(-1)
    variance = (weight * (torch.exp(2 * mixture.log_sigma) + mixture.mean**2)).sum(-1) - mean**2
    return (variance / (variance + torch.nan_to_num(error) ** 2)).sqrt()


def _nearest(rho: Tensor) -> Tensor:
    """With positive eigenvalues and ones on the diagonal.

    Pairs estimated from different stars may contradict.
    """
    values, vectors = torch.linalg.eigh(rho)
    fixed = vectors @ torch.diag(values.clamp(min=1 - LARGEST)) @ vectors.T
    size = fixed.diagonal().sqrt()
    return fixed / size[:, None] / size


def draw_conditional_scores(score: Tensor, rho: Tensor, generator: torch.Generator) -> Tensor:
    """Normal scores (B, Q, n) of all labels, with correlations rho (Q, Q).

    The first of them are `score` (B, fewer, n); the others are Gaussian given these.
    """
    known, new = slice(0, score.shape[1]), slice(score.shape[1], len(rho))
    slope = torch.linalg.solve(rho[known, known], rho[known, new]).T
    scatter = torch.linalg.cholesky(rho[new, new] - slope @ rho[known, new])
    noise = torch.randn(
        len(score), len(scatter), score.shape[2], generator=generator, dtype=score.dtype
    )
    return torch.cat([score, slope @ score + scatter @ noise], 1)
