"""Which precision matrix products are made in: bfloat16 only where the hardware makes it faster.

Processors without instructions for bfloat16 emulate it, up to a hundred times slower than float32.
"""

import time
import warnings
from functools import lru_cache

import torch

PRECISIONS = ("float32", "bfloat16")
CHOICES = ("auto", *PRECISIONS)  # of the user
SIZE, TRIALS = (
    256,
    5,
)  # of the products that are timed where torch cannot tell: some ms, once per process
CLEARLY = 1.3  # times faster, or it is not worth its rounding


def resolve(asked: str, device: torch.device) -> str:
    """One of PRECISIONS: what `asked`, one of CHOICES, means on this device. ValueError for anything else.

    "auto" is bfloat16 where that is faster, and float32 elsewhere.
    """
    if asked not in CHOICES:
        raise ValueError(f"precision must be one of {CHOICES}, got {asked!r}")
    if asked != "auto":
        return asked
    return "bfloat16" if bfloat16_is_fast(device.type) else "float32"


def warn_if_slow(precision: str, device: torch.device) -> None:
    """One line if this precision was asked for on a device where it is the slower one."""
    if precision == "bfloat16" and not bfloat16_is_fast(device.type):
        warnings.warn(
            f"bfloat16 is slower than float32 on this {device.type.upper()}; "
            "precision auto (--precision auto) takes the faster one",
            stacklevel=3,
        )


@lru_cache
def bfloat16_is_fast(device_type: str) -> bool:
    """Whether matrix products in bfloat16 are clearly faster than in float32 on "cpu" or "cuda".

    What torch knows of the hardware decides, so that the answer is always the same on one machine;
    where torch cannot tell, a trial does.
    """
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if _has("_is_amx_tile_supported"):
        return True
    if _has("_is_avx2_supported") and _has("_is_avx512_bf16_supported") is False:
        return False
    return _times_faster() > CLEARLY


def _has(capability: str) -> bool | None:
    """What torch.cpu says of this processor; None if this version of torch does not know."""
    ask = getattr(torch.cpu, capability, None)
    return None if ask is None else bool(ask())


def _times_faster() -> float:
    """Time of a small product in float32 over that in bfloat16: the best of a few each, taken in turns."""
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    matrix = {dtype: torch.ones(SIZE, SIZE, dtype=dtype) for dtype in best}
    for trial in range(1 + TRIALS):
        for dtype, x in matrix.items():
            begun = time.perf_counter()
            torch.mm(x, x)
            if trial:  # the first one also prepares kernels
                best[dtype] = min(best[dtype], time.perf_counter() - begun)
    return best[torch.float32] / best[torch.bfloat16]
