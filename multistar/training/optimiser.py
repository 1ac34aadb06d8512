"""Muon for the matrices of the transformer, AdamW for everything else, both from timm."""

from collections import defaultdict

import torch
from timm.optim.muon import Muon, get_lr_scale, zeropower_via_newtonschulz
from torch import Tensor, nn

from multistar.precision import bfloat16_is_fast
from multistar.training.run import TrainingConfig

FEWEST_ROWS = 4  # of a matrix that Muon takes
NEWTON_SCHULZ = [  # timm's "quintic": coefficients of five iterations
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
]


class StackedMuon(Muon):
    """timm's Muon, faster: matrices of one shape are orthogonalised together, in a precision fast there.

    timm's own takes them one by one and in bfloat16, which most processors emulate. State and
    settings are timm's; groups with `use_fallback`, of AdamW, are left to it.
    """

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """As timm's; without a closure."""
        assert closure is None
        own = [group for group in self.param_groups if not group.get("use_fallback")]
        gradients = {p: p.grad for group in own for p in group["params"] if p.grad is not None}
        for parameter in gradients:
            parameter.grad = None  # timm's passes over it
        super().step()
        for group in own:
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter in gradients:
                    by_shape[parameter.shape].append(parameter)
            for matrices in by_shape.values():
                self._move(matrices, [gradients[matrix] for matrix in matrices], group)
        for parameter, gradient in gradients.items():
            parameter.grad = gradient

    def _move(self, matrices: list[Tensor], gradients: list[Tensor], group: dict) -> None:
        """Matrices of one shape along their orthogonalised momenta."""
        updates = []
        for matrix, gradient in zip(matrices, gradients, strict=True):
            state = self.state[matrix]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(matrix)
            momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
            updates.append(gradient.lerp(momentum, group["momentum"]))  # Nesterov's
        stacked = torch.stack(updates)
        dtype = torch.bfloat16 if bfloat16_is_fast(stacked.device.type) else torch.float32
        stacked = zeropower_via_newtonschulz(
            stacked, len(NEWTON_SCHULZ), NEWTON_SCHULZ, dtype=dtype
        )
        scale = get_lr_scale(stacked.shape, group["adjust_lr_fn"])
        for matrix, update in zip(matrices, stacked, strict=True):
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            matrix.add_(update, alpha=-group["lr"] * scale)


def build(network: nn.Module, config: TrainingConfig) -> StackedMuon:
    """Muon orthogonalises the update of a matrix, which suits inputs as collinear as XP coefficients.

    Embedding tables and per-slot maps are stacks of vectors, not one linear map: they get AdamW, as do
    biases and norms, which are not decayed. What has no gradients is left out; tables are not decayed
    where only some of their rows are trained.
    """
    matrices, tables, vectors = [], [], []
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2 or name.endswith(".bias"):
            vectors.append(parameter)
        elif (
            parameter.ndim == 2
            and min(parameter.shape) >= FEWEST_ROWS
            and not name.endswith("identity.weight")
        ):
            matrices.append(parameter)
        else:
            tables.append(parameter)
    groups = [
        {"params": matrices},
        {
            "params": tables,
            "use_fallback": True,
            "weight_decay": 0.0 if config.only_added else config.weight_decay,
        },
        {"params": vectors, "use_fallback": True, "weight_decay": 0.0},
    ]
    return StackedMuon(
        groups, lr=config.learning_rate, weight_decay=config.weight_decay, nesterov=True
    )


def state_of(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, float]]:
    """What an optimiser remembers, as tensors and plain numbers by "parameter.name"."""
    tensors, numbers = {}, {}
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value.contiguous()
            else:
                numbers[f"{index}.{key}"] = value
    return tensors, numbers


def restore(optimiser: torch.optim.Optimizer, remembered: dict[str, Tensor | float]) -> None:
    """Tensors and numbers of state_of -> an optimiser of the same parameters and settings."""
    state: dict[int, dict] = {}
    for name, value in remembered.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
