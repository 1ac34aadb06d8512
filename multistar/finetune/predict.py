"""Stars -> the labels of adapters, beside those of their base."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from threading import Lock

import numpy as np
import pyarrow as pa
import torch

from encoders import Measurement
from multistar import status
from multistar.finetune.adapter import Adapter
from multistar.finetune.decode import (
    Decoded,
    decode_batch,
    decode_stars,
    encodes_alike,
    in_slots_of,
)
from multistar.finetune.dropout import check_passes
from multistar.finetune.joint import JointDraw
from multistar.inference.predict import predict_stars
from multistar.inference.request import Request
from multistar.inference.result import LEVELS, ROW_MAJOR, SUFFIXES, Prediction
from multistar.inference.samples import covariances
from multistar.inference.stream import Encoded, stream_measurements
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.quantities import Quantity
from multistar.stars import Stars

OTHER_SEED = 1_000_003  # from that of one adapter to the next: more than there are parts of a table


def check_stack(adapters: Sequence[Adapter]) -> None:
    """ValueError if two adapters have a label in common, or read an input of one name as different
    things.
    """
    labels = [name for adapter in adapters for name in adapter.request.names]
    if twice := sorted({n for n in labels if labels.count(n) > 1}):
        raise ValueError(
            f"two adapters predict {twice}: their columns would have one name; use one of them "
            "at a time"
        )
    read = {}
    for quantity in (q for adapter in adapters for q in adapter.request.inputs):
        if read.setdefault(quantity.name, quantity) != quantity:
            raise ValueError(
                f"adapters disagree on what {quantity.name} is; use one of them at a time"
            )


def check_new(adapters: Sequence[Adapter], labels: Collection[str | Quantity]) -> None:
    """ValueError, before anything is learnt, if one of the labels is an adapter's already."""
    wanted = {
        label.name if isinstance(label, Quantity) else label.split(":")[0] for label in labels
    }
    if known := sorted(wanted & {name for adapter in adapters for name in adapter.request.names}):
        raise ValueError(
            f"{known}: an adapter of this model predicts these already; begin with the model "
            "without it"
        )


def predict_with_adapters(
    model: Model,
    adapters: Sequence[Adapter],
    stars: Stars,
    quiet: bool = True,
    samples: int = 0,
    seed: int = 0,
    consistency: bool = False,
    passes: int = 0,
    labels: Collection[str] = (),
) -> pa.Table:
    """Predict the labels of a model and of its adapters; each network encodes each star once.

    Parameters
    ----------
    model : Model
        The base.
    adapters : sequence of Adapter
        Those that left the encoder as it was read what the base has encoded.
    stars, quiet, samples, seed, consistency
        As for `inference.predict.predict`.
    passes : int
        Of Monte-Carlo dropout, for the adapters' columns; see `densities`.
    labels : collection of str
        The labels that come out; all without it.

    Returns
    -------
    pyarrow.Table
        That of the base, and the adapters' columns at its end; of a label that the base has, too,
        in its place. Numbers are L, L_lower, L_upper. A class label L is the most probable class,
        and L_C the probability of each class C. With samples, the adapters' L_samples, and a
        `covariance` of all labels: the base's, then the adapters' new ones. Stars unlike those of
        a fine-tuning are flagged "outside_finetuning".

    Raises
    ------
    ValueError
        For adapters that do not go together, samples = 1, passes of an adapter that was trained
        without dropout, and labels that neither the base nor an adapter predicts.
    """
    check_stack(adapters)
    check_passes(adapters, passes)
    every = _list_labels(model, adapters)
    if unknown := [name for name in labels if name not in every]:
        raise ValueError(
            f"labels {unknown} are none of this model's and its adapters', which are "
            f"{', '.join(every)}"
        )
    kept = labels or every
    readers = []
    for number, adapter in enumerate(adapters, 1):
        _warn_of_missing(adapter, stars)
        draw = JointDraw(adapter, len(stars), samples, seed + number * OTHER_SEED, passes)
        readers.append(Reader(adapter, len(stars), passes, draw if samples else None))
    beside_base = [reader for reader in readers if encodes_alike(model, reader.adapter)]

    def watch(batch: Encoded, drawn: Mapping[str, np.ndarray]) -> None:
        for reader in beside_base:
            reader.read(model, batch.rows, batch.measurement, batch.memory, drawn)

    request = Request(samples, seed, consistency)
    result = predict_stars(model, stars, quiet, request, watch)
    names = model.vocabulary.labels if samples else ()
    drawn = {name: result.columns[f"{name}_samples"] for name in names}
    for group in _by_network([reader for reader in readers if reader not in beside_base]):
        _encode_for(group, stars, quiet, drawn)
    for reader in readers:
        reader.add_to(result)
    _flag_only_adapter(result, readers)
    if samples:
        new = [q.name for adapter in adapters for q in adapter.request.targets]
        numbers = dict.fromkeys([*names, *new])
        _complete_covariance(result, [name for name in numbers if name in kept])
    result.metadata["adapters"] = "; ".join(", ".join(a.request.names) for a in adapters)
    for name in set(every) - set(kept):
        _drop(result, adapters, name)
    return result.to_table()


def _list_labels(model: Model, adapters: Sequence[Adapter]) -> list[str]:
    """Labels of the base and of its adapters, each once."""
    names = [name for adapter in adapters for name in adapter.request.names]
    return list(dict.fromkeys([*model.vocabulary.labels, *names]))


def _flag_only_adapter(result: Prediction, readers: Sequence["Reader"]) -> None:
    """Stars of which only an adapter can read something are not without data."""
    has_data = np.any([reader.has_data for reader in readers], axis=0)
    only_adapter = has_data & (result.flags & status.BIT["no_data"] > 0)
    result.flags[only_adapter] ^= status.BIT["no_data"] | status.BIT["only_adapter"]


def _drop(result: Prediction, adapters: Sequence[Adapter], label: str) -> None:
    """Take the columns of a label out of a result."""
    words = [word for adapter in adapters for word in adapter.request.classes.get(label, ())]
    for ending in (*SUFFIXES, "_samples", *(f"_{word}" for word in words)):
        result.columns.pop(label + ending, None)


def _by_network(readers: Sequence["Reader"]) -> list[list["Reader"]]:
    """Readers that can share the network of the first one of their group."""
    groups: list[list[Reader]] = []
    for reader in readers:
        for group in groups:
            first = group[0].adapter
            shows_the_same = not first.request.inputs and not first.request.given
            if shows_the_same and encodes_alike(first.model, reader.adapter):
                group.append(reader)
                break
        else:
            groups.append([reader])
    return groups


@torch.inference_mode()
def _encode_for(
    readers: Sequence["Reader"], stars: Stars, quiet: bool, drawn: Mapping[str, np.ndarray]
) -> None:
    """Encode stars with the network of the first of some readers, for all of them.

    drawn: label -> the base's samples (stars, n).
    """
    adapter = readers[0].adapter
    what = f"predict {', '.join(name for r in readers for name in r.adapter.request.names)} of"
    for rows, m in stream_measurements(adapter.model, stars, what, quiet, adapter.request.given):
        memory = adapter.encode(m)
        here = {name: values[rows] for name, values in drawn.items()}
        for reader in readers:
            reader.read(adapter.model, rows, m, memory, here)


def _complete_covariance(result: Prediction, names: Sequence[str]) -> None:
    """Take the covariance of all labels' samples."""
    drawn = np.stack([result.columns[f"{name}_samples"] for name in names])
    result.columns["covariance"] = covariances(drawn)
    result.metadata["covariance"] = ROW_MAJOR + ", ".join(names)


class Reader:
    """Collects what an adapter says of stars, batch by batch.

    Parameters
    ----------
    adapter : Adapter
    n : int
        Number of stars.
    passes : int
        Of Monte-Carlo dropout; see `densities`.
    draw : JointDraw, optional
        Draws joint samples of the labels, too.
    """

    def __init__(self, adapter: Adapter, n: int, passes: int = 0, draw: JointDraw | None = None):
        request = adapter.request
        self.adapter, self.passes, self.draw = adapter, passes, draw
        self.levels = adapter.levels(torch.tensor(LEVELS), passes)
        self.quantiles = np.empty((n, len(request.targets), len(LEVELS)))
        self.shares = [np.empty((n, len(words))) for words in request.classes.values()]
        self.outside, self.has_data = np.zeros((2, n), bool)
        self._lock = Lock()  # dropout puts hooks on layers, which all threads have in common

    def read(
        self,
        model: Model,
        rows: slice,
        m: Measurement,
        memory: Memory,
        drawn: Mapping[str, np.ndarray],
    ) -> None:
        """Decode a batch that `model` has encoded; drawn: label -> the base's samples (B, n)."""
        m = in_slots_of(model.vocabulary, self.adapter.model.vocabulary, m)
        self.has_data[rows] = m.observed.any(1).cpu().numpy()
        if self.passes:
            with self._lock:
                decoded = decode_batch(self.adapter, rows, m, memory, self.passes)
        else:
            decoded = decode_batch(self.adapter, rows, m, memory)
        self.take(decoded)
        if self.draw is not None:
            self.draw.take(rows, decoded.mixture, drawn)

    def take(self, decoded: Decoded) -> None:
        """Keep quantiles and probabilities of a batch."""
        rows = decoded.rows
        self.outside[rows] = decoded.outside
        if self.adapter.request.targets:
            self.quantiles[rows] = decoded.mixture.quantile(self.levels).cpu()
        for share, log in zip(self.shares, decoded.log_probability, strict=True):
            share[rows] = log.exp().cpu()

    def columns(self) -> dict[str, tuple[np.ndarray, str | None]]:
        """Column -> values (n,) and unit (None for classes)."""
        request, physical = self.adapter.request, self.adapter.model.standardiser.physical
        out: dict[str, tuple[np.ndarray, str | None]] = {}
        for i, quantity in enumerate(request.targets):
            for j, suffix in enumerate(SUFFIXES):
                values = physical(quantity.name, self.quantiles[:, i, j])
                out[quantity.name + suffix] = values, quantity.unit
        for (name, words), share in zip(request.classes.items(), self.shares, strict=True):
            out[name] = np.array(words, object)[share.argmax(1)], None
            out |= {f"{name}_{word}": (share[:, k], "") for k, word in enumerate(words)}
        return out

    def add_to(self, result: Prediction) -> None:
        """Put the columns into a result, in the place of the base's where it has them."""
        for name, (values, unit) in self.columns().items():
            result.columns[name] = values
            if unit is not None:
                result.units[name] = unit
        if self.draw is not None:
            for quantity in self.adapter.request.targets:
                column = f"{quantity.name}_samples"
                result.columns[column] = self.draw.samples[quantity.name]
                result.units[column] = quantity.unit
        result.flags[self.outside] |= status.BIT["outside_finetuning"]


def predict_columns(
    adapter: Adapter, stars: Stars, quiet: bool = True, passes: int = 0
) -> tuple[dict[str, tuple[np.ndarray, str | None]], np.ndarray]:
    """Column -> values (n,) and unit (None for classes) of one adapter alone.

    (n,) which stars are unlike those of the fine-tuning.
    """
    reader = Reader(adapter, len(stars), passes)
    for decoded in decode_stars(adapter, stars, quiet, passes):
        reader.take(decoded)
    return reader.columns(), reader.outside


def _warn_of_missing(adapter: Adapter, stars: Stars) -> None:
    """An adapter that was shown [C/N] of every star and now sees none flags all of them.

    Nothing else would say why.
    """
    read = [*(q.name for q in adapter.request.inputs), *adapter.request.given]
    if missing := [name for name in read if name not in stars.scalars]:
        warnings.warn(
            f"the adapter of {', '.join(adapter.request.names)} also reads "
            f"{', '.join(missing)}, not in this table; "
            "name your columns as for finetune (columns, --columns)",
            stacklevel=2,
        )
