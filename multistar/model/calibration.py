"""Quantiles made honest: where held-out labels show that a stated 16 % is really 20 %, say so.

The probability integral transform (PIT) of a label is the predicted probability below its true
value; it is uniform if predictions are calibrated. Its empirical quantiles tell which predicted
level holds a wanted share of the truths (Kuleshov, Fenner & Ermon 2018, ICML).
"""

import torch
from torch import Tensor, nn

NODES = torch.tensor(
    [0.025, 0.05, *torch.arange(0.1, 0.91, 0.1).tolist(), 0.95, 0.975], dtype=torch.float64
)
MIN_STARS = 500  # with fewer, the map's own noise (1.6 % at the level of 16 %) would be worse than what it mends
AS_TOLD = 20  # stars that the widths as they are told are worth, where a few held-out stars tell of another factor
ONE_SIGMA = 0.6827  # share of a Gaussian within one standard deviation
EXTREME = 1e-6  # a PIT nearer to 0 or 1 counts as this


class Recalibrator(nn.Module):
    """score (n_labels, n_nodes): predicted levels, as normal scores, that hold the shares NODES of held-out labels.

    Between the nodes, and beyond them, the map is linear in normal scores: errors that are too small
    by a factor are one straight line there.
    """

    score: Tensor

    def __init__(self, n_labels: int):
        super().__init__()
        self.register_buffer("score", torch.special.ndtri(NODES).repeat(n_labels, 1))

    def fit(self, pit: Tensor, observed: Tensor) -> None:
        """pit, observed (n, n_labels) of held-out stars; a label known for too few of them keeps the identity.

        The PIT of a noisy label is that of the prediction convolved with the label's error. Where this error
        dominates, the PIT is uniform whatever the prediction, so the map then tends to the identity.
        """
        for label, (values, known) in enumerate(zip(pit.T.double(), observed.T, strict=True)):
            if known.sum() >= MIN_STARS:
                level = torch.quantile(values[known], NODES).clamp(EXTREME, 1 - EXTREME)
                self.score[label] = torch.special.ndtri(level)

    def refit(self, labels: Tensor, pit: Tensor, observed: Tensor) -> None:
        """Fit the labels (Q,) anew and leave the others; pit, observed (n, Q).

        With fewer than MIN_STARS the map is one factor: that with which 68 % of them lie in the central 68 %, drawn
        towards 1 as if AS_TOLD more stars said so (15 stars alone know it to 25 %).
        """
        self.score[labels] = torch.special.ndtri(NODES)
        for label, values, known in zip(labels, pit.T.double(), observed.T, strict=True):
            level = values[known].clamp(EXTREME, 1 - EXTREME)
            if len(level) >= MIN_STARS:
                self.score[label] = torch.special.ndtri(
                    torch.quantile(level, NODES).clamp(EXTREME, 1 - EXTREME)
                )
            elif len(level):
                width = torch.quantile(torch.special.ndtri(level).abs(), ONE_SIGMA)
                drawn = (len(level) * width**2 + AS_TOLD) / (len(level) + AS_TOLD)
                self.score[label] = torch.special.ndtri(NODES) * drawn.sqrt()

    def forward(self, levels: Tensor) -> Tensor:
        """Look up the levels of the prediction that hold what is wanted.

        Parameters
        ----------
        levels : (L,) Tensor
            Wanted, between 0 and 1.

        Returns
        -------
        (n_labels, L) Tensor
            Rising with the wanted level.
        """
        nodes = torch.special.ndtri(NODES)
        wanted = torch.special.ndtri(levels.double())
        left = torch.searchsorted(nodes, wanted).clamp(1, len(nodes) - 1) - 1
        right = left + 1
        share = (wanted - nodes[left]) / (nodes[right] - nodes[left])
        score = self.score[:, left] * (1 - share) + self.score[:, right] * share
        return torch.special.ndtr(score)
