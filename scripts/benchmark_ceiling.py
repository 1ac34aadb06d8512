"""What a star costs the network, and how near that comes to what the machine can do: FLOPs, memory traffic, ceilings.

    OMP_NUM_THREADS=2 python scripts/benchmark_ceiling.py [--model mini] [--device cpu]

Ceilings are measured in the same run: the fastest matrix product among those of the model's shapes and large ones, and
the fastest copy. Traffic counts what operations read and write, as if there were no caches. On a CPU time is that of
all threads divided by their number; on a GPU it is that of the clock, synchronised. Tables are not read here.
"""

import argparse
import time
from collections.abc import Callable

import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from multistar.api import MultiStar
from multistar.inference.predict import LEVELS
from multistar.inference.stream import BATCH, BATCH_ON_GPU, shown
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import device_of
from multistar.precision import PRECISIONS
from multistar.stars import read_stars
from multistar.training.masks import Splitter
from multistar.training.objective import negative_log_likelihood
from multistar.training.optimiser import build
from multistar.training.run import TrainingConfig

REPEATS = 7
SAMPLES = 64


class Traffic(TorchDispatchMode):
    """Bytes that operations read and write; views move none."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = (x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor))
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return out


def seconds(task: Callable, device: torch.device) -> float:
    """The best of a few repetitions."""
    task()
    best = float("inf")
    for _ in range(REPEATS):
        if device.type == "cpu":
            start = time.process_time()
            task()
            best = min(best, (time.process_time() - start) / torch.get_num_threads())
        else:
            torch.cuda.synchronize(device)
            start = time.perf_counter()
            task()
            torch.cuda.synchronize(device)
            best = min(best, time.perf_counter() - start)
    return best


def matmul_ceiling(device: torch.device, dtype: torch.dtype, width: int, rows: int) -> float:
    """FLOP/s."""
    best, large = 0.0, 2048 if device.type == "cpu" else 8192
    for n, k, m in ((rows, width, 4 * width), (rows, 4 * width, width), (large, large, large)):
        a, b = (torch.randn(shape, device=device, dtype=dtype) for shape in ((n, k), (k, m)))
        times = max(1, int(1e10 / (2 * n * k * m)))
        best = max(
            best,
            times
            * 2
            * n
            * k
            * m
            / seconds(lambda a=a, b=b, t=times: [a @ b for _ in range(t)], device),
        )
    return best


def copy_ceiling(device: torch.device) -> float:
    """Bytes read and written per second, of arrays that no cache holds."""
    x = torch.ones(1 << (27 if device.type == "cpu" else 29), device=device)
    y = torch.empty_like(x)
    return 2 * x.numel() * x.element_size() / seconds(lambda: y.copy_(x), device)


def tasks(model: MultiStar, stars, few, device: torch.device) -> dict[str, tuple[Callable, int]]:
    """Name -> what is done, and to how many stars."""
    network, vocabulary = model.model.network, model.model.vocabulary
    labels = torch.tensor(list(vocabulary.label_slots), device=device)
    with torch.inference_mode():
        memory = network.encode(stars)
        mixture, part = network.decode(memory, labels), memory.rows(slice(0, few))
    levels, generator = (
        model.model.recalibrator(torch.tensor(LEVELS)),
        torch.Generator().manual_seed(0),
    )
    n = len(stars.value)
    return {
        "encode": (lambda: network.encode(stars), n),
        "decode 8 labels": (lambda: network.decode(memory, labels), n),
        "3 quantiles of each": (lambda: mixture.quantile(levels), n),
        f"{SAMPLES} joint samples": (
            lambda: network.head.sample(part, labels, SAMPLES, generator),
            few,
        ),
    }


def training(model: MultiStar, stars) -> Callable:
    network, generator = model.model.network.train(), torch.Generator().manual_seed(0)
    optimiser = build(network, TrainingConfig())
    splitter = Splitter(model.model.vocabulary, model.model.standardiser.scale, 16, 0.25, generator)
    device = next(network.parameters()).device

    def step() -> None:
        generator.manual_seed(0)  # the same work each time
        split = splitter(stars)
        optimiser.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = negative_log_likelihood(network, stars.to(device), split.to(device), False)
        loss.backward()
        optimiser.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU where there is one)")
    args = parser.parse_args()
    device = device_of(args.device)
    size, few = (BATCH, 16) if device.type == "cpu" else (BATCH_ON_GPU, 1024)
    stars = read_stars(pa.concat_tables(survey(size, SurveyConfig(seed=77))))
    machine = (
        f"{torch.get_num_threads()} threads"
        if device.type == "cpu"
        else torch.cuda.get_device_name(device)
    )
    console, copied = Console(width=110), copy_ceiling(device)
    console.print(
        f"{args.model} on {machine}, {size} stars at once; copies move {copied / 1e9:,.0f} GB/s"
    )
    for precision in PRECISIONS:
        model = MultiStar.from_pretrained(args.model, precision=precision, device=str(device))
        width, dtype = model.model.config.width, getattr(torch, precision)
        ceiling = matmul_ceiling(device, dtype, width, 20 * size)
        table = Table(title=f"{precision}: matrix products reach {ceiling / 1e9:,.0f} GFLOP/s")
        for name in ("", "stars/s", "MFLOP/star", "of ceiling", "MB/star", "GB/s", "of copies"):
            table.add_column(name, justify="right" if name else "left")
        seen = shown(model.model, stars, True).to(device)
        todo = tasks(model, seen, few, device)
        if precision == "float32":  # training has its own precision, which depends on the device
            todo["training step"] = training(model, model.model.standardiser(stars)), size
        for name, (task, n) in todo.items():
            train = name == "training step"
            model.model.network.train(train).requires_grad_(train)
            with torch.inference_mode(not train):
                with FlopCounterMode(display=False) as flops:
                    task()
                with Traffic() as traffic:
                    task()
                time_of_star = seconds(task, device) / n
            work, moved = flops.get_total_flops() / n, traffic.bytes / n
            shares = f"{work / time_of_star / ceiling:.0%}", f"{moved / time_of_star / copied:.0%}"
            speed = f"{1 / time_of_star:,.0f}", f"{work / 1e6:.1f}", f"{moved / 1e6:.2f}"
            rate = f"{moved / time_of_star / 1e9:,.1f}"
            table.add_row(name, speed[0], speed[1], shares[0], speed[2], rate, shares[1])
        console.print(table)


if __name__ == "__main__":
    main()
