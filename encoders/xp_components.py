"""Gaia XP coefficients by their principal components: a linear front end that shows the leading ones alone."""

import torch
from torch import Tensor, nn

from encoders.contract import Measurement, Tokens
from encoders.xp import XPEncoder

LEAST = 1e-10  # variance
RATIO = (
    1e-4,
    1e4,
)  # limits of noise to spread of a component, so that few coefficients can be solved for


class XPComponents(nn.Module):
    """(B, N) coefficients -> K components -> ceil(K / patch) tokens, which are absent if no coefficient is observed.

    center (N,), basis (N, K) orthonormal, spread (K,) variances of the components and noise (), the mean variance of
    the N - K others, are those of the training stars: `fit`. A component is basis^T (x - center), of unit variance
    among these. Coefficients that are not observed take their conditional means given the observed ones under
    probabilistic PCA (Tipping & Bishop 1999, eq. 6-8); the component's error has their conditional variance in it,
    beside the errors of the observed ones.
    """

    center: Tensor
    basis: Tensor
    spread: Tensor
    noise: Tensor

    def __init__(self, orders: int, components: int, patch: int, width: int):
        super().__init__()
        if components > orders:
            raise ValueError(
                f"{components} principal components of {orders} XP coefficients; ask for fewer"
            )
        self.register_buffer("center", torch.zeros(orders))
        self.register_buffer("basis", torch.eye(orders, components))
        self.register_buffer("spread", torch.ones(components))
        self.register_buffer("noise", torch.ones(()))
        self.tokens = XPEncoder(components, 0, patch, width)

    def fit(self, m: Measurement) -> None:
        """Mean and principal components of the training stars (n, N) that have all coefficients.

        Raises ValueError if they are fewer than twice the coefficients.
        """
        x = m.value[m.observed.all(1)].double()
        if len(x) < 2 * m.value.shape[1]:
            raise ValueError(
                f"{len(x)} training stars have all {m.value.shape[1]} XP coefficients, too few for principal "
                "components; give more stars, or model.xp_components = 0"
            )
        values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
        values, k = values.flip(0).clamp(min=LEAST), len(self.spread)
        self.center.copy_(x.mean(0))
        self.basis.copy_(vectors.flip(1)[:, :k])
        self.spread.copy_(values[:k])
        self.noise.copy_(values[k:].mean() if k < len(values) else values[-1])

    def forward(self, m: Measurement) -> Tokens:
        """Encode coefficients as tokens of their principal components."""
        return self.tokens(self.project(m))

    def project(self, m: Measurement) -> Measurement:
        """(B, K) components in units of their spread, all observed or none."""
        with torch.autocast(m.value.device.type, enabled=False):
            x = torch.where(m.observed, m.value - self.center, 0)
            seen = m.observed.to(x.dtype)
            sigma = torch.where(m.observed, torch.nan_to_num(m.sigma), 0)
            gram = torch.einsum("bn,nk,nl->bkl", seen, self.basis, self.basis)
            ratio = self.noise / (self.spread - self.noise).clamp(min=LEAST)
            prior = torch.diag(ratio.clamp(*RATIO))
            unseen = torch.eye(len(prior), device=x.device) - gram
            through = torch.linalg.solve(gram + prior, unseen)
            known = x @ self.basis
            value = known + torch.einsum(
                "bkl,bk->bl", through, known
            )  # of the unseen ones their conditional mean
            lost = self.noise * (
                (unseen * through.mT).sum(-1) + unseen.diagonal(dim1=-2, dim2=-1)
            ).clamp(min=0)
            error = (sigma**2 @ self.basis**2 + lost).sqrt()
        scale, some = (
            self.spread.sqrt(),
            m.observed.any(1, keepdim=True).expand(-1, len(self.spread)),
        )
        return Measurement(value / scale, error / scale, some)
