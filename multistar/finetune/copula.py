"""A Gaussian copula of labels: which of their values go together.

Shape letters: B star, n sample, Q label.
"""

import torch
from torch import Tensor

from multistar.model.mixture import Mixture

# Stars that have both labels; with fewer the labels count as independent.
FEWEST = 100
LARGEST = 0.99  # correlation
# A probability integral transform (PIT) nearer to 0 or 1 counts as this.
EXTREME = 1e-5


def correlation(pit: Tensor, told: Tensor, known: Tensor) -> Tensor:
    """(Q, Q) correlations of true - predicted, from labels with independent Gaussian errors.

    pit, told, known (B, Q) of the labels, `told` as below. An error hides correlation: the normal
    scores of labels that tell little are weighted accordingly, so that the estimate is that of
    the truths.
    """
    score = torch.special.ndtri(pit.double().clamp(EXTREME, 1 - EXTREME))
    score, told = torch.where(known, score, 0), torch.where(known, told.double(), 0)
    # The predicted widths may be wrong.
    variance = (score**2).sum(0) / known.sum(0).clamp(min=1)
    score = score / variance.clamp(min=1e-12).sqrt()
    weighted = score * told
    product = weighted.T @ weighted
    weight = (told**2).T @ (told**2)
    together = known.double().T @ known.double()
    rho = torch.where(together >= FEWEST, product / weight.clamp(min=1e-12), 0)
    rho = rho.clamp(-LARGEST, LARGEST)
    return _nearest(rho.fill_diagonal_(1.0)).float()


def correlate_with_truth(mixture: Mixture, error: Tensor) -> Tensor:
    """Correlate truths with labels that have errors, if the truths are as in the mixture.

    Parameters
    ----------
    mixture : Mixture
        (B, Q) densities of the truths.
    error : (B, Q) Tensor
        Errors of the labels; NaN counts as 0.

    Returns
    -------
    (B, Q) Tensor
        Correlations between 0 and 1.
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
