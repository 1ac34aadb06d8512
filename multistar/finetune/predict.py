"""Stars -> the labels of adapters, beside those of their base."""

import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from multistar import status
from multistar.finetune.adapter import Adapter
from multistar.finetune.dropout import check_passes, densities
from multistar.inference.predict import LEVELS, SUFFIXES
from multistar.inference.stream import stream_measurements
from multistar.model.mixture import Mixture
from multistar.quantities import Quantity
from multistar.stars import Stars


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


def with_adapters(
    table: pa.Table, adapters: Sequence[Adapter], stars: Stars, quiet: bool = True, passes: int = 0
) -> pa.Table:
    """The table of `predict` with the adapters' columns at its end.

    Of a label that is there, in its place.

    Numbers: L, L_lower, L_upper as `predict` has them. A class label L: the most probable class,
    and for each class C its probability L_C. Stars unlike those of a fine-tuning are flagged
    "outside_finetuning". passes: of Monte-Carlo dropout, see densities.
    """
    check_stack(adapters)
    check_passes(adapters, passes)
    is_outside = np.zeros(len(stars), bool)
    for adapter in adapters:
        _warn_of_missing(adapter, stars)
        columns, outside = predict_columns(adapter, stars, quiet, passes)
        is_outside |= outside
        for name, (values, unit) in columns.items():
            field = pa.field(name, pa.string() if values.dtype == object else pa.float64())
            field = field.with_metadata({"unit": unit}) if unit is not None else field
            place = table.schema.get_field_index(name)
            column = pa.array(values, field.type)
            table = (
                table.append_column(field, column)
                if place < 0
                else table.set_column(place, field, column)
            )
    words = table["status"].to_numpy(zero_copy_only=False).astype(object)
    words[is_outside] = status.with_word(words[is_outside], "outside_finetuning")
    place = table.schema.get_field_index("status")
    table = table.set_column(place, "status", pa.array(words, pa.string()))
    known = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    labels = "; ".join(", ".join(adapter.request.names) for adapter in adapters)
    return table.replace_schema_metadata(known | {"adapters": labels})


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


def predict_columns(
    adapter: Adapter, stars: Stars, quiet: bool = True, passes: int = 0
) -> tuple[dict[str, tuple[np.ndarray, str | None]], np.ndarray]:
    """Column -> values (n,) and unit (None for classes).

    (n,) which stars are unlike those of the fine-tuning.
    """
    is_outside = np.zeros(len(stars), bool)
    request, levels = adapter.request, adapter.levels(torch.tensor(LEVELS), passes)
    quantiles = np.empty((len(stars), len(request.targets), len(LEVELS)))
    shares = [np.empty((len(stars), len(words))) for words in request.classes.values()]
    for batch in decode_stars(adapter, stars, quiet, passes):
        is_outside[batch.rows] = batch.outside
        if len(request.targets):
            quantiles[batch.rows] = batch.mixture.quantile(levels).cpu()
        for share, log in zip(shares, batch.log_probability, strict=True):
            share[batch.rows] = log.exp().cpu()
    out: dict[str, tuple[np.ndarray, str | None]] = {}
    for i, quantity in enumerate(request.targets):
        for j, suffix in enumerate(SUFFIXES):
            values = adapter.model.standardiser.physical(quantity.name, quantiles[:, i, j])
            out[quantity.name + suffix] = values, quantity.unit
    for (name, words), share in zip(request.classes.items(), shares, strict=True):
        out[name] = np.array(words, object)[share.argmax(1)], None
        out |= {f"{name}_{word}": (share[:, k], "") for k, word in enumerate(words)}
    return out, is_outside


@dataclass(frozen=True)
class Decoded:
    """What an adapter says of a batch of stars.

    Attributes
    ----------
    rows : slice
    mixture : Mixture
        (B, Q) densities of the numeric targets.
    log_probability : list of (B, C) Tensor
        Of the classes of each class label.
    outside : (B,) bool ndarray
        Stars unlike those of the fine-tuning.
    """

    rows: slice
    mixture: Mixture
    log_probability: list[Tensor]
    outside: np.ndarray


@torch.inference_mode()
def decode_stars(
    adapter: Adapter, stars: Stars, quiet: bool = True, passes: int = 0
) -> Iterator[Decoded]:
    """Encode and decode stars batch by batch; passes: of Monte-Carlo dropout, see densities."""
    model = adapter.model
    what = f"predict {', '.join(adapter.request.names)} of"
    for rows, m in stream_measurements(model, stars, what, quiet, adapter.request.given):
        memory = model.network.encode(m)
        outside = model.domain.outside(memory.embedding, m).cpu().numpy()
        mixture, log_probability = densities(adapter, memory, passes)
        yield Decoded(rows, mixture, log_probability, outside)
