"""Two views of one star in one space: a star's light curve, and everything else that is known of it.

Shape letters: B star, E embedding size.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COVARIANCE, SPREAD = 0.04, 1.0  # weights of the penalties against the match of the views
TEMPERATURE = 0.07  # where InfoNCE begins
FLOOR = 1e-4  # of a variance, so that its square root has a slope

ALIGNED = "light_curve"  # the modality that is aligned with all others


class Alignment(nn.Module):
    """Maps the embeddings e1, e2 (B, E) of two views into one space, p1 and p2 (B, E), and says how far they are apart.

    "dual"    p1 = A e1, p2 = A^T e2 with one matrix A, as the DualFormer has it (Kamai, Bronstein & Perets 2025,
              arXiv:2507.10666); loss: squared distance of p1 and p2, off-diagonal covariances within and across the
              views, and a hinge on the standard deviations. The paper matches the numbers e1.p1 and e2.p2 instead;
              as e A e = e A^T e, that does not tell A from its transpose, and finds no star again.
    "free"    the same with two free matrices
    "vicreg"  two free matrices; the covariance across the views is not penalised (Bardes et al. 2022, ICLR)
    "clip"    two free matrices, InfoNCE over the batch with a learnt temperature (Radford et al. 2021)
    """

    def __init__(self, size: int, kind: str):
        super().__init__()
        if kind not in LOSSES:
            raise ValueError(f"unknown alignment {kind!r}; known are {sorted(LOSSES)}")
        self.kind = kind
        self.first = nn.Parameter(_near_identity(size))
        self.second = nn.Parameter(_near_identity(size)) if kind != "dual" else None
        self.log_scale = (
            nn.Parameter(torch.tensor(-math.log(TEMPERATURE))) if kind == "clip" else None
        )

    def forward(self, e1: Tensor, e2: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of unit norm are scaled to unit variance first."""
        scale = e1.shape[-1] ** 0.5
        second = self.first.T if self.second is None else self.second
        return scale * e1 @ self.first.T, scale * e2 @ second.T

    def loss(self, e1: Tensor, e2: Tensor) -> Tensor:
        """() for B >= 2 stars with both views."""
        return LOSSES[self.kind](self, *self(e1, e2))

    def eigenspace(self) -> Tensor:
        """(E, E) columns: real parts of the eigenvectors of A by falling size of their eigenvalues.

        Of A A2^T with free matrices, which takes the place of A^2.
        """
        matrix = self.first if self.second is None else self.first @ self.second.T
        values, vectors = torch.linalg.eig(matrix.detach().double())
        return vectors[:, values.abs().argsort(descending=True)].real.to(matrix.dtype)


def _near_identity(size: int) -> Tensor:
    return torch.eye(size) + 0.1 * torch.randn(size, size) * size**-0.5


def _off_diagonal(matrix: Tensor) -> Tensor:
    """Sum of squares off the diagonal, per row."""
    return (matrix**2).sum() / len(matrix) - (matrix.diagonal() ** 2).mean()


def _non_contrastive(p1: Tensor, p2: Tensor, across: bool) -> Tensor:
    centered = [p - p.mean(0) for p in (p1, p2)]
    pairs = [(0, 0), (1, 1), *([(0, 1)] if across else [])]
    covariances = [centered[i].T @ centered[j] / (len(p1) - 1) for i, j in pairs]
    spread = sum(F.relu(1 - (c.var(0) + FLOOR).sqrt()).mean() for c in centered)
    return F.mse_loss(p1, p2) + COVARIANCE * sum(map(_off_diagonal, covariances)) + SPREAD * spread


def _dual(_: Alignment, p1: Tensor, p2: Tensor) -> Tensor:
    return _non_contrastive(p1, p2, across=True)


def _vicreg(_: Alignment, p1: Tensor, p2: Tensor) -> Tensor:
    return _non_contrastive(p1, p2, across=False)


def _clip(alignment: Alignment, p1: Tensor, p2: Tensor) -> Tensor:
    assert alignment.log_scale is not None
    similarity = (
        F.normalize(p1, dim=-1)
        @ F.normalize(p2, dim=-1).T
        * alignment.log_scale.exp().clamp(max=100)
    )
    own = torch.arange(len(p1), device=p1.device)
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2


LOSSES: dict[str, Callable[[Alignment, Tensor, Tensor], Tensor]] = {
    "dual": _dual,
    "free": _dual,
    "vicreg": _vicreg,
    "clip": _clip,
}
