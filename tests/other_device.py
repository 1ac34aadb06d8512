"""A device that every machine has: it computes on the CPU, and refuses what a GPU would refuse.

`FakeTensorMode` has no numbers, and on a build of torch without CUDA its `cuda` tensors cannot even
be indexed. So a tensor here holds real numbers in the memory of the CPU and says that it is on another
device ("meta", the only other one that every build knows). What a GPU refuses raises RuntimeError:
tensors of both devices in one operation, but for single numbers and indices.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}  # from one device to the other
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}  # by a CPU's indices, too
GATHERED = {aten.cat.default, aten.stack.default}  # single numbers of the CPU are refused here, too
WAITS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default}


class Elsewhere(Tensor):
    """A tensor whose numbers are `inside`, and which says that it is on DEVICE."""

    inside: Tensor

    @staticmethod
    def __new__(cls, inside: Tensor) -> "Elsewhere":
        with torch.inference_mode(False):  # views of parameters must be plain tensors
            made: Any = Tensor._make_wrapper_subclass(  # pyright: ignore[reportAttributeAccessIssue]
                cls, inside.shape, strides=inside.stride(), dtype=inside.dtype, device=DEVICE
            )
        made.inside = inside.detach()
        return made

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"Elsewhere({self.inside!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func}: there is no other device outside of `with OtherDevice()`")


class ListsAsTensors(TorchFunctionMode):
    """Lists as indices become tensors here: torch would make them in the memory that DEVICE lacks."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], Elsewhere):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            index = tuple(torch.tensor(i, dtype=torch.long) if isinstance(i, list) else i for i in index)
            args = (args[0], index, *args[2:])
        return func(*args, **(kwargs or {}))


class OtherDevice(TorchDispatchMode):
    """While it lasts, there is one. waits: operation -> how often the CPU had to wait for a number."""

    def __init__(self):
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.lists = ListsAsTensors()

    def __enter__(self) -> "OtherDevice":
        self.lists.__enter__()
        return super().__enter__()

    def __exit__(self, *error) -> None:
        super().__exit__(*error)
        self.lists.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        asked = next((x for x in leaves if isinstance(x, torch.device)), None)
        there = any(isinstance(x, Elsewhere) for x in tensors)
        if any(x.device == DEVICE and not isinstance(x, Elsewhere) for x in tensors):
            raise RuntimeError(f"{func}: a tensor that was made where this mode cannot see it")
        check_together(func, args, tensors)
        if not there and asked != DEVICE:
            return func(*args, **kwargs)
        back = there and asked is not None and asked != DEVICE
        fetched = func is aten.copy_.default and not isinstance(args[0], Elsewhere)
        if back or fetched or func in WAITS or _by_mask(func, args):
            self.waits[str(func)] += 1
        plain_args, plain_kwargs = tree_map(_inside, (args, kwargs))
        out = func(*plain_args, **plain_kwargs)
        if back:
            return out.clone()  # no memory is on both devices
        if _in_place(func):
            return args[0] if func._schema.returns else None
        return tree_map(lambda x: Elsewhere(x) if isinstance(x, Tensor) else x, out)


def check_together(func, args, tensors) -> None:
    """RuntimeError for what a GPU refuses: tensors of both devices, a CPU's numbers by indices of the GPU."""
    if func in MOVES:
        return
    if func in INDEXED:
        indices = [x for x in args[1] if isinstance(x, Elsewhere)]
        tensors = [args[0], *args[2:3], *indices] if indices else [args[0], *args[2:3]]
    numbers_too = func in GATHERED
    devices = {x.device.type for x in tensors if x.ndim or numbers_too or isinstance(x, Elsewhere)}
    if len(devices) > 1:
        shapes = [(x.device.type, tuple(x.shape)) for x in tensors]
        raise RuntimeError(f"{func}: expected all tensors on one device, got {shapes}")


def _inside(x):
    """What the CPU computes with."""
    if isinstance(x, torch.device):
        return torch.device("cpu")
    return x.inside if isinstance(x, Elsewhere) else x


def _in_place(func) -> bool:
    arguments = func._schema.arguments
    return bool(arguments and arguments[0].alias_info and arguments[0].alias_info.is_write)


def _by_mask(func, args) -> bool:
    """Indices that are masks: how many they are, the CPU must know."""
    return func is aten.index.Tensor and any(i is not None and i.dtype == torch.bool for i in args[1])
