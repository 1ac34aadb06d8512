"""Pretraining: one step on a random batch, and what is fitted when all steps are done."""

import dataclasses
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from encoders import Measurement, concatenate_measurements
from multistar.io.files import refuse_existing
from multistar.model.checkpoint import OWNED, Model, load_model, save_model
from multistar.model.domain import extremes
from multistar.model.mismatch import Mismatch
from multistar.model.network import Network
from multistar.model.vocabulary import Vocabulary
from multistar.training import engine, optimiser
from multistar.training.add_encoder import carry_over
from multistar.training.data import AT_ONCE, Dataset, load_dataset, stars_folder
from multistar.training.masks import Splitter, draw_mismatch_sizes
from multistar.training.objective import alignment_loss, negative_log_likelihood
from multistar.training.run import DataConfig, RunConfig, read_hiding
from multistar.training.workers import Workers, workers

DOMAIN_STARS = 8000  # training stars whose embeddings define the domain
RANGE_STARS = 200_000  # those whose numbers do
FINGERPRINT_STARS = 100_000  # by which a run knows its data again
BATCH_EMBED = 64  # stars that share one random context


class Trainer:
    """Holds the data and the state of one run.

    The random choices of a step depend on (seed, step, rank) alone.

    Parameters
    ----------
    config : RunConfig
        The whole run file.
    data : Dataset
        Stars and a fresh or given model, as `load_dataset` makes them.
    group : Workers, optional
        The processes that share each batch; without it, this process alone.

    Raises
    ------
    ValueError
        If the batch cannot be shared evenly.
    """

    def __init__(self, config: RunConfig, data: Dataset, group: Workers | None = None):
        torch.manual_seed(config.training.seed)
        self.config = config
        self.step = 0
        self.losses: list[float] = []
        self.group = group or Workers()
        if config.training.batch % self.group.size:
            raise ValueError(
                f"training.batch={config.training.batch} must be a multiple of the "
                f"{self.group.size} processes"
            )
        self.start = data.model.hash
        self.core = data.model.provenance  # of the weights that the run goes on from
        self.model = data.model
        self.train = data.train
        self.validation = data.validation
        self.sky = data.sky
        self.mismatch = Mismatch(self.model.standardiser)
        network = self.model.network.to(self.group.device)
        self.engine = self._build_engine(network)
        if config.training.compile:
            for block in network.fusion.blocks:
                block.compile(dynamic=True)
        self.kinds = _by_extras(self.train, self.model.vocabulary)
        # The batches of an epoch are kept: a permutation of 10^5 stars takes as long as some layers.
        self._epoch = -1
        self._order = np.empty(0, int)
        self.generator = torch.Generator()
        self.hiding = read_hiding(config, self.model.vocabulary)
        self.splitter = Splitter(
            self.model.vocabulary,
            self.model.standardiser.scale,
            config.training.queries,
            config.training.joint_share,
            self.generator,
            config.masking,
            self.hiding,
        )

    def _build_engine(self, network: Network) -> engine.Engine:
        settings = self.config.training
        weights = network.state_dict(keep_vars=True)
        return engine.Engine(
            weights,
            [parameter for parameter in network.parameters() if parameter.requires_grad],
            optimiser.build(network, settings),
            engine.Schedule(
                settings.learning_rate,
                settings.steps,
                settings.warmup,
                settings.final_share,
                settings.decay,
            ),
            engine.WeightAverage(weights, settings.ema, engine.power_decay),
            settings.clip,
            self.group,
        )

    def _batch(self) -> tuple[Measurement, Tensor]:
        """Draw this process's stars of this step, and the errors (B, n_slots) the encoder reads.

        Each epoch is a fresh permutation without incomplete batches. Stars with a light curve stand
        in batches of their own, as its tokens cost time for all stars of a batch. Some mock stars
        are made to differ from the mock as much as the sky does, and a few are replaced by stars of
        the sky.
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
        stated = self._state_mismatch(sky)
        mixed = torch.randperm(len(rows), generator=self.generator)
        stars = concatenate_measurements([mock, sky]).rows(mixed)
        return stars, torch.cat([mock.sigma, stated.sigma])[mixed]

    def _like_the_sky(self, mock: Measurement) -> Measurement:
        if not self.model.config.mismatch:
            return mock
        size = draw_mismatch_sizes(len(mock.value), self.config.masking, self.generator)
        return self.mismatch.draw(mock, size, self.generator)

    def _state_mismatch(self, sky: Measurement) -> Measurement:
        """Widen the errors of real stars by the mismatch, as `predict` does."""
        if not self.model.config.mismatch:
            return sky
        return self.mismatch.state(sky, torch.ones(len(sky.value), 1))

    def advance(self) -> float:
        """Take one optimiser step and return its loss; FloatingPointError if it is not finite."""
        settings, network, device = self.config.training, self.model.network, self.group.device
        seed = settings.seed * 1_000_003 + self.step
        self.generator.manual_seed(seed)
        from_embedding = bool(torch.rand((), generator=self.generator) < settings.embedding_share)
        if self.group.rank:  # other stars, other contexts
            self.generator.manual_seed(seed + (self.group.rank << 48))
        stars, errors = self._batch()
        split = self.splitter(stars, errors)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = negative_log_likelihood(
                network, stars.to(device), split.to(device), from_embedding, self.config.loss
            )
            if self.model.config.alignment:
                as_read = Measurement(stars.value, errors, stars.observed)
                loss = loss + alignment_loss(network, as_read.to(device), self.config.loss)
        mean = self.engine.take_step(loss, self.step)
        self.step += 1
        self.losses.append(mean)
        return mean

    @torch.no_grad()
    def finish(self) -> dict:
        """Take the averaged weights, and fit domain and recalibrator to them.

        Returns
        -------
        dict
            The provenance that is saved with the weights: settings, numbers of stars, last loss.
        """
        self.model.network.load_state_dict(self.engine.average.tensors)
        self.model.network.cpu().eval()
        if not self.config.training.only_added:  # else they are those of the model it began with
            self._fit_domain_and_recalibrator()
        core = {"core": self.core} if self.config.training.only_added else {}
        return core | {
            "run": self._describe_run(),
            "training_stars": len(self.train.value),
            "sky_stars": len(self.sky.value),
            "continues": self.start,
            # what the model says of stars that lack what was added is what these weights say
            "contains": [self.start] if self.config.training.only_added else [],
            "steps": self.step,
            "final_loss": float(np.mean(self.losses[-200:])),
        }

    def _fit_domain_and_recalibrator(self) -> None:
        network = self.model.network
        self.generator.manual_seed(self.config.training.seed)
        some = torch.randperm(len(self.train.value), generator=self.generator)[:DOMAIN_STARS]
        train, validation = (
            self._like_the_sky(m) for m in (self.train.rows(some), self.validation)
        )
        shown = [self._some_contexts(m) for m in (self._with_sky(train), validation)]
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

    def _with_sky(self, mock: Measurement) -> Measurement:
        """Replace the first rows by stars of the sky, in the share that each batch has of them."""
        n = round(self.config.training.sky_share * len(mock.value)) if len(self.sky.value) else 0
        if not n:
            return mock
        rows = torch.randint(len(self.sky.value), (n,), generator=self.generator)
        sky = self._state_mismatch(self.sky.rows(rows))
        both = concatenate_measurements([mock.rows(slice(n, None)), sky])
        mixed = torch.randperm(len(both.value), generator=self.generator)
        return both.rows(mixed)

    def _describe_run(self) -> dict:
        """All settings with their defaults, without the paths of this machine.

        A run that goes on from a model has that model's sizes, not those of its file.
        """
        hiding = {name: dataclasses.asdict(own) for name, own in self.hiding.items()}
        without_paths = {"out": "", "start": "", "add_encoder": ""}
        data = {"held_out": self.config.data.held_out}
        of_model = {"model": dataclasses.asdict(self.model.config), "data": data, "hiding": hiding}
        return dataclasses.asdict(self.config) | without_paths | of_model

    def _range(self) -> tuple[Tensor, Tensor]:
        """(n_slots,) lowest and highest numbers that training met."""
        every = -(-len(self.train.value) // RANGE_STARS)
        low, high = (torch.full((self.train.value.shape[1],), x) for x in (torch.inf, -torch.inf))
        for part in _batches(self.train.rows(slice(None, None, every)), DOMAIN_STARS):
            lowest, highest = extremes(self._like_the_sky(part))
            low, high = torch.minimum(low, lowest), torch.maximum(high, highest)
        return low, high

    def _some_contexts(self, stars: Measurement) -> Measurement:
        """Show what users' stars may look like: every other batch has parts hidden."""
        parts = []
        for number, part in enumerate(_batches(stars)):
            size = len(part.value)
            show = self.splitter.draw_shown(size) if number % 2 else torch.ones_like(part.observed)
            show[:, list(self.model.vocabulary.label_slots)] = False
            parts.append(Measurement(part.value, part.sigma, part.observed & show))
        return concatenate_measurements(parts)

    def save(self, folder: Path) -> None:
        """Write the state of the run to a folder, from which `resume` goes on."""
        progress = {"step": self.step, "losses": self.losses}
        self.engine.save(folder, self._fingerprint(), {"model": self.model.state()}, progress)

    def resume(self, folder: Path) -> None:
        """Go on where `save` was called; ValueError if that run had other settings or stars."""
        defaults = {"run": _settings(RunConfig("", DataConfig(self.config.data.train)))}
        parts, progress = self.engine.resume(folder, self._fingerprint(), defaults)
        self.model.load_state(parts["model"])
        self.step = progress["step"]
        self.losses = progress["losses"]

    def _fingerprint(self) -> dict:
        """What must be equal for a run to be resumed: all but its length."""
        every = -(-len(self.train.value) // FINGERPRINT_STARS)
        content = hashlib.sha256(self.train.value[::every].numpy().tobytes()).hexdigest()
        return {"run": _settings(self.config), "data": content}


def _settings(config: RunConfig) -> dict:
    """What a run file says but for the length of the run."""
    settings = dataclasses.asdict(config)
    del settings["training"]["steps"]
    return settings


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


def _batches(m: Measurement, size: int = BATCH_EMBED) -> Iterator[Measurement]:
    for start in range(0, len(m.value), size):
        yield m.rows(slice(start, start + size))


def pretrain(config: RunConfig, overwrite: bool = False, quiet: bool = False) -> Model:
    """Train a model and write it to `config.out`.

    An interrupted run of the same settings goes on where its last checkpoint was written; its
    `steps` may have changed, and the learning rate then follows the new length. Under
    torchrun the processes share each batch, and the first one writes.

    Parameters
    ----------
    config : RunConfig
        The run file, see `load_run`.
    overwrite : bool
        Replace a model that is there.
    quiet : bool
        Show no progress bar, and do not say what is read of the tables.

    Returns
    -------
    Model
        The model that was written.

    Raises
    ------
    FileExistsError
        If there is a model and `overwrite` is False, or the folder holds foreign files.
    FloatingPointError
        If the loss does not stay finite.
    """
    refuse_existing(config.out, overwrite, OWNED)
    partial = engine.partial_folder(config.out)
    with workers() as group:
        is_quiet = quiet or group.rank > 0
        say = _say_nothing if is_quiet else print
        trainer = Trainer(config, load_dataset(config, group, say), group)
        if engine.is_resumable(partial):
            trainer.resume(partial)
        _run(trainer, partial, is_quiet)
    trainer.model.provenance = trainer.finish()
    trainer.model.card = ""  # that of the weights it began with does not fit any more
    if group.rank == 0:
        save_model(trainer.model, config.out, overwrite)
        if config.training.only_added:
            carry_over(load_model(config.start), trainer.model)
            save_model(trainer.model, config.out, overwrite=True)
        engine.discard_run(partial)
        shutil.rmtree(stars_folder(config))
    return trainer.model


def _say_nothing(text: str) -> None:
    pass


def _run(trainer: Trainer, partial: Path, quiet: bool) -> None:
    settings = trainer.config.training
    trainer.model.network.train()
    begun, first = time.monotonic(), trainer.step
    progress = engine.show_progress("pretrain", settings.steps, trainer.step, quiet)
    with progress as show, _journal(trainer.config) as journal:
        while trainer.step < settings.steps:
            trainer.advance()
            if trainer.step % 10 == 0 or trainer.step == settings.steps:
                speed = (trainer.step - first) * settings.batch / (time.monotonic() - begun)
                recent = float(np.mean(trainer.losses[-100:]))
                show(trainer.step, f"loss {recent:.3f}, {speed:.0f} stars/s")
                journal({"loss": recent, "stars per second": speed}, trainer.step)
            due = trainer.step % settings.checkpoint_every == 0 and trainer.step < settings.steps
            if due and trainer.group.rank == 0:
                trainer.save(partial)


@contextmanager
def _journal(config: RunConfig) -> Iterator[Callable[[dict[str, float], int], None]]:
    """Give a function that writes numbers of a step to TensorBoard's files, if they are wanted."""
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
