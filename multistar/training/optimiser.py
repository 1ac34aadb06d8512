"""Muon for the matrices of the transformer, AdamW for everything else, both from timm."""

import math

import torch
from timm.optim.muon import Muon
from torch import Tensor, nn

from multistar.training.run import TrainingConfig

FINAL_SHARE = 0.005  # of the learning rate, at the end of the cosine


def build(network: nn.Module, config: TrainingConfig) -> Muon:
    """Muon orthogonalises the update of a matrix, which suits inputs as collinear as XP coefficients.

    Embedding tables and per-slot maps are stacks of vectors, not one linear map: they get AdamW, as do
    biases and norms, which are not decayed.
    """
    matrices, tables, vectors = [], [], []
    for name, parameter in network.named_parameters():
        if parameter.ndim < 2 or name.endswith(".bias"):
            vectors.append(parameter)
        elif parameter.ndim == 2 and not name.endswith("identity.weight"):
            matrices.append(parameter)
        else:
            tables.append(parameter)
    groups = [
        {"params": matrices},
        {"params": tables, "use_fallback": True},
        {"params": vectors, "use_fallback": True, "weight_decay": 0.0},
    ]
    return Muon(groups, lr=config.learning_rate, weight_decay=config.weight_decay, nesterov=True)


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine down to FINAL_SHARE."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return config.learning_rate * warm * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)


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
