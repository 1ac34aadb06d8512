"""An adapter: what fine-tuning adds to a base model, in memory and on disk (safetensors + JSON),
locked to its base.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from encoders import Measurement
from multistar.finetune.lora import LowRank
from multistar.finetune.readout import Readout
from multistar.finetune.request import Request
from multistar.finetune.trees import TreeReadout
from multistar.io.artifact import Kind, write_tensors
from multistar.io.files import atomic_write
from multistar.io.folders import ADAPTER_FILES, require_adapter
from multistar.model.checkpoint import Model, rename_encoders
from multistar.model.extend import extend
from multistar.model.fusion import Memory
from multistar.model.mixture import Mixture

WEIGHTS, CONFIG = OWNED = ADAPTER_FILES
# Format 1 had one attribute of the network per encoder.
FOLDER = Kind("an adapter", CONFIG, 2, (1, 2), "copy the folder again, or fine-tune anew")
LOW_RANK, TREES = "low_rank.", "trees."
FORMAT_1_ENCODERS = ("scalars", "xp", "light_curve")


@dataclass
class Adapter:
    """A base model extended and changed for one request, and its readout.

    model    has the slots of the request beside those of the base; scales, domain and
             recalibrator of the new targets are those of the stars it was fine-tuned on
    changes  what tells it from the freshly extended base: "model.NAME" tensors that replace the
             model's, "low_rank.LAYER.a" and ".b" whose product is added to a layer's weight,
             "readout.NAME"; "trees.NAME", the bytes of a model of XGBoost
    provenance  settings, numbers of stars, losses
    dropout     share of the inputs that were dropped in training: see dropout.py
    losses      of its held-out stars (n,), while it is new: see judge.py
    """

    request: Request
    model: Model
    readout: Readout | TreeReadout
    changes: dict[str, Tensor] = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)
    dropout: float = 0.0
    losses: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def fresh(cls, base: Model, request: Request, dropout: float = 0.0) -> "Adapter":
        """Make an adapter that has learnt nothing yet."""
        known = base.vocabulary.labels
        model = extend(base, request.inputs, [q for q in request.targets if q.name not in known])
        sizes = {name: len(words) for name, words in request.classes.items()}
        numbers, labels = len(request.targets), len(model.vocabulary.labels)
        if request.mode == "trees":
            slots = torch.tensor([model.vocabulary.slot(name) for name in known], dtype=torch.long)
            names = tuple(q.name for q in request.targets)
            readout = TreeReadout(names, sizes, slots, model.vocabulary.n_slots, labels)
        else:
            probe = request.mode == "probe"
            readout = Readout(base.config, numbers, sizes, probe, labels, dropout > 0)
        return cls(request, model, readout.eval(), dropout=dropout)

    @property
    def base(self) -> str:
        """SHA-256 of the weights it belongs to."""
        return self.model.hash

    @property
    def slots(self) -> Tensor:
        """(Q,) slots of the numeric targets."""
        return torch.tensor(
            [self.model.vocabulary.slot(q.name) for q in self.request.targets], dtype=torch.long
        )

    def encode(self, stars: Measurement) -> Memory:
        """Encode stars; what only trees read is not shown to the network, which has not learnt it."""
        if isinstance(self.readout, TreeReadout) and self.request.inputs:
            shown = stars.observed.clone()
            shown[:, [self.model.vocabulary.slot(q.name) for q in self.request.inputs]] = False
            stars = Measurement(stars.value, stars.sigma, shown)
        return self.model.network.encode(stars)

    def decode(self, stars: Measurement, memory: Memory) -> tuple[Mixture, list[Tensor]]:
        """Densities (B, Q, K) of the numbers and log probabilities (B, C) of each class label.

        stars: what `memory` is of.
        """
        if isinstance(self.readout, TreeReadout):
            return self.readout(self.model.network, memory, stars)
        return self.readout(self.model.network, memory, self.slots)

    def levels(self, wanted: Tensor, passes: int = 0) -> Tensor:
        """(Q, L) levels of the targets' densities that hold the levels `wanted` (L,).

        passes: of thinned networks.
        """
        if passes:
            assert self.readout.thinned is not None
            return self.readout.thinned(wanted)
        return self.model.recalibrator(wanted)[self.slots - self.model.vocabulary.label_slots.start]

    @property
    def bytes(self) -> int:
        """Size of what was learnt."""
        return sum(t.numel() * t.element_size() for t in self.changes.values())

    def apply(self, changes: dict[str, Tensor]) -> None:
        """Make a fresh adapter the one of these changes.

        KeyError or RuntimeError if they do not fit.

        The readout must be in them whole; but adapters from before there were joint samples have
        no correlations.
        """
        state, readout, low_rank = self.model.state(), self.readout.state_dict(), {}
        trees: dict[str, Tensor] = {}
        for name, tensor in changes.items():
            if name.startswith(TREES):
                trees[name.removeprefix(TREES)] = tensor
                continue
            if name.startswith(LOW_RANK):
                layer, _, which = name.removeprefix(LOW_RANK).rpartition(".")
                low_rank.setdefault(layer, {})[which] = tensor
                continue
            part, _, inner = name.partition(".")
            target = {"model": state, "readout": readout}[part]
            if target[inner].shape != tensor.shape:
                raise RuntimeError(
                    f"{name} has the shape {tuple(tensor.shape)}, not {tuple(target[inner].shape)}"
                )
            target[inner] = tensor
        for layer, pair in low_rank.items():
            change = LowRank(pair["a"], pair["b"])
            state[f"network.{layer}.weight"] = change(state[f"network.{layer}.weight"]).detach()
        if missing := [n for n in readout if f"readout.{n}" not in changes and n != "correlation"]:
            raise KeyError(f"no readout.{missing[0]}")
        self.model.load_state(state)
        self.readout.load_state_dict(readout, strict=True)
        if isinstance(self.readout, TreeReadout):
            self.readout.load(trees)
        elif trees:
            raise KeyError(f"trees in an adapter of mode {self.request.mode}")
        self.model.network.eval().requires_grad_(False)
        self.readout.eval().requires_grad_(False)
        self.changes = changes


def save_adapter(adapter: Adapter, folder: str | Path, overwrite: bool = False) -> None:
    """Write the adapter's folder atomically.

    ValueError if its base was never saved, so that it has no hash.
    """
    if not adapter.base:
        raise ValueError(
            "the base model has no hash, as it was never saved: save it, load it, and "
            "fine-tune that one"
        )
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        described = {
            "base": adapter.base,
            "request": adapter.request.as_json(),
            "dropout": adapter.dropout,
            "sha256": write_tensors(temporary / WEIGHTS, adapter.changes),
            "provenance": adapter.provenance,
        }
        FOLDER.describe(temporary, described)


def load_adapter(base: Model, folder: str | Path) -> Adapter:
    """An adapter of this base from the folder that save_adapter wrote.

    Raises FileNotFoundError if it is no adapter folder, ValueError if it belongs to another base,
    a file is corrupt, or its parts do not fit together.
    """
    folder = Path(folder)
    require_adapter(folder)
    config = FOLDER.read(folder, texts=["base", "sha256"])
    if config["base"] != base.hash:
        raise ValueError(
            f"{folder}: made for the base model {config['base'][:12]}, this one is "
            f"{base.hash[:12] or 'not saved'}; "
            "load that model, or fine-tune this one"
        )
    FOLDER.check_file(folder / WEIGHTS, config["sha256"])
    try:
        dropout = config.get("dropout", 0.0)  # adapters of before there was any have none
        if not 0 <= dropout < 1:
            raise KeyError(f"dropout {dropout!r}")
        adapter = Adapter.fresh(base, Request.from_json(config["request"]), dropout)
        changes = load_file(folder / WEIGHTS)
        if config["format"] == 1:
            changes = _from_format_1(changes)
        adapter.apply(changes)
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"{folder}: {CONFIG} and weights do not fit together ({str(error)[:200]})"
        ) from error
    adapter.provenance = config.get("provenance", {})
    return adapter


def _from_format_1(changes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Changes by their present names: those of the model, and of layers with a low-rank change."""
    renamed = {}
    for name, tensor in changes.items():
        if name.startswith("model."):
            name = "model." + rename_encoders(name.removeprefix("model."), FORMAT_1_ENCODERS)
        elif name.startswith(LOW_RANK):
            layer = rename_encoders("network." + name.removeprefix(LOW_RANK), FORMAT_1_ENCODERS)
            name = LOW_RANK + layer.removeprefix("network.")
        renamed[name] = tensor
    return renamed


def difference(adapter: Adapter, base: Model, low_rank: dict[str, LowRank]) -> dict[str, Tensor]:
    """The changes of a trained adapter whose low-rank changes are merged into its layers already.

    A tensor is kept if it differs from that of the freshly extended base; of a layer that has a
    low-rank change, this alone is kept.
    """
    fresh = Adapter.fresh(base, dataclasses.replace(adapter.request), adapter.dropout)
    before, layers = fresh.model.state(), {f"network.{layer}.weight" for layer in low_rank}
    after = {
        k: v
        for k, v in adapter.model.state().items()
        if k not in layers and not torch.equal(v, before[k])
    }
    changes = {f"model.{name}": tensor for name, tensor in after.items()}
    for layer, change in low_rank.items():
        changes |= {f"{LOW_RANK}{layer}.{which}": t for which, t in change.state_dict().items()}
    changes |= {f"readout.{name}": tensor for name, tensor in adapter.readout.state_dict().items()}
    if isinstance(adapter.readout, TreeReadout):
        trees = adapter.readout.as_tensors()
        changes |= {f"{TREES}{name}": tensor for name, tensor in trees.items()}
    return {name: tensor.detach().clone() for name, tensor in changes.items()}
