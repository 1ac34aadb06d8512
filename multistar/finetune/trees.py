"""Boosted trees instead of layers behind the network: they read its embedding and what it read.

With thousands of labels of one survey, trees on the inputs can be better than a fine-tuned network;
on inputs and embedding together they rarely are worse than by hand. XGBoost fits and evaluates
them, and its own binary JSON, which holds no code, stands in the adapter's file.

Shape letters: B star, Q numeric target, C class, F feature.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from encoders import Measurement
from multistar.finetune.readout import Calibrated
from multistar.model.fusion import Memory
from multistar.model.mixture import Mixture
from multistar.model.network import Network

LEAST_WIDTH = 1e-3  # standardised
MIDDLE, WIDTH, CLASSES = "middle", "width", "classes"


class TreeReadout(Calibrated):
    """Trees that give a Gaussian for each numeric target, and the shares of each class.

    The recalibrator, as for every adapter, gives the Gaussian the shape of the held-out residuals.

    Parameters
    ----------
    targets : sequence of str
        Names of the numeric targets, in order.
    classes : mapping of str to int
        Class label -> number of classes.
    known : Tensor
        Slots of the base's labels, of which the network's own estimates are features.
    n_slots, n_labels : int
        Of the adapter's model.

    Attributes
    ----------
    boosters : dict
        "TARGET.middle", "TARGET.width" or "LABEL.classes" -> xgboost.Booster.
    reads : (n_slots,) bool Tensor
        Slots that the trees read: those that some training star had.
    """

    probe = False
    thinned = None
    reads: Tensor

    def __init__(
        self,
        targets: tuple[str, ...],
        classes: Mapping[str, int],
        known: Tensor,
        n_slots: int,
        n_labels: int,
    ):
        super().__init__(len(classes), n_labels)
        self.register_buffer("reads", torch.zeros(n_slots, dtype=torch.bool))
        self.targets, self.sizes, self.known = targets, dict(classes), known
        self.boosters: dict[str, Any] = {}

    @property
    def names(self) -> list[str]:
        """Names of all boosters."""
        of_numbers = [f"{name}.{what}" for name in self.targets for what in (MIDDLE, WIDTH)]
        return of_numbers + [f"{name}.{CLASSES}" for name in self.sizes]

    def forward(
        self, network: Network, memory: Memory, stars: Measurement
    ) -> tuple[Mixture, list[Tensor]]:
        """Give the densities (B, Q, 1) of the numbers and log probabilities (B, C) of each class.

        stars: what the memory is of, with quantities that only the trees read.
        """
        x = self.features(network, memory, stars)
        columns = [self._predict(f"{name}.{MIDDLE}", x) for name in self.targets]
        widths = [self._predict(f"{name}.{WIDTH}", x) for name in self.targets]
        mean = torch.stack(columns, 1) if columns else x.new_zeros(len(x), 0)
        log_sigma = torch.stack(widths, 1) if widths else x.new_zeros(len(x), 0)
        log_sigma = log_sigma.clamp(min=float(np.log(LEAST_WIDTH)))
        mixture = Mixture(torch.zeros_like(mean)[..., None], mean[..., None], log_sigma[..., None])
        logits = []
        for name, size in self.sizes.items():
            logits.append(self._predict(f"{name}.{CLASSES}", x).reshape(len(x), size))
        return mixture, self.log_probabilities(logits)

    def features(self, network: Network, memory: Memory, stars: Measurement) -> Tensor:
        """Stack what the trees read (B, F): embedding, the base's labels, inputs and their errors."""
        mixture = network.decode(memory, self.known)
        labels = (mixture.log_weight.exp() * mixture.mean).sum(-1)
        observed = stars.observed[:, self.reads]
        missing = torch.tensor(torch.nan)
        value = torch.where(observed, stars.value[:, self.reads], missing)
        error = torch.where(observed, stars.sigma[:, self.reads].log(), missing)
        return torch.cat([memory.embedding, labels, value, error], 1)

    def _predict(self, name: str, x: Tensor) -> Tensor:
        booster = self.boosters[name]
        raw = booster.inplace_predict(x.numpy(), predict_type="margin", missing=np.nan)
        return torch.from_numpy(np.asarray(raw, np.float32))

    # --- on disk

    def as_tensors(self) -> dict[str, Tensor]:
        """Booster -> its binary JSON as bytes."""
        raw = {name: booster.save_raw("ubj") for name, booster in self.boosters.items()}
        return {
            name: torch.frombuffer(bytearray(data), dtype=torch.uint8) for name, data in raw.items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the boosters that `as_tensors` gave.

        Raises
        ------
        KeyError
            If one is missing, or one too many.
        RuntimeError
            If one is no model of XGBoost, or reads another number of features.
        """
        xgboost = import_xgboost()
        if set(tensors) != set(self.names):
            raise KeyError(f"trees {sorted(set(tensors) ^ set(self.names))}")
        for name, data in tensors.items():
            try:
                booster = xgboost.Booster(model_file=bytearray(data.numpy().tobytes()))
            except xgboost.core.XGBoostError as error:
                raise RuntimeError(f"trees of {name}: {str(error)[:200]}") from error
            self.boosters[name] = booster


def import_xgboost() -> Any:
    """Return the module; ImportError that says how to install it."""
    try:
        import xgboost
    except ImportError as error:
        raise ImportError(
            "an adapter of mode trees needs XGBoost: pip install 'multistar[trees]'"
        ) from error
    return xgboost
