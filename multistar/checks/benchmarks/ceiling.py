"""What a star costs the network, and how near that comes to what the machine can do.

Ceilings are measured in the same run: the fastest matrix product among those of the model's shapes
and large ones, and the fastest copy. Traffic counts what operations read and write, as if there
were no caches. On a CPU time is that of all threads divided by their number; on a GPU it is that of
the clock, synchronised. Reading tables is not part of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from multistar.inference.result import LEVELS
from multistar.inference.stream import show_measurements
from multistar.model.checkpoint import Model
from multistar.stars import Stars
from multistar.training.masks import Splitter
from multistar.training.objective import negative_log_likelihood
from multistar.training.optimiser import build
from multistar.training.run import TrainingConfig

REPEATS = 7
SAMPLES = 64
SAMPLED = 16  # stars on a CPU that are sampled at once
SAMPLED_ON_GPU = 1024
TOKENS = 20  # about as many as a star has, which makes the rows of its matrix products


@dataclass(frozen=True)
class Ceiling:
    """What a device can do: FLOP/s of matrix products, and bytes/s read and written by copies."""

    flops: float
    bandwidth: float


@dataclass(frozen=True)
class Task:
    """Something a network does to `stars` stars at once; `trains` if gradients are needed."""

    run: Callable[[], object]
    stars: int
    trains: bool = False


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write; views move none."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            for leaf in tree_leaves((args, kwargs, out)):
                if isinstance(leaf, torch.Tensor):
                    self.bytes += leaf.numel() * leaf.element_size()
        return out


def measure_seconds(task: Callable[[], object], device: torch.device) -> float:
    """Measure the time of a task: the best of a few repetitions, after one that warms up."""
    task()
    return min(_measure_once(task, device) for _ in range(REPEATS))


def _measure_once(task: Callable[[], object], device: torch.device) -> float:
    if device.type == "cpu":
        begun = time.process_time()
        task()
        return (time.process_time() - begun) / torch.get_num_threads()
    torch.cuda.synchronize(device)
    begun = time.perf_counter()
    task()
    torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def measure_ceiling(device: torch.device, dtype: torch.dtype, width: int, stars: int) -> Ceiling:
    """Measure the fastest matrix product and the fastest copy of a device.

    Parameters
    ----------
    width, stars
        Width of the model and stars at once, which make the shapes of its matrix products.
    """
    large = 2048 if device.type == "cpu" else 8192
    rows = TOKENS * stars
    shapes = ((rows, width, 4 * width), (rows, 4 * width, width), (large, large, large))
    flops = max(_measure_product(shape, device, dtype) for shape in shapes)
    return Ceiling(flops, _measure_copy(device))


def _measure_product(shape: tuple[int, int, int], device, dtype: torch.dtype) -> float:
    n, k, m = shape
    a = torch.randn((n, k), device=device, dtype=dtype)
    b = torch.randn((k, m), device=device, dtype=dtype)
    work = 2 * n * k * m
    times = max(1, int(1e10 / work))  # long enough for the clock

    def multiply() -> None:
        for _ in range(times):
            a @ b  # pyright: ignore[reportUnusedExpression]

    return times * work / measure_seconds(multiply, device)


def _measure_copy(device: torch.device) -> float:
    numbers = 1 << (27 if device.type == "cpu" else 29)  # more than any cache holds
    source = torch.ones(numbers, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)

    return 2 * numbers * source.element_size() / measure_seconds(copy, device)


def make_inference_tasks(model: Model, stars: Stars) -> dict[str, Task]:
    """Name -> what `predict` asks the network for, in parts."""
    network, vocabulary = model.network, model.vocabulary
    device = next(network.parameters()).device
    seen = show_measurements(model, stars).to(device)
    labels = torch.tensor(list(vocabulary.label_slots), device=device)
    few = SAMPLED if device.type == "cpu" else SAMPLED_ON_GPU
    with torch.inference_mode():
        memory = network.encode(seen)
        mixture, part = network.decode(memory, labels), memory.rows(slice(0, few))
    levels = model.recalibrator(torch.tensor(LEVELS))
    generator = torch.Generator().manual_seed(0)

    def sample() -> object:
        return network.head.sample(part, labels, SAMPLES, generator)

    n = len(stars)
    return {
        "encode": Task(lambda: network.encode(seen), n),
        f"decode {len(labels)} labels": Task(lambda: network.decode(memory, labels), n),
        f"{len(LEVELS)} quantiles of each": Task(lambda: mixture.quantile(levels), n),
        f"{SAMPLES} joint samples": Task(sample, min(few, n)),
    }


def make_training_task(model: Model, stars: Stars) -> Task:
    """One step of training, the same each time; it moves the weights of `model`."""
    network, generator = model.network.train(), torch.Generator().manual_seed(0)
    optimiser = build(network, TrainingConfig())
    splitter = Splitter(model.vocabulary, model.standardiser.scale, 16, 0.25, generator)
    device = next(network.parameters()).device
    measured = model.standardiser(stars)

    def step() -> None:
        generator.manual_seed(0)
        split = splitter(measured)
        optimiser.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = negative_log_likelihood(network, measured.to(device), split.to(device), False)
        loss.backward()
        optimiser.step()

    return Task(step, len(stars), trains=True)


def measure_task(network: torch.nn.Module, task: Task, ceiling: Ceiling) -> dict[str, float]:
    """Measure speed, work and traffic of a task per star, and their shares of the ceilings."""
    network.train(task.trains).requires_grad_(task.trains)
    device = next(network.parameters()).device
    with torch.inference_mode(not task.trains):
        with FlopCounterMode(display=False) as flops:
            task.run()
        with Traffic() as traffic:
            task.run()
        seconds = measure_seconds(task.run, device) / task.stars
    work, moved = flops.get_total_flops() / task.stars, traffic.bytes / task.stars
    return {
        "stars_per_s": 1 / seconds,
        "mflop_per_star": work / 1e6,
        "share_of_flops": work / seconds / ceiling.flops,
        "mb_per_star": moved / 1e6,
        "gb_per_s": moved / seconds / 1e9,
        "share_of_bandwidth": moved / seconds / ceiling.bandwidth,
    }


def benchmark_ceiling(model: Model, precision: str, stars: Stars) -> dict:
    """Measure what a model does to a batch of stars in its precision, beside the ceilings.

    Training has a precision of its own, which depends on the device: it is measured with float32,
    and moves the weights of the model.
    """
    device = next(model.network.parameters()).device
    width, dtype = model.config.width, getattr(torch, precision)
    ceiling = measure_ceiling(device, dtype, width, len(stars))
    tasks = make_inference_tasks(model, stars)
    if precision == "float32":
        tasks["training step"] = make_training_task(model, stars)
    rows = []
    for task_name, task in tasks.items():
        rows.append({"task": task_name} | measure_task(model.network, task, ceiling))
    return {
        "precision": precision,
        "gflops": ceiling.flops / 1e9,
        "copies_gb_per_s": ceiling.bandwidth / 1e9,
        "tasks": rows,
    }
