"""What pretraining and fine-tuning share: one step of an optimiser, and runs that can be resumed."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from multistar.io.files import atomic_write
from multistar.training import optimiser
from multistar.training.workers import Workers

STATE, PROGRESS = "state.safetensors", "progress.json"  # of an interrupted run

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Schedule:
    """Learning rate of a run: a linear warm-up, the peak, then a cosine down to a share of it.

    Attributes
    ----------
    peak : float
        Learning rate between warm-up and decay.
    steps : int
        Length of the run.
    warmup : int
        Steps of the warm-up; 0 for none.
    final_share : float
        Learning rate at the last step as a share of `peak`.
    decay : float
        Share of the steps, the last ones, in which the learning rate falls; 1 for all.
    """

    peak: float
    steps: int
    warmup: int
    final_share: float
    decay: float = 1.0

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        before = (1 - self.decay) * self.steps
        fallen = max(0.0, step - before) / (self.steps - before)
        cosine = 0.5 * (1 + math.cos(math.pi * fallen))
        return self.peak * warm * (self.final_share + (1 - self.final_share) * cosine)


def power_decay(step: int) -> float:
    """Return 1 - step^(-2/3): the average forgets its first weights quickly (timm's ModelEmaV3).

    It is the choice of pretraining, whose first weights are random.
    """
    if step <= 1:
        return 0.0
    return 1 - (1 + (step - 1)) ** (-2 / 3)


def ratio_decay(step: int) -> float:
    """Return (1 + step) / (10 + step): the average keeps a tenth of its first weights at once.

    It is the choice of fine-tuning, which begins with good weights. TensorFlow's
    ExponentialMovingAverage has the same rule.
    """
    return (1 + step) / (10 + step)


class WeightAverage:
    """Exponential average of weights, whose decay grows with the steps up to a limit.

    Parameters
    ----------
    weights : mapping of str to Tensor
        The weights by name; the average begins as a copy of them.
    most : float
        Largest share that the average keeps of itself in a step; 0 for no average.
    warm_up : callable
        Step -> that share at the beginning: `power_decay` or `ratio_decay`.
    """

    def __init__(self, weights: Mapping[str, Tensor], most: float, warm_up: Callable[[int], float]):
        self.most = most
        self.warm_up = warm_up
        self.tensors = copy_tensors(weights)

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Move the average towards the weights; whole numbers are copied."""
        share = 1 - min(self.warm_up(step), self.most)
        averaged, current = [], []
        for name, weight in weights.items():
            if weight.is_floating_point():
                averaged.append(self.tensors[name])
                current.append(weight.detach())
            else:
                self.tensors[name].copy_(weight)
        torch._foreach_lerp_(averaged, current, share)  # pyright: ignore[reportPrivateImportUsage]

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the tensors of a saved average."""
        for name, own in self.tensors.items():
            own.copy_(tensors[name])


def copy_tensors(tensors: Mapping[str, Tensor]) -> Tensors:
    """Return copies without gradients."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@dataclass
class Engine:
    """Updates weights, and saves and resumes their state.

    Attributes
    ----------
    weights : mapping of str to Tensor
        The weights that are averaged, by name; they are updated in place.
    parameters : list of Parameter
        Those of them that have gradients.
    optimiser : Optimizer
        Of the parameters.
    schedule : Schedule
        Sets the optimiser's learning rate.
    average : WeightAverage
        Of `weights`.
    clip : float
        Largest norm of the gradient of all parameters; a longer one is scaled down.
    group : Workers
        The processes that share a batch.
    """

    weights: Mapping[str, Tensor]
    parameters: list[nn.Parameter]
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    average: WeightAverage
    clip: float
    group: Workers = Workers()

    def take_step(self, loss: Tensor, step: int) -> float:
        """Update the weights and their average by the gradient of a loss.

        Parameters
        ----------
        loss : scalar Tensor
            Of this process's part of the batch.
        step : int
            Number of the step, from 0.

        Returns
        -------
        float
            The loss, as a mean over the processes.

        Raises
        ------
        FloatingPointError
            If the loss is not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate(step)
        self.optimiser.zero_grad()
        loss.backward()
        self.group.average_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimiser.step()
        self.average.update(self.weights, step)
        mean = self.group.mean(loss.detach()).item()
        if not math.isfinite(mean):
            raise FloatingPointError(
                f"loss became {mean} at step {step + 1}; "
                "lower the learning rate (training.learning_rate, --learning-rate)"
            )
        return mean

    def save(
        self, folder: Path, fingerprint: dict, parts: Mapping[str, Tensors], progress: dict
    ) -> None:
        """Write the state of a run to a folder, all or nothing.

        Parameters
        ----------
        folder : Path
            Holds `state.safetensors` and `progress.json` afterwards.
        fingerprint : dict
            What must be equal for the run to be resumed: settings and a hash of the data.
        parts : mapping of str to dict of Tensor
            The trainer's own tensors by part; "average" and "optimiser" are added here.
        progress : dict
            The trainer's own numbers, as JSON can hold them.

        Raises
        ------
        FileExistsError
            If the folder holds foreign files.
        """
        remembered, numbers = optimiser.state_of(self.optimiser)
        every = {**parts, "average": self.average.tensors, "optimiser": remembered}
        tensors = {}
        for part, own in every.items():
            for name, tensor in own.items():
                tensors[f"{part}.{name}"] = tensor.contiguous()
        written = progress | {"numbers": numbers, "fingerprint": _through_json(fingerprint)}
        with atomic_write(folder, True, (STATE, PROGRESS)) as temporary:
            temporary.mkdir()
            save_file(tensors, temporary / STATE)
            (temporary / PROGRESS).write_text(json.dumps(written))

    def resume(
        self, folder: Path, fingerprint: dict, defaults: dict
    ) -> tuple[dict[str, Tensors], dict]:
        """Read what `save` wrote, and take over the average and the optimiser's state.

        Parameters
        ----------
        folder : Path
        fingerprint : dict
            What must be equal, as `save` was given it.
        defaults : dict
            What stands for settings of the fingerprint that an older version did not know.

        Returns
        -------
        parts : dict of dict of Tensor
            The trainer's tensors by part, to be put where they belong.
        progress : dict
            The trainer's numbers.

        Raises
        ------
        ValueError
            If the run had other settings or data.
        """
        progress = json.loads((folder / PROGRESS).read_text())
        stored = _filled(progress.get("fingerprint"), _through_json(defaults))
        if other := _differences(stored, _through_json(fingerprint)):
            raise ValueError(
                f"{folder} belongs to a run with other settings or data (it differs in "
                f"{', '.join(other)}); delete it to start anew"
            )
        parts: dict[str, Tensors] = {}
        for name, tensor in load_file(folder / STATE).items():
            part, _, inner = name.partition(".")
            parts.setdefault(part, {})[inner] = tensor
        self.average.load(parts.pop("average"))
        remembered = parts.pop("optimiser", {})
        optimiser.restore(self.optimiser, remembered | progress["numbers"])
        return parts, progress


def _filled(settings: Any, defaults: dict) -> Any:
    """Nested settings with those of `defaults` where they have none."""
    if not isinstance(settings, dict):
        return settings
    filled = defaults | settings
    for key, default in defaults.items():
        if isinstance(default, dict):
            filled[key] = _filled(filled[key], default)
    return filled


def _differences(one: Any, other: Any, name: str = "") -> list[str]:
    """Names of what differs between two nested dicts, in the form run.training.batch."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else [name.removeprefix(".") or "everything"]
    found = []
    for key in sorted({*one, *other}):
        found += _differences(one.get(key), other.get(key), f"{name}.{key}")
    return found


def _through_json(value: dict) -> dict:
    """The same as JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(value))


def partial_folder(out: str | Path) -> Path:
    """Return the folder of the unfinished run whose result is to be written to `out`."""
    out = Path(out)
    return out.with_name(out.name + ".partial")


def is_resumable(folder: Path) -> bool:
    """Tell whether a folder holds the state of an interrupted run."""
    return (folder / PROGRESS).exists()


def discard_run(folder: Path) -> None:
    """Remove the state of a finished run, and nothing else."""
    for name in (STATE, PROGRESS):
        (folder / name).unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()


@contextmanager
def show_progress(
    name: str, total: int, completed: int, quiet: bool
) -> Iterator[Callable[[int, str], None]]:
    """Show a progress bar.

    Parameters
    ----------
    name : str
        What is done, left of the bar.
    total, completed : int
        Steps of the run, and those that are done.
    quiet : bool
        Show nothing.

    Yields
    ------
    callable
        Takes the number of completed steps and a text for the right of the bar.
    """
    bar = Progress(
        TextColumn(name),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        disable=quiet,
    )
    with bar:
        task = bar.add_task("", total=total, completed=completed)

        def show(step: int, text: str) -> None:
            bar.update(task, completed=step, description=text)

        yield show
