"""From a star's memory to what was asked: densities of numbers, probabilities of classes.

Shape letters: B star, Q numeric target, K component, C class, D width, E embedding size.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from multistar.model.calibration import Recalibrator
from multistar.model.fusion import Memory
from multistar.model.head import LOG_SIGMA_MAX, LOG_SIGMA_MIN
from multistar.model.mixture import Mixture
from multistar.model.network import ModelConfig, Network

TEMPERATURES = torch.logspace(-0.5, 0.7, 49)


class Calibrated(nn.Module):
    """What all readouts have: temperatures of class labels, and correlations of residuals.

    Parameters
    ----------
    n_classes : int
        Number of class labels.
    n_labels : int
        Numeric labels of base and adapter together.
    """

    temperature: Tensor
    correlation: Tensor

    def __init__(self, n_classes: int, n_labels: int):
        super().__init__()
        self.register_buffer("temperature", torch.ones(n_classes))
        self.register_buffer("correlation", torch.eye(n_labels))  # of residuals, see joint.py

    def log_probabilities(self, logits: list[Tensor]) -> list[Tensor]:
        """Log probabilities (B, C) of each class label, from what comes before its temperature."""
        return [F.log_softmax(x / t, -1) for x, t in zip(logits, self.temperature, strict=True)]

    def calibrate(self, logs: list[Tensor], codes: Tensor, fewest: int) -> None:
        """Divide the logits by the temperature that suits held-out stars best.

        See Guo et al. (2017, ICML).

        logs: for each class label (n, C) at temperature 1; codes (n, n_classes), -1 = missing.
        """
        for i, (log, code) in enumerate(zip(logs, codes.T, strict=True)):
            if (code >= 0).sum() >= fewest:
                loss = [
                    F.nll_loss(F.log_softmax(log / t, -1), code, ignore_index=-1)
                    for t in TEMPERATURES
                ]
                self.temperature[i] = TEMPERATURES[int(torch.stack(loss).argmin())]


class Readout(Calibrated):
    """What an adapter puts behind the network.

    Numbers are slots of the network's own head; a class label is one more target token, decoded
    by the same blocks, and a linear layer. With `probe` nothing of the head is used: one linear
    layer reads the embedding and the mean of the memory. n_labels: numeric labels of base and
    adapter together. An adapter trained with dropout has a recalibrator for the densities of
    `thinned` networks, too.
    """

    def __init__(
        self,
        config: ModelConfig,
        n_targets: int,
        classes: Mapping[str, int],
        probe: bool,
        n_labels: int,
        thinned: bool,
    ):
        super().__init__(len(classes), n_labels)
        self.components = config.components
        size = config.embedding + config.width if probe else config.width
        self.token = None if probe else nn.Parameter(torch.zeros(len(classes), config.width))
        self.classes = nn.ModuleList([nn.Linear(size, n) for n in classes.values()])
        self.probe = probe
        self.numbers = (
            nn.Linear(size, 3 * n_targets * config.components) if probe and n_targets else None
        )
        self.thinned = Recalibrator(n_targets) if thinned else None
        with torch.no_grad():
            for parameter in (
                *self.classes.parameters(),
                *(self.numbers.parameters() if self.numbers else ()),
            ):
                parameter.zero_()
            if (
                self.numbers is not None
            ):  # components start spread out, or they would all learn the same
                self.numbers.bias.view(3, n_targets, -1)[1] = torch.linspace(
                    -1, 1, config.components
                )

    def forward(
        self, network: Network, memory: Memory, slots: Tensor
    ) -> tuple[Mixture, list[Tensor]]:
        """Decode the densities (B, Q, K) of the slots (Q,) and the classes.

        The latter are log probabilities (B, C) of each class label.
        """
        if self.probe:
            x = self.seen(memory)
            numbers = self.numbers(x) if self.numbers else x[:, :0]
            raw = rearrange(
                numbers, "b (three q k) -> three b q k", three=3, q=len(slots), k=self.components
            )
            logit, mean, log_sigma = raw
            mixture = Mixture(
                F.log_softmax(logit, -1), mean, log_sigma.clamp(LOG_SIGMA_MIN, LOG_SIGMA_MAX)
            )
            return mixture, self.log_probabilities([layer(x) for layer in self.classes])
        assert self.token is not None
        head = network.head
        states = head.read(memory, torch.cat([head.identity(slots), self.token]))
        logits = [
            layer(head.norm(states[:, len(slots) + i])) for i, layer in enumerate(self.classes)
        ]
        return head.mixture(states[:, : len(slots)]), self.log_probabilities(logits)

    def seen(self, memory: Memory) -> Tensor:
        """(B, E + D) what a probe reads, of unit variance."""
        weight = memory.observed[..., None].to(memory.features.dtype)
        mean = (memory.features * weight).sum(1) / weight.sum(1)
        scale = memory.embedding.shape[-1] ** 0.5
        return torch.cat([scale * memory.embedding, mean], -1)
