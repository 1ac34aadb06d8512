"""Fine-tuning: which weights move, and the loop with early stopping. Steps are training/engine.py's."""

import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoders import Measurement
from multistar.finetune.adapter import Adapter, difference
from multistar.finetune.calibrate import calibrate
from multistar.finetune.dropout import dropped
from multistar.finetune.examples import SPLITS, Examples
from multistar.finetune.lora import LowRank, add_low_rank, merge
from multistar.finetune.losses import LOSSES, loss_of
from multistar.finetune.request import READS_NEW
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.training.engine import (
    Engine,
    Schedule,
    WeightAverage,
    copy_tensors,
    ratio_decay,
    show_progress,
)

LEARNING_RATE = {"probe": 1e-2, "head": 3e-4, "lora": 1e-3, "full": 5e-4}
FEWEST_STEPS, STEPS_PER_ROOT = (
    300,
    15,
)  # steps = 15 sqrt(stars): 470 for 1,000 stars, 15,000 for a million
LOW_RANK_UNDER = (
    "encoders.scalars.mix",
    "fusion.blocks",
    "head.blocks",
    "head.to_mixture",
)  # names of layers begin so
LOSS_SCATTER = 0.5  # nats, of the difference that two sets of weights make for one star and label
BATCH_EVALUATE = 256
SHOWN = 0.5  # least share of its tokens that a star keeps when some are hidden
MOST_REMEMBERED = (
    2**28
)  # numbers in memories kept for a frozen encoder, 1 GB; more are made anew each time
CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True)
class FinetuneConfig:
    """mode is in the request. steps and learning_rate 0: chosen by the number of stars, by mode."""

    held_out: float = 0.15  # share of the stars that decides when to stop, and calibrates
    split: str = "star"
    steps: int = 0
    batch: int = 64
    learning_rate: float = 0.0
    rank: int = 8  # of low-rank changes
    loss: str = "likelihood"  # or "mahalanobis", see losses.py
    dropout: float = (
        0.0  # share of the decoder's hidden units that are silent in a step, see dropout.py
    )
    hide: float = 0.5  # share of the stars of a batch that are shown in part
    average: float = 0.98  # most that the average of the weights keeps of itself per step; the average is what is saved
    warmup: int = 20  # steps
    final_share: float = 0.02  # of the learning rate, at the end of the cosine
    weight_decay: float = 0.01  # of matrices; not of tokens, norms and biases
    clip: float = 1.0  # gradient norm
    evaluations: int = 30  # per run
    patience: int = 10  # evaluations without a better validation loss, the last clearly worse
    seed: int = 0

    def __post_init__(self):
        for name in ("held_out", "average"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must lie between 0 and 1")
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, got {self.split!r}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {LOSSES}, got {self.loss!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be at least 0 (none) and below 1")
        for name in ("hide", "final_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must lie between 0 and 1")
        if not self.clip > 0:
            raise ValueError(f"clip={self.clip} must be above 0")
        lowest = {"batch": 1, "rank": 1, "evaluations": 1, "patience": 1}
        lowest |= dict.fromkeys(("steps", "learning_rate", "warmup", "weight_decay"), 0)
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} must be at least {least}")


class Trainer:
    """The state of one run; the random choices of a step depend on (seed, step) alone."""

    def __init__(
        self,
        base: Model,
        adapter: Adapter,
        config: FinetuneConfig,
        train: Examples,
        validation: Examples,
    ):
        torch.manual_seed(config.seed)
        self.base, self.adapter, self.config = base, adapter, config
        self.network, self.mode, self.slots = (
            adapter.model.network,
            adapter.request.mode,
            adapter.slots,
        )
        self.loss = loss_of(config.loss, train)
        self.batch = min(config.batch, max(8, len(train) // 4))
        self.steps = config.steps or max(
            FEWEST_STEPS, round(STEPS_PER_ROOT * math.sqrt(len(train)))
        )
        self.every = max(1, self.steps // config.evaluations)
        self.low_rank: dict[str, LowRank] = {}
        self.trained = self._trained()
        self.train, self.validation = (self._remembered(part) for part in (train, validation))
        self.engine = self._build_engine()
        self.step, self.since, self.best_loss, self.least = 0, 0, math.inf, math.inf
        self.noise = LOSS_SCATTER * len(adapter.request.names) / math.sqrt(len(validation))
        self.losses: list[
            list[float]
        ] = []  # step, training and validation loss at every evaluation
        self.recent: list[float] = []
        self.best = copy_tensors(self.trained)
        self.generator = torch.Generator()

    def _build_engine(self) -> Engine:
        config, tables = self.config, self._tables()
        peak = config.learning_rate or LEARNING_RATE[self.mode]
        matrices = [p for n, p in self.trained.items() if p.ndim > 1 and n not in tables]
        others = [p for n, p in self.trained.items() if p.ndim < 2 or n in tables]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW([g for g in groups if g["params"]], lr=peak, fused=True)
        return Engine(
            weights=self.trained,
            parameters=list(self.trained.values()),
            optimiser=optimiser,
            schedule=Schedule(peak, self.steps, config.warmup, config.final_share),
            average=WeightAverage(self.trained, config.average, ratio_decay),
            clip=config.clip,
        )

    def _tables(self) -> set[str]:
        """Parameters with one row per token, which are no matrices and do not decay."""
        names = (
            "head.identity.weight",
            "encoders.scalars.embed.weight",
            "encoders.scalars.embed.bias",
        )
        return {f"network.{name}" for name in names} | {"readout.token"}

    def _trained(self) -> dict[str, nn.Parameter]:
        """Name -> parameter that moves; all others are frozen."""
        network, readout = self.network, self.adapter.readout
        network.requires_grad_(False)
        found: dict[str, nn.Parameter] = {}
        if self.mode == "full":
            found |= {f"network.{n}": p for n, p in network.named_parameters()}
        elif self.mode == "lora":
            rank, seed = self.config.rank, self.config.seed
            self.low_rank = add_low_rank(network, LOW_RANK_UNDER, rank, seed)
            changes = self.low_rank.items()
            found |= {
                f"low_rank.{layer}.{n}": p
                for layer, change in changes
                for n, p in change.named_parameters()
            }
        elif self.mode == "head":
            inside = ("blocks", "norm", "to_mixture")
            found |= {
                f"network.head.{n}": p
                for n, p in network.head.named_parameters()
                if n.startswith(inside)
            }
        if self.mode in ("head", "lora"):
            identity = network.head.get_submodule("identity").get_parameter("weight")
            found["network.head.identity.weight"] = self._only_rows(identity, self.slots.tolist())
        if (
            self.mode == "lora"
        ):  # all rows: the zero points and errors of known inputs are the table's own, too
            embed = network.encoders["scalars"].get_submodule("embed")
            found |= {f"network.encoders.scalars.embed.{n}": p for n, p in embed.named_parameters()}
        found |= {f"readout.{n}": p for n, p in readout.named_parameters()}
        for parameter in found.values():
            parameter.requires_grad_(True)
        return {n: p for n, p in found.items() if p.numel()}

    @staticmethod
    def _only_rows(table: nn.Parameter, rows: list[int]) -> nn.Parameter:
        """The table, of which gradients reach these rows alone."""
        mask = torch.zeros(len(table), *(1,) * (table.ndim - 1))
        mask[rows] = 1
        table.requires_grad_(True)
        table.register_hook(lambda gradient: gradient * mask)
        return table

    def _remembered(self, part: Examples) -> "Remembered":
        """With the encoder frozen, its memories are computed once."""
        memory = None
        if self.mode not in READS_NEW:
            tokens = int(part.stars.observed.any(0).sum()) + 1
            if len(part) * tokens * self.base.config.width < MOST_REMEMBERED:
                memory = remember(self.network, part.stars)
        return Remembered(part, memory)

    def advance(self) -> None:
        """One optimiser step, and an evaluation where one is due."""
        n = len(self.train.examples)
        epoch, place = divmod(self.step, max(1, n // self.batch))
        order = np.random.default_rng([self.config.seed, epoch]).permutation(n)
        rows = torch.from_numpy(order[place * self.batch : (place + 1) * self.batch])
        self.generator.manual_seed(self.config.seed * 1_000_003 + self.step)
        part = self.train.examples.rows(rows)
        memory = self.train.memory and hide_tokens(
            self.train.memory.rows(rows), self.config.hide, self.generator
        )
        if memory is None:
            memory = self.network.encode(hide_slots(part.stars, self.config.hide, self.generator))
        loss = self._loss(part, memory).sum()
        self.recent.append(self.engine.take_step(loss, self.step))
        self.step += 1
        if self.step % self.every == 0 or self.step == self.steps:
            self._evaluate()

    def _loss(self, part: Examples, memory: Memory) -> Tensor:
        """(terms,) means over the stars that have the label."""
        with dropped(self.adapter, self.generator):
            mixture, logs = self.adapter.readout(self.network, memory, self.slots)
        return self.loss.means(mixture, logs, part)

    @torch.no_grad()
    def _evaluate(self) -> None:
        """Validation loss of the averaged weights, which are kept unless they are worse than the best were.

        Worse by more than the held-out stars can tell, that is: of weights alike in loss the later ones, of lower
        learning rate, are the better ones.
        """
        current, average = copy_tensors(self.trained), self.engine.average.tensors
        self._put(average)
        total, number = 0.0, 0
        for part, memory in self.batches(self.validation):
            mixture, logs = self.adapter.readout(self.network, memory, self.slots)
            losses, known = self.loss.sums(mixture, logs, part)
            total, number = total + losses, number + known
        loss = float((total / torch.as_tensor(number).clamp(min=1)).sum())
        self._put(current)
        self.losses.append([self.step, float(np.mean(self.recent)), loss])
        self.recent = []
        self.least = min(self.least, loss)
        self.since = 0 if loss <= self.least else self.since + 1
        if loss <= self.least + self.noise:
            self.best_loss, self.since = loss, min(self.since, self.config.patience - 1)
            self.best = copy_tensors(average)

    def batches(self, part: "Remembered") -> Iterator[tuple[Examples, Memory]]:
        """Give examples and their memories, which are kept where the network stands still."""
        for start in range(0, len(part.examples), BATCH_EVALUATE):
            rows = slice(start, start + BATCH_EVALUATE)
            some = part.examples.rows(rows)
            yield some, part.memory.rows(rows) if part.memory else self.network.encode(some.stars)

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(tensors[name])

    @property
    def done(self) -> bool:
        """Whether the steps are over, or the held-out stars have not gained for long."""
        return self.step >= self.steps or self.since >= self.config.patience

    @torch.no_grad()
    def finish(self) -> Adapter:
        """Take the best averaged weights, and what the held-out stars say of them."""
        self._put(self.best)
        merge(self.network, self.low_rank)
        adapter = self.adapter
        self.network.requires_grad_(False)
        adapter.readout.requires_grad_(False)
        if self.mode in READS_NEW:
            self.train, self.validation = (
                Remembered(p.examples, None) for p in (self.train, self.validation)
            )
        calibrate(
            adapter,
            self.train.examples,
            self.validation.examples,
            self.batches(self.train),
            self.batches(self.validation),
        )
        changes = difference(adapter, self.base, self.low_rank)
        adapter = Adapter.fresh(
            self.base, adapter.request, adapter.dropout
        )  # as it will be when it is read from disk
        adapter.apply(changes)
        adapter.provenance = {
            "settings": dataclasses.asdict(self.config),
            "training_stars": len(self.train.examples),
            "held_out_stars": len(self.validation.examples),
            "steps": self.step,
            "validation_loss": self.best_loss,
            "losses": self.losses,
        }
        return adapter

    def save(self, folder: Path) -> None:
        """Write what an interrupted run needs to go on, atomically."""
        progress = {
            "step": self.step,
            "since": self.since,
            "losses": self.losses,
            "recent": self.recent,
        }
        for name in ("best_loss", "least"):
            loss = getattr(self, name)
            progress[name] = None if math.isinf(loss) else loss
        parts = {"current": copy_tensors(self.trained), "best": self.best}
        self.engine.save(folder, self._fingerprint(), parts, progress)

    def resume(self, folder: Path) -> None:
        """Go on where `save` was called. ValueError if that run had other settings, stars or base."""
        parts, progress = self.engine.resume(folder, self._fingerprint(), {})
        self._put(parts["current"])
        self.best = parts["best"]
        self.step, self.since = progress["step"], progress["since"]
        self.losses, self.recent = progress["losses"], progress["recent"]
        self.best_loss, self.least = (
            math.inf if progress[n] is None else progress[n] for n in ("best_loss", "least")
        )

    def _fingerprint(self) -> dict:
        """What must be equal for a run to be resumed."""
        content = hashlib.sha256()
        for part in (self.train.examples, self.validation.examples):
            for tensor in (
                part.stars.value,
                part.stars.observed,
                part.target.value,
                part.target.sigma,
                part.codes,
            ):
                content.update(tensor.numpy().tobytes())
        described = {
            "config": dataclasses.asdict(self.config),
            "request": self.adapter.request.as_json(),
        }
        described |= {"base": self.base.hash, "data": content.hexdigest()}
        return described


@dataclass(frozen=True)
class Remembered:
    """Examples and, for a frozen encoder, their memories."""

    examples: Examples
    memory: Memory | None


@torch.no_grad()
def remember(network, stars: Measurement) -> Memory:
    """Memories of all stars (n, T, D); batches that lack tokens are padded with unobserved ones."""
    starts = range(0, len(stars.value), BATCH_EVALUATE)
    parts = [network.encode(stars.rows(slice(start, start + BATCH_EVALUATE))) for start in starts]
    longest = max(p.features.shape[1] for p in parts)
    features = [F.pad(p.features, (0, 0, 0, longest - p.features.shape[1])) for p in parts]
    observed = [F.pad(p.observed, (0, longest - p.observed.shape[1])) for p in parts]
    return Memory(torch.cat(features), torch.cat(observed), torch.cat([p.embedding for p in parts]))


def hide_slots(m: Measurement, share: float, generator: torch.Generator) -> Measurement:
    """Of a share of the stars, hide some of what was measured: the labels must follow from any part."""
    return Measurement(m.value, m.sigma, m.observed & _kept(m.observed, share, generator))


def hide_tokens(memory: Memory, share: float, generator: torch.Generator) -> Memory:
    """The same for memories, whose first token, the summary, always stays."""
    kept = _kept(memory.observed, share, generator)
    kept[:, 0] = True
    return Memory(memory.features, memory.observed & kept, memory.embedding)


def _kept(like: Tensor, share: float, generator: torch.Generator) -> Tensor:
    n = len(like)
    keep = SHOWN + (1 - SHOWN) * torch.rand(n, 1, generator=generator)
    whole = torch.rand(n, 1, generator=generator) >= share
    return (torch.rand(like.shape, generator=generator) < keep) | whole


def run(
    trainer: Trainer,
    partial: Path | None,
    quiet: bool,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Adapter:
    """Train to the end, with a checkpoint in `partial` now and then."""
    saved = time.monotonic()
    with show_progress("finetune", trainer.steps, trainer.step, quiet) as show:
        while not trainer.done:
            trainer.advance()
            text = f"validation loss {trainer.losses[-1][2]:.3f}" if trainer.losses else ""
            show(trainer.step, text)
            if partial and not trainer.done and time.monotonic() - saved >= checkpoint_seconds:
                trainer.save(partial)
                saved = time.monotonic()
    return trainer.finish()
