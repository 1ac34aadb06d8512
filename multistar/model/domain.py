"""Is a star like the training stars? Its embedding must be near theirs, and its numbers within their range."""

import torch
from torch import Tensor, nn

from encoders import Measurement

LEVEL = 0.995  # share of held-out training-like stars that each test calls inside
SHRINKAGE = 0.02  # of the covariance towards its mean variance; embeddings fill few directions
MIN_SHARE = 0.02  # of a star's numbers that may be out of range whatever the held-out stars say


def extremes(m: Measurement) -> tuple[Tensor, Tensor]:
    """(n_slots,) lowest and highest observed numbers; infinities the other way round where nothing was observed."""
    low, high = (torch.where(m.observed, m.value, x) for x in (torch.inf, -torch.inf))
    return low.amin(0), high.amax(0)


class Domain(nn.Module):
    """mean (E,), whitening (E, E): Gaussian fit to embeddings, edge (): its limit in Mahalanobis distance.

    low, high (n_slots,): range of the standardised training values; share (): how many may be outside it.
    """

    mean: Tensor
    whitening: Tensor
    edge: Tensor
    low: Tensor
    high: Tensor
    share: Tensor

    def __init__(self, size: int, n_slots: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("whitening", torch.eye(size))
        self.register_buffer("edge", torch.tensor(torch.inf))
        self.register_buffer("low", torch.full((n_slots,), -torch.inf))
        self.register_buffer("high", torch.full((n_slots,), torch.inf))
        self.register_buffer("share", torch.tensor(1.0))

    def fit(
        self, train: Tensor, low: Tensor, high: Tensor, held_out: tuple[Tensor, Measurement]
    ) -> None:
        """Embeddings (n, E) of training stars, the range (n_slots,) of all of them, held-out stars as shown."""
        x = train.double()
        self.mean.copy_(x.mean(0))
        covariance = torch.cov(x.T)
        variance = covariance.diagonal().mean()
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * variance * torch.eye(
            len(covariance), dtype=x.dtype
        )
        values, vectors = torch.linalg.eigh(shrunk)
        self.whitening.copy_(vectors * values.rsqrt())
        self.edge.copy_(torch.quantile(self.distance(held_out[0]), LEVEL))
        self.low.copy_(low)
        self.high.copy_(high)
        self.share.copy_(torch.quantile(self.out_of_range(held_out[1]), LEVEL).clamp(min=MIN_SHARE))

    def distance(self, embedding: Tensor) -> Tensor:
        """(n,) Mahalanobis distance to the training embeddings."""
        return ((embedding - self.mean) @ self.whitening).norm(dim=-1)

    def beyond(self, m: Measurement) -> Tensor:
        """(n, n_slots) True for the observed numbers that no training star reached."""
        return m.observed & ((m.value < self.low) | (m.value > self.high))

    def out_of_range(self, m: Measurement) -> Tensor:
        """(n,) share of a star's observed numbers that no training star reached."""
        return self.beyond(m).sum(1) / m.observed.sum(1).clamp(min=1)

    def outside(self, embedding: Tensor, m: Measurement) -> Tensor:
        """(n,) True where one of the two tests fails; never for a star without data."""
        failed = (self.distance(embedding) > self.edge) | (self.out_of_range(m) > self.share)
        return failed & m.observed.any(1)
