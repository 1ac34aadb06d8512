"""A Gaussian copula of labels: which of their values go together.

Shape letters: B star, n sample, Q label.
"""

import torch
from torch import Tensor

from multistar.model.mixture import Mixture

FEWEST = 100  # stars that have both labels; with fewer they count as independent
LARGEST = 0.99  # correlation
EXTREME = 1e-5  # a PIT nearer to 0 or 1 counts as this


def correlation(mixture: Mixture, pit: Tensor, error: Tensor, known: Tensor) -> Tensor:
    """(Q, Q) correlations of true - predicted, from labels with independent Gaussian errors.

    mixture (B, Q) is the density without errors; pit, error, known (B, Q) are of the labels. An error hides
    correlation: where it is as large as the density is wide, a normal score tells half of the truth's. Scores are
    weighted by what they tell, so that the estimate is that of the truths.
    """
    score = torch.special.ndtri(pit.double().clamp(EXTREME, 1 - EXTREME))
    variance = _variance(mixture).double()
    told = (variance / (variance + torch.nan_to_num(error).double() ** 2)).sqrt() * known
    score = torch.where(known, score, 0)
    score = score / ((score**2).sum(0) / known.sum(0).clamp(min=1)).clamp(min=1e-12).sqrt()  # widths may be wrong
    product, weight = (score * told).T @ (score * told), (told**2).T @ (told**2)
    together = known.double().T @ known.double()
    rho = torch.where(together >= FEWEST, product / weight.clamp(min=1e-12), 0).clamp(-LARGEST, LARGEST)
    return _nearest(rho.fill_diagonal_(1.0)).float()


def _variance(mixture: Mixture) -> Tensor:
    weight = mixture.log_weight.exp()
    mean = (weight * mixture.mean).sum(-1)
    return (weight * (torch.exp(2 * mixture.log_sigma) + mixture.mean**2)).sum(-1) - mean**2


def _nearest(rho: Tensor) -> Tensor:
    """With positive eigenvalues and ones on the diagonal: pairs estimated from different stars may contradict."""
    values, vectors = torch.linalg.eigh(rho)
    fixed = vectors @ torch.diag(values.clamp(min=1 - LARGEST)) @ vectors.T
    size = fixed.diagonal().sqrt()
    return fixed / size[:, None] / size


def follow(score: Tensor, known: list[int], rho: Tensor, generator: torch.Generator) -> None:
    """Fill the rows of score (B, Q, n) that are not `known`: Gaussian, given those that are."""
    new = [i for i in range(len(rho)) if i not in known]
    if not new:
        return
    slope = torch.linalg.solve(rho[known][:, known], rho[known][:, new]).T  # (new, known)
    scatter = torch.linalg.cholesky(rho[new][:, new] - slope @ rho[known][:, new])
    noise = torch.randn(len(score), len(new), score.shape[2], generator=generator, dtype=score.dtype)
    score[:, new] = slope @ score[:, known] + scatter @ noise
