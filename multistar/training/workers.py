"""One process or several (torchrun): who am I, on which device, and gradients averaged over all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Workers:
    """This process is number `rank` of `size`."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    def mean(self, x: Tensor) -> Tensor:
        """Of a tensor that every process has, over the processes; in place."""
        if self.size > 1:
            dist.all_reduce(x)
            x /= self.size
        return x

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """One message for all; a parameter that a process did not use counts as zero there."""
        if self.size == 1:
            return
        parameters = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        averaged = self.mean(torch.cat([g.flatten() for g in gradients])).split(
            [g.numel() for g in gradients]
        )
        for parameter, gradient in zip(parameters, averaged, strict=True):
            parameter.grad = gradient.view_as(parameter)


@contextmanager
def workers() -> Iterator[Workers]:
    """The group that torchrun's environment describes (nccl on GPUs, gloo without), or this process alone."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if size == 1:
        yield Workers(device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Workers(rank, size, device)
    finally:
        dist.destroy_process_group()
