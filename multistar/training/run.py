"""One TOML file describes a training run completely."""

import dataclasses
import tomllib
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from multistar.io.config import from_table
from multistar.io.files import require_path
from multistar.modalities import MODALITIES
from multistar.modalities.modality import Hiding
from multistar.model.network import ModelConfig
from multistar.model.vocabulary import Vocabulary
from multistar.training.masks import MaskingConfig

# Parts of the scalars that data.only names
KINDS = {"photometry": "magnitude", "astrometry": "astrometry"}


@dataclass(frozen=True)
class DataConfig:
    """The table [data] of a run file: which stars and which of their columns training reads."""

    # Tables of stars with labels, or folders of Parquet shards; relative to the run file
    train: list[str]
    held_out: float = 0.05  # share of the stars, drawn by source_id, that training never sees
    columns: dict[str, str] = field(default_factory=dict)  # quantity -> column name in the tables
    labels: list[str] = field(default_factory=list)  # that are learnt, empty for all that are found
    only: list[str] = field(default_factory=list)  # modalities to train on, empty for all
    # Tables of real stars without labels, to learn from beside mock ones
    sky: list[str] = field(default_factory=list)
    sky_held_out: float = 0.2  # share of these that training never sees

    def __post_init__(self):
        if not self.train:
            raise ValueError(
                'data.train is empty: name a table, e.g. [data] train = ["mock.parquet"]'
            )
        known = [*KINDS, *(name for name in MODALITIES if name != "scalars")]
        if unknown := sorted(set(self.only) - set(known)):
            raise ValueError(f"data.only names the unknown modalities {unknown}; known are {known}")
        for name in ("held_out", "sky_held_out"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"data.{name}={getattr(self, name)} must lie between 0 and 1")


@dataclass(frozen=True)
class TrainingConfig:
    """The table [training] of a run file: length, optimiser and batches of a run."""

    steps: int = 4000
    batch: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup: int = 100  # steps
    # Measurements drawn per step, beside all labels; predicted for the stars that do not show them
    queries: int = 16
    joint_share: float = 0.25  # share of each batch that trains the joint (autoregressive) mode
    embedding_share: float = 0.2  # share of the steps in which the head sees the embedding alone
    sky_share: float = 0.05  # share of each batch that are stars of data.sky, if there are any
    final_share: float = 0.005  # of the learning rate, at the end of the cosine
    decay: float = 1.0  # share of the steps, the last ones, in which the learning rate falls
    clip: float = 1.0  # largest norm of the gradient
    # Most that the average of the weights keeps of itself per step; the average is what is saved
    ema: float = 0.999
    # Train what `add_encoder` adds, and nothing else: the model says what it said of stars without it
    only_added: bool = False
    compile: bool = False  # torch.compile for the encoder's blocks
    checkpoint_every: int = 500  # steps
    # Write loss and speed to the folder `out`.tensorboard (pip install tensorboard)
    tensorboard: bool = False
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "batch", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"training.ema={self.ema} must be at least 0 (no average) and below 1")
        for name in ("joint_share", "embedding_share", "sky_share", "final_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"training.{name}={getattr(self, name)} must lie between 0 and 1")
        if not 0 < self.decay <= 1:
            raise ValueError(f"training.decay={self.decay} must be above 0 and at most 1")
        if not self.clip > 0:
            raise ValueError(f"training.clip={self.clip} must be above 0")


@dataclass(frozen=True)
class LossConfig:
    """How the terms of the loss are weighed."""

    measurement_weight: float = 0.3  # of a hidden measurement against a hidden label
    alignment_weight: float = 0.3  # of the alignment of two views of a star, if the model has it
    fewest_aligned: int = 8  # stars with both views, without which covariances mean nothing
    # Stars of a batch whose views are compared; each costs two more encodings
    most_aligned: int = 64

    def __post_init__(self):
        for name in ("measurement_weight", "alignment_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name}={getattr(self, name)} must be at least 0")
        if not 2 <= self.fewest_aligned <= self.most_aligned:
            raise ValueError(
                f"loss.fewest_aligned={self.fewest_aligned} must be at least 2 and at most "
                f"most_aligned={self.most_aligned}"
            )


@dataclass(frozen=True)
class RunConfig:
    """A whole run file."""

    out: str  # folder of the trained model, relative to the run file
    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    # Modality -> how often training hides it: the fields of its class of Hiding
    hiding: dict[str, dict[str, float]] = field(default_factory=dict)
    # Model folder, or name of a shipped model, whose weights training goes on from. Vocabulary,
    # scales and architecture are then that model's; of [model] only `mismatch` is used, and
    # `alignment`, if it is not empty.
    start: str = ""
    # Folder of a model, of light curves for instance, whose encoder is added to `start`: see add_encoder.py
    add_encoder: str = ""

    def __post_init__(self):
        if self.training.only_added and not self.add_encoder:
            raise ValueError("training.only_added needs add_encoder, which says what is added")


def read_hiding(run: RunConfig, vocabulary: Vocabulary) -> dict[str, Hiding]:
    """Return the shares of [hiding] by modality, with defaults where the run file says nothing.

    Parameters
    ----------
    run : RunConfig
        Of which `hiding` is read.
    vocabulary : Vocabulary
        Of the model that is trained.

    Returns
    -------
    dict of Hiding
        One entry for every modality of the vocabulary.

    Raises
    ------
    ValueError
        For a modality that the model does not have, and for keys that it does not know.
    """
    names = [own.name for own in vocabulary.modalities]
    if unknown := sorted(set(run.hiding) - set(names)):
        raise ValueError(f"[hiding] names {unknown}; this model has the modalities {names}")
    return {
        own.name: own.read_hiding(run.hiding.get(own.name, {})) for own in vocabulary.modalities
    }


def load_run(path: str | Path) -> RunConfig:
    """Read a run file, whose relative paths are taken from the file's own folder.

    Parameters
    ----------
    path : str or Path
        A TOML file.

    Returns
    -------
    RunConfig
        With absolute paths.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        Names the file and the key that is unknown, missing, or has an impossible value.
    """
    path = Path(path)
    require_path(path, "run file")
    try:
        table = tomllib.loads(path.read_text())
        if "graft" in table:
            text = f"{path}: the key graft is called add_encoder now; version 0.3 will refuse it"
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            table["add_encoder"] = table.pop("graft")
        run = from_table(RunConfig, table)
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    here = path.resolve().parent
    data = dataclasses.replace(
        run.data, train=_beside(here, run.data.train), sky=_beside(here, run.data.sky)
    )
    start = str(here / run.start) if run.start and (here / run.start).is_dir() else run.start
    (out,) = _beside(here, [run.out])
    added = _beside(here, [run.add_encoder])[0] if run.add_encoder else ""
    return dataclasses.replace(run, out=out, data=data, start=start, add_encoder=added)


def _beside(here: Path, names: list[str]) -> list[str]:
    return [str((here / name).resolve()) for name in names]
