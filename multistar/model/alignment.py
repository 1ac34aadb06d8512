"""Two views of one star in one space: its light curve, and everything else that is known of it.

Shape letters: B star, E embedding size.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# the modality that is aligned with all others
ALIGNED = "light_curve"

# weights of the penalties against the match of the views
COVARIANCE = 0.04
SPREAD = 1.0
# where InfoNCE begins
TEMPERATURE = 0.07
# of a variance, so that its square root has a slope
FLOOR = 1e-4


class Alignment(nn.Module):
    """Maps the embeddings of two views of a star into one space and measures how well they match.

    Parameters
    ----------
    size : int
        Size E of the embeddings.
    kind : str
        A key of ALIGNMENTS:

        - "dual": p1 = A e1, p2 = A^T e2 with one matrix A, as in DualFormer [1]_. The loss is the
          squared distance of p1 and p2, off-diagonal covariances within and across the views, and
          a hinge on the standard deviations. The paper matches the numbers e1.p1 and e2.p2
          instead; as e A e = e A^T e, that does not tell A from its transpose, and finds no star
          again.
        - "free": the same with two free matrices.
        - "vicreg": two free matrices; the covariance across the views is not penalised [2]_.
        - "clip": two free matrices, InfoNCE over the batch with a learnt temperature [3]_.
        - "dual-clip": the same loss, with the one matrix and its transpose of "dual".

    Raises
    ------
    ValueError
        If the kind is unknown.

    References
    ----------
    .. [1] Kamai, Bronstein & Perets 2025, arXiv:2507.10666
    .. [2] Bardes et al. 2022, ICLR
    .. [3] Radford et al. 2021
    """

    def __init__(self, size: int, kind: str):
        super().__init__()
        if kind not in ALIGNMENTS:
            raise ValueError(f"unknown alignment {kind!r}; known are {sorted(ALIGNMENTS)}")
        chosen = ALIGNMENTS[kind]
        self.kind = kind
        self.first = nn.Parameter(_near_identity(size))
        self.second = None
        self.log_scale = None
        if not chosen.one_matrix:
            self.second = nn.Parameter(_near_identity(size))
        if chosen.learns_temperature:
            self.log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))

    def forward(self, e1: Tensor, e2: Tensor) -> tuple[Tensor, Tensor]:
        """Map both views into the common space.

        Parameters
        ----------
        e1, e2 : (B, E) Tensor
            Embeddings of unit norm; they are scaled to unit variance first.

        Returns
        -------
        p1, p2 : (B, E) Tensor
        """
        scale = e1.shape[-1] ** 0.5
        second = self.first.T if self.second is None else self.second
        p1 = scale * e1 @ self.first.T
        p2 = scale * e2 @ second.T
        return p1, p2

    def loss(self, e1: Tensor, e2: Tensor) -> Tensor:
        """Return the loss, of shape (), of B >= 2 stars with both views (B, E)."""
        p1, p2 = self(e1, e2)
        return ALIGNMENTS[self.kind].loss(self, p1, p2)

    def eigenspace(self) -> Tensor:
        """Return the directions of the common space, the strongest first.

        Returns
        -------
        (E, E) Tensor
            Its columns are the real parts of the eigenvectors of A, by falling size of their
            eigenvalues. With two free matrices A and B they are those of A B^T, which takes the
            place of A^2.
        """
        matrix = self.first
        if self.second is not None:
            matrix = self.first @ self.second.T
        values, vectors = torch.linalg.eig(matrix.detach().double())
        order = values.abs().argsort(descending=True)
        return vectors[:, order].real.to(matrix.dtype)


def _near_identity(size: int) -> Tensor:
    noise = 0.1 * torch.randn(size, size) * size**-0.5
    return torch.eye(size) + noise


def _off_diagonal(matrix: Tensor) -> Tensor:
    """Sum of squares off the diagonal, per row."""
    everything = (matrix**2).sum() / len(matrix)
    return everything - (matrix.diagonal() ** 2).mean()


def _non_contrastive(p1: Tensor, p2: Tensor, across: bool) -> Tensor:
    """Distance of the views, and penalties on covariances and on standard deviations below 1."""
    first = p1 - p1.mean(0)
    second = p2 - p2.mean(0)
    pairs = [(first, first), (second, second)]
    if across:
        pairs.append((first, second))
    covariance = torch.zeros((), device=p1.device)
    for one, other in pairs:
        covariance = covariance + _off_diagonal(one.T @ other / (len(p1) - 1))
    spread = _lack_of_spread(first) + _lack_of_spread(second)
    return F.mse_loss(p1, p2) + COVARIANCE * covariance + SPREAD * spread


def _lack_of_spread(centred: Tensor) -> Tensor:
    """How much the standard deviations of the columns fall short of 1, on average."""
    deviation = (centred.var(0) + FLOOR).sqrt()
    return F.relu(1 - deviation).mean()


def _dual(_: Alignment, p1: Tensor, p2: Tensor) -> Tensor:
    return _non_contrastive(p1, p2, across=True)


def _vicreg(_: Alignment, p1: Tensor, p2: Tensor) -> Tensor:
    return _non_contrastive(p1, p2, across=False)


def _clip(alignment: Alignment, p1: Tensor, p2: Tensor) -> Tensor:
    assert alignment.log_scale is not None
    first = F.normalize(p1, dim=-1)
    second = F.normalize(p2, dim=-1)
    similarity = first @ second.T * alignment.log_scale.exp().clamp(max=100)
    own = torch.arange(len(p1), device=p1.device)
    forth = F.cross_entropy(similarity, own)
    back = F.cross_entropy(similarity.T, own)
    return (forth + back) / 2


@dataclass(frozen=True)
class AlignmentKind:
    """A way to align two views.

    Attributes
    ----------
    loss : callable
        Takes the Alignment and both views (B, E) in the common space.
    one_matrix : bool
        Whether the second view is mapped by the transpose of the first one's matrix.
    learns_temperature : bool
        Whether the Alignment has a temperature, as InfoNCE needs.
    """

    loss: Callable[[Alignment, Tensor, Tensor], Tensor]
    one_matrix: bool = False
    learns_temperature: bool = False


ALIGNMENTS: dict[str, AlignmentKind] = {
    "dual": AlignmentKind(_dual, one_matrix=True),
    "free": AlignmentKind(_dual),
    "vicreg": AlignmentKind(_vicreg),
    "clip": AlignmentKind(_clip, learns_temperature=True),
    "dual-clip": AlignmentKind(_clip, one_matrix=True, learns_temperature=True),
}
