"""A model on disk: config.json + model.safetensors, hash-checked, loaded strictly, no pickle."""

import dataclasses
import re
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from multistar.io.artifact import Kind, write_tensors
from multistar.io.config import from_table
from multistar.io.files import atomic_write
from multistar.io.folders import CONFIG, REPORT, WEIGHTS, find_model
from multistar.model.calibration import Recalibrator
from multistar.model.domain import Domain
from multistar.model.network import ModelConfig, Network
from multistar.model.nuisance import (
    NuisanceProjection,
    load_projection,
    projection_file,
    quantity_of,
    save_projection,
)
from multistar.model.populations import FILE as POPULATIONS
from multistar.model.populations import Populations, load_populations, save_populations
from multistar.model.standardise import Standardiser
from multistar.model.vocabulary import Vocabulary
from multistar.quantities import LABELS

CARD = "README.md"
PROJECTION_FILES = {name: projection_file(name) for name in LABELS}
OWNED = (WEIGHTS, CONFIG, CARD, REPORT, POPULATIONS, *PROJECTION_FILES.values())
PARTS = ("network", "standardiser", "domain", "recalibrator")
# Format 1 had a flat vocabulary.
FOLDER = Kind("a model", CONFIG, 2, (1, 2), "copy the folder again")


@dataclasses.dataclass
class Model:
    """Network, standardiser, domain and recalibrator of one training.

    hash: SHA-256 of the weights file; provenance: run settings, number of stars and steps, last loss;
    card: Markdown that tells what the model is, "" if nobody wrote one; projections: by the quantity that they erase;
    populations: that a prior may assume instead of all training stars.
    """

    config: ModelConfig
    vocabulary: Vocabulary
    network: Network
    standardiser: Standardiser
    domain: Domain
    recalibrator: Recalibrator
    hash: str = ""
    provenance: dict = dataclasses.field(default_factory=dict)
    card: str = ""
    projections: dict[str, NuisanceProjection] = dataclasses.field(default_factory=dict)
    populations: Populations | None = None

    @classmethod
    def fresh(cls, config: ModelConfig, vocabulary: Vocabulary) -> "Model":
        """Make a model with random weights."""
        domain = Domain(config.embedding, vocabulary.n_slots)
        recalibrator = Recalibrator(len(vocabulary.labels))
        return cls(
            config,
            vocabulary,
            Network(config, vocabulary),
            Standardiser(vocabulary),
            domain,
            recalibrator,
        )

    def with_mismatch(self, mismatch: bool) -> "Model":
        """The same model, to be trained (or not) for the mismatch between mock stars and the sky."""
        return dataclasses.replace(self, config=dataclasses.replace(self.config, mismatch=mismatch))

    def to(self, device: torch.device) -> "Model":
        """This model, its network and domain moved there. Tables are read and standardised on the CPU."""
        self.network.to(device)
        self.domain.to(device)
        return self

    @property
    def precision(self) -> str:
        """Of the blocks of fusion and head at inference: "float32" or "bfloat16"."""
        return "bfloat16" if self.network.head.use_bfloat16 else "float32"

    def in_precision(self, precision: str) -> "Model":
        """This model, with the blocks of fusion and head in this precision."""
        use_bfloat16 = precision == "bfloat16"
        self.network.fusion.use_bfloat16 = use_bfloat16
        self.network.head.use_bfloat16 = use_bfloat16
        return self

    def projection(self, ignore: str) -> NuisanceProjection:
        """For a quantity ("dust" is E(B-V)), or from a file; ValueError if the model has none, FileNotFoundError."""
        if ignore.endswith(".safetensors"):
            return load_projection(ignore, self.hash)
        if (name := quantity_of(ignore)) not in self.projections:
            raise ValueError(
                f"the model {self.hash[:12]} has no nuisance projection for {name} (it has "
                f"{sorted(self.projections)}); make one: "
                f"multistar erase STARS --quantity {name} --out FILE.safetensors, and name the file or put it into the "
                f"model's folder as {PROJECTION_FILES[name]}"
            )
        return self.projections[name]

    def state(self) -> dict[str, torch.Tensor]:
        """All tensors by name, those of each part behind its name."""
        return {
            f"{p}.{k}": v.contiguous()
            for p in PARTS
            for k, v in getattr(self, p).state_dict().items()
        }

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take over what `state` gave.

        Raises
        ------
        RuntimeError
            If tensors are missing, too many or of other shapes.
        ValueError
            For numbers that are not finite.
        """
        for part in PARTS:
            own = {
                k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")
            }
            _check_numbers(own, f"{part}.", may_be_infinite=part == "domain")
            getattr(self, part).load_state_dict(own, strict=True)


def _check_numbers(state: dict[str, torch.Tensor], prefix: str, may_be_infinite: bool) -> None:
    """ValueError for NaN, and for infinity where it does not stand for "no bound"."""
    for name, tensor in state.items():
        bad = tensor.isnan() if may_be_infinite else ~tensor.isfinite()
        if bad.any():
            raise ValueError(
                f"{prefix}{name}: {int(bad.sum())} of {tensor.numel()} numbers are not finite; "
                "the model would answer nonsense for every star: train it again"
            )


def _check_sizes(config: ModelConfig, path: Path) -> None:
    """Refuse sizes that the weights cannot have, before memory is taken for them.

    A block has more than 4 width^2 numbers, of at least 2 bytes each.
    """
    depth = config.encoder_depth + config.decoder_depth
    heads = config.components + config.embedding + config.embedding_tokens
    least = 2 * config.width * (4 * config.width * depth + heads)
    if least > path.stat().st_size:
        raise ValueError(
            f"{path}: {CONFIG} and weights do not fit together ({path.stat().st_size:,} bytes are too "
            f"few for the sizes: width {config.width}, {depth} blocks, {least:,} bytes at least); "
            "copy the folder again"
        )


def save_model(model: Model, folder: str | Path, overwrite: bool = False) -> None:
    """Write the model folder atomically, with its card if there is one, and the projections of these weights."""
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        tensors = {_name_in_file(name): tensor for name, tensor in model.state().items()}
        model.hash = write_tensors(temporary / WEIGHTS, tensors)
        described = {
            "model": dataclasses.asdict(model.config),
            "vocabulary": model.vocabulary.to_json(),
            "sha256": model.hash,
            "provenance": model.provenance,
        }
        FOLDER.describe(temporary, described)
        if model.card:
            (temporary / CARD).write_text(model.card)
        for name, projection in model.projections.items():
            if projection.model_sha256 == model.hash:
                save_projection(projection, temporary / PROJECTION_FILES[name])
        if model.populations is not None and model.populations.model_sha256 == model.hash:
            save_populations(model.populations, temporary / POPULATIONS)


def device_of(name: str | None) -> torch.device:
    """cpu, cuda or cuda:N; None is the first GPU, or the CPU where there is none. ValueError if it is not there."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return torch.device("cuda" if count else "cpu")
    kind, _, number = name.partition(":")
    if name == "cpu" or (
        kind == "cuda" and count and (name == "cuda" or number in map(str, range(count)))
    ):
        return torch.device(name)
    there = ["cpu", *(f"cuda:{i}" for i in range(count))]
    raise ValueError(
        f"device must be one of {there} on this machine and with this torch, got {name!r}"
    )


def load_model(name: str | Path) -> Model:
    """Load a folder written by save_model, or a model that comes with the package ("mini").

    Raises FileNotFoundError if it is no model folder, ValueError if a file is corrupt or does not
    match its hash, or was made for other settings.
    """
    folder = find_model(name)
    config = FOLDER.read(folder, texts=["sha256"])
    FOLDER.check_file(folder / WEIGHTS, config["sha256"])
    try:
        model_config = from_table(ModelConfig, config["model"], "model")
        _check_sizes(model_config, folder / WEIGHTS)
        vocabulary = Vocabulary.from_json(config["vocabulary"])
        model = Model.fresh(model_config, vocabulary)
        model.load_state(_by_present_names(load_file(folder / WEIGHTS), vocabulary))
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"{folder}: config.json and weights do not fit together ({str(error)[:200]})"
        ) from error
    model.hash, model.provenance = config["sha256"], config.get("provenance", {})
    model.card = (folder / CARD).read_text() if (folder / CARD).is_file() else ""
    files = {
        name: folder / file for name, file in PROJECTION_FILES.items() if (folder / file).is_file()
    }
    model.projections = {name: load_projection(file, model.hash) for name, file in files.items()}
    if (folder / POPULATIONS).is_file():
        model.populations = load_populations(folder / POPULATIONS, model.hash)
    model.network.eval()
    return model


def rename_encoders(name: str, modalities: Collection[str]) -> str:
    """The present name of a tensor of the network: encoders are one level deeper than in files."""
    found = re.match(r"network\.(\w+)\.", name)
    if found and found.group(1) in modalities:
        return name.replace("network.", "network.encoders.", 1)
    return name


def _name_in_file(name: str) -> str:
    """Files keep the names that they always had, so that the same weights have the same hash."""
    return name.replace("network.encoders.", "network.", 1)


def _by_present_names(
    tensors: dict[str, torch.Tensor], vocabulary: Vocabulary
) -> dict[str, torch.Tensor]:
    """Tensors of a file by their present names, without an XP encoder that reads nothing (format 1)."""
    names = [modality.name for modality in vocabulary.modalities]
    renamed = {rename_encoders(name, names): tensor for name, tensor in tensors.items()}
    if "xp" in vocabulary:
        return renamed
    return {name: t for name, t in renamed.items() if not name.startswith("network.xp.")}
