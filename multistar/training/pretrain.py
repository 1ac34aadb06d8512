"""The training loop: one step function, checkpoints from which a run goes on exactly as if unbroken."""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
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
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor

from encoders import Measurement, concatenate_measurements
from multistar.io.files import atomic_write, refuse_existing
from multistar.model.checkpoint import OWNED, Model, save_model
from multistar.model.domain import extremes
from multistar.model.mismatch import Mismatch
from multistar.model.vocabulary import Vocabulary
from multistar.training import optimiser
from multistar.training.data import AT_ONCE, Dataset, load_dataset, stars_folder
from multistar.training.masks import Splitter, draw_mismatch_sizes
from multistar.training.objective import alignment_loss, negative_log_likelihood
from multistar.training.run import RunConfig, read_hiding
from multistar.training.workers import Workers, workers

PARTIAL = STATE, PROGRESS = "state.safetensors", "progress.json"  # an interrupted run
CLIP = 1.0  # gradient norm
DOMAIN_STARS = 8000  # training stars whose embeddings define the domain
RANGE_STARS = 200_000  # those whose numbers do
FINGERPRINT_STARS = 100_000  # by which a run knows its data again
BATCH_EMBED = 64  # stars that share one random context


class Trainer:
    """Holds the data and the state of one run; the random choices of a step depend on (seed, step, rank) alone."""

    def __init__(self, config: RunConfig, data: Dataset, group: Workers | None = None):
        torch.manual_seed(config.training.seed)
        self.config, self.step, self.losses, self.group = config, 0, [], group or Workers()
        if config.training.batch % self.group.size:
            raise ValueError(
                f"training.batch={config.training.batch} must be a multiple of the {self.group.size} processes"
            )
        self.start = data.model.hash
        self.model, self.train, self.validation, self.sky = (
            data.model,
            data.train,
            data.validation,
            data.sky,
        )
        self.mismatch = Mismatch(self.model.standardiser)
        network = self.model.network.to(self.group.device)
        self.optimiser = optimiser.build(network, config.training)
        self.average = ModelEmaV3(network, decay=config.training.ema, use_warmup=True)
        if config.training.compile:
            for block in network.fusion.blocks:
                block.compile(dynamic=True)
        self.kinds = _by_extras(self.train, self.model.vocabulary)
        self._epoch, self._order = (
            -1,
            np.empty(0, int),
        )  # a permutation of 10^5 stars takes as long as some layers
        self.generator = torch.Generator()
        self.splitter = Splitter(
            self.model.vocabulary,
            self.model.standardiser.scale,
            config.training.queries,
            config.training.joint_share,
            self.generator,
            config.masking,
            read_hiding(config, self.model.vocabulary),
        )

    def _batch(self) -> tuple[Measurement, Tensor]:
        """This process's stars of this step, and the errors (B, n_slots) that the encoder is told.

        Each epoch is a fresh permutation without incomplete batches; stars with a light curve stand in batches of
        their own, as its tokens cost time for all stars of a batch. Some mock stars are made as unlike themselves as
        the sky is, and a few give way to stars of the sky.
        """
        size = self.config.training.batch
        epoch, place = divmod(self.step, sum(len(rows) // size for rows in self.kinds))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = _batches_of_one_kind(self.kinds, size, [self.config.training.seed, epoch])
        rows = self._order[place][self.group.rank :: self.group.size]
        n_sky = round(self.config.training.sky_share * len(rows)) if len(self.sky.value) else 0
        mock = self._like_the_sky(self.train.rows(torch.from_numpy(rows[n_sky:])))
        if not n_sky:
            return mock, mock.sigma
        sky = self.sky.rows(torch.randint(len(self.sky.value), (n_sky,), generator=self.generator))
        told = self._told_mismatch(sky)
        mixed = torch.randperm(len(rows), generator=self.generator)
        stars = concatenate_measurements([mock, sky]).rows(mixed)
        return stars, torch.cat([mock.sigma, told.sigma])[mixed]

    def _like_the_sky(self, mock: Measurement) -> Measurement:
        if not self.model.config.mismatch:
            return mock
        size = draw_mismatch_sizes(len(mock.value), self.config.masking, self.generator)
        return self.mismatch.draw(mock, size, self.generator)

    def _told_mismatch(self, sky: Measurement) -> Measurement:
        """As `predict` tells it of real stars."""
        return (
            self.mismatch.state(sky, torch.ones(len(sky.value), 1))
            if self.model.config.mismatch
            else sky
        )

    def advance(self) -> float:
        """One optimiser step; returns the loss."""
        settings, network, device = self.config.training, self.model.network, self.group.device
        seed = settings.seed * 1_000_003 + self.step
        self.generator.manual_seed(seed)
        from_embedding = bool(torch.rand((), generator=self.generator) < settings.embedding_share)
        if self.group.rank:  # other stars, other contexts
            self.generator.manual_seed(seed + (self.group.rank << 48))
        stars, told = self._batch()
        split = self.splitter(stars, told)
        for group in self.optimiser.param_groups:
            group["lr"] = optimiser.learning_rate(self.step, settings)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = negative_log_likelihood(
                network, stars.to(device), split.to(device), from_embedding
            )
            if self.model.config.alignment:
                told = Measurement(stars.value, told, stars.observed)
                loss = loss + alignment_loss(network, told.to(device))
        self.optimiser.zero_grad()
        loss.backward()
        self.group.average_gradients(network.parameters())
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        self.optimiser.step()
        self.average.update(network, self.step)
        self.step += 1
        self.losses.append(self.group.mean(loss.detach()).item())
        if not np.isfinite(self.losses[-1]):
            raise FloatingPointError(
                f"loss became {self.losses[-1]} at step {self.step}; lower training.learning_rate"
            )
        return self.losses[-1]

    @torch.no_grad()
    def finish(self) -> dict:
        """Take the averaged weights, fit domain and recalibrator; returns provenance with the last loss."""
        self.model.network.load_state_dict(self.average.module.state_dict())
        network = self.model.network.cpu().eval()
        self.generator.manual_seed(self.config.training.seed)
        some = torch.randperm(len(self.train.value), generator=self.generator)[:DOMAIN_STARS]
        train, validation = (
            self._like_the_sky(m) for m in (self.train.rows(some), self.validation)
        )
        shown = [self._some_contexts(m) for m in (train, validation)]
        embeddings = [
            torch.cat([network.encode(part).embedding for part in _batches(m)]) for m in shown
        ]
        self.model.domain.fit(embeddings[0], *self._range(), (embeddings[1], shown[1]))
        labels = torch.tensor(list(self.model.vocabulary.label_slots))
        pit = []
        for context, stars in zip(_batches(shown[1]), _batches(validation), strict=True):
            mixture = network.decode(network.encode(context), labels)
            pit.append(
                mixture.cdf(stars.value[:, labels], torch.nan_to_num(stars.sigma[:, labels]))
            )
        self.model.recalibrator.fit(torch.cat(pit), self.validation.observed[:, labels])
        return {
            "run": dataclasses.asdict(self.config)
            | {
                "out": "",
                "start": "",
                "add_encoder": "",
                "data": {"held_out": self.config.data.held_out},
            },  # no paths of a machine
            "training_stars": len(self.train.value),
            "sky_stars": len(self.sky.value),
            "continues": self.start,
            "steps": self.step,
            "final_loss": float(np.mean(self.losses[-200:])),
        }

    def _range(self) -> tuple[Tensor, Tensor]:
        """(n_slots,) lowest and highest numbers that training met."""
        every = -(-len(self.train.value) // RANGE_STARS)
        low, high = (torch.full((self.train.value.shape[1],), x) for x in (torch.inf, -torch.inf))
        for part in _batches(self.train.rows(slice(None, None, every)), DOMAIN_STARS):
            lowest, highest = extremes(self._like_the_sky(part))
            low, high = torch.minimum(low, lowest), torch.maximum(high, highest)
        return low, high

    def _some_contexts(self, stars: Measurement) -> Measurement:
        """What users' stars may look like: every other batch complete, every other one with parts hidden."""
        parts = []
        for number, part in enumerate(_batches(stars)):
            size = len(part.value)
            show = self.splitter.draw_shown(size) if number % 2 else torch.ones_like(part.observed)
            show[:, list(self.model.vocabulary.label_slots)] = False
            parts.append(Measurement(part.value, part.sigma, part.observed & show))
        return concatenate_measurements(parts)

    def save(self, folder: Path) -> None:
        remembered, numbers = optimiser.state_of(self.optimiser)
        tensors = {f"model.{k}": v for k, v in self.model.state().items()}
        tensors |= {
            f"average.{k}": v.contiguous() for k, v in self.average.module.state_dict().items()
        }
        tensors |= {f"optimiser.{k}": v for k, v in remembered.items()}
        progress = {
            "step": self.step,
            "losses": self.losses,
            "numbers": numbers,
            "config": self._fingerprint(),
        }
        with atomic_write(folder, True, PARTIAL) as temporary:
            temporary.mkdir()
            save_file(tensors, temporary / STATE)
            (temporary / PROGRESS).write_text(json.dumps(progress))

    def resume(self, folder: Path) -> None:
        progress = json.loads((folder / PROGRESS).read_text())
        if progress["config"] != self._fingerprint():
            raise ValueError(
                f"{folder} belongs to a run with other settings or data; delete it to start anew"
            )
        tensors = load_file(folder / STATE)
        self.model.load_state(_part(tensors, "model."))
        self.average.module.load_state_dict(_part(tensors, "average."))
        optimiser.restore(self.optimiser, _part(tensors, "optimiser.") | progress["numbers"])
        self.step, self.losses = progress["step"], progress["losses"]

    def _fingerprint(self) -> dict:
        """What must be equal for a run to be resumed, as JSON would give it back."""
        every = -(-len(self.train.value) // FINGERPRINT_STARS)
        content = hashlib.sha256(self.train.value[::every].numpy().tobytes()).hexdigest()
        described = {"run": dataclasses.asdict(self.config), "data": content}
        return json.loads(json.dumps(described))


def _by_extras(stars: Measurement, vocabulary: Vocabulary) -> list[np.ndarray]:
    """Rows of the stars by which modalities they have beside scalars and XP, whose tokens cost time."""
    costly = [own.name for own in vocabulary.modalities if not own.in_sequences]
    code = np.zeros(len(stars.value), np.int64)
    for number, name in enumerate(costly):
        here = vocabulary.places[name]
        has = torch.cat([m.observed[:, here].any(1) for m in _batches(stars, AT_ONCE)])
        code += has.numpy().astype(np.int64) << number
    return [np.flatnonzero(code == kind) for kind in range(1 << len(costly))]


def _batches_of_one_kind(kinds: list[np.ndarray], size: int, seed: list[int]) -> np.ndarray:
    """(batches, size) rows, shuffled; what does not fill a batch waits for another epoch."""
    rng = np.random.default_rng(seed)
    full = [rng.permutation(rows)[: len(rows) // size * size].reshape(-1, size) for rows in kinds]
    return rng.permutation(np.concatenate(full))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }


def _batches(m: Measurement, size: int = BATCH_EMBED) -> Iterator[Measurement]:
    for start in range(0, len(m.value), size):
        yield m.rows(slice(start, start + size))


def pretrain(config: RunConfig, overwrite: bool = False, quiet: bool = False) -> Model:
    """Train from scratch, or go on with an interrupted run of the same settings; write the model to config.out.

    Under torchrun the processes share each batch, and the first one writes.
    """
    refuse_existing(config.out, overwrite, OWNED)
    partial = Path(config.out).with_name(Path(config.out).name + ".partial")
    with workers() as group:
        trainer = Trainer(config, load_dataset(config, group), group)
        if (partial / PROGRESS).exists():
            trainer.resume(partial)
        _run(trainer, partial, quiet or group.rank > 0)
    trainer.model.provenance, trainer.model.card = (
        trainer.finish(),
        "",
    )  # a card of the weights it began with is no more
    if group.rank == 0:
        save_model(trainer.model, config.out, overwrite)
        _discard(partial)
        shutil.rmtree(stars_folder(config))
    return trainer.model


def _discard(folder: Path) -> None:
    for name in PARTIAL:
        (folder / name).unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()


def _run(trainer: Trainer, partial: Path, quiet: bool) -> None:
    settings = trainer.config.training
    bar = Progress(
        TextColumn("pretrain"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        disable=quiet,
    )
    trainer.model.network.train()
    begun, first = time.monotonic(), trainer.step
    with bar, _journal(trainer.config) as journal:
        task = bar.add_task("", total=settings.steps, completed=trainer.step)
        while trainer.step < settings.steps:
            trainer.advance()
            if trainer.step % 10 == 0 or trainer.step == settings.steps:
                speed = (trainer.step - first) * settings.batch / (time.monotonic() - begun)
                recent = float(np.mean(trainer.losses[-100:]))
                bar.update(
                    task,
                    completed=trainer.step,
                    description=f"loss {recent:.3f}, {speed:.0f} stars/s",
                )
                journal({"loss": recent, "stars per second": speed}, trainer.step)
            due = trainer.step % settings.checkpoint_every == 0 and trainer.step < settings.steps
            if due and trainer.group.rank == 0:
                trainer.save(partial)


@contextmanager
def _journal(config: RunConfig) -> Iterator[Callable[[dict[str, float], int], None]]:
    """Something that takes numbers and a step: TensorBoard's event files if config.training.tensorboard."""
    if not config.training.tensorboard:
        yield lambda numbers, step: None
        return
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise ImportError("training.tensorboard = true needs `pip install tensorboard`") from error
    with SummaryWriter(config.out + ".tensorboard") as writer:

        def write(numbers: dict[str, float], step: int) -> None:
            for name, number in numbers.items():
                writer.add_scalar(name, number, step)

        yield write
