"""Joint samples of an adapter's numeric labels.

Labels that the base knows, too, keep the base's dependence on each other: each sample keeps its rank and gets the
value of this rank in the adapter's marginal. New labels follow them, and each other, by a Gaussian copula whose
correlations are those of the held-out stars' residuals. New labels of different adapters are independent otherwise.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from multistar.data.stars import Stars
from multistar.data.write import to_arrow
from multistar.finetune.adapter import Adapter
from multistar.finetune.copula import follow
from multistar.finetune.predict import decoded
from multistar.tasks.predict import ROW_MAJOR, SCORES, at_scores, covariances, scores_of


def with_joint(
    table: pa.Table, adapters: Sequence[Adapter], stars: Stars, n: int, seed: int = 0, quiet: bool = True
) -> pa.Table:
    """The table of `predict` with n samples; its L_samples and `covariance` then hold the labels of adapters, too.

    Labels in `covariance` stand in the order of the metadata key: the base's, then the adapters' new ones.
    """
    known = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    names = known["covariance"].removeprefix(ROW_MAJOR).split(", ")
    shape = (len(stars), n)
    base = {name: np.asarray(table[f"{name}_samples"].combine_chunks().flatten()).reshape(shape) for name in names}
    drawn = dict(base)
    units: dict[str, str] = {}
    for i, adapter in enumerate(adapters):
        drawn |= joint_draws(adapter, stars, base, n, seed + i, quiet)
        units |= {q.name: q.unit for q in adapter.request.targets}
    vectors = {f"{name}_samples": drawn[name] for name in units} | {
        "covariance": covariances(np.stack([*drawn.values()]))
    }
    made = to_arrow(vectors, {})
    for field in made.schema:
        name = field.name.removesuffix("_samples")
        field = field.with_metadata({"unit": units[name]}) if name in units else field
        place = table.schema.get_field_index(field.name)
        column = made[field.name]
        table = table.append_column(field, column) if place < 0 else table.set_column(place, field, column)
    return table.replace_schema_metadata(known | {"covariance": ROW_MAJOR + ", ".join(drawn)})


def joint_draws(
    adapter: Adapter, stars: Stars, base: Mapping[str, np.ndarray], n: int, seed: int, quiet: bool = True
) -> dict[str, np.ndarray]:
    """Target -> samples (stars, n) in its unit; base: label -> the base's samples (stars, n)."""
    targets, model = adapter.request.targets, adapter.model
    if not targets:
        return {}
    generator = torch.Generator().manual_seed(seed)
    levels = model.recalibrator(torch.special.ndtr(SCORES))[adapter.slots - model.vocabulary.label_slots.start]
    known = [i for i, quantity in enumerate(targets) if quantity.name in base]
    out = {quantity.name: np.empty((len(stars), n), np.float32) for quantity in targets}
    for rows, mixture, _ in decoded(adapter, stars, quiet):
        score = torch.empty(*mixture.mean.shape[:2], n, dtype=torch.float64)
        for i in known:
            score[:, i] = scores_of(torch.from_numpy(base[targets[i].name][rows].copy()), generator)
        follow(score, known, adapter.readout.correlation.double().cpu(), generator)
        score = scores_of(score, generator)  # the marginals of n samples are then as good as n ranks can be
        nodes = mixture.quantile(levels.to(mixture.mean.device)).cpu()
        values = at_scores(nodes, score).double().numpy()
        for i, quantity in enumerate(targets):
            out[quantity.name][rows] = model.standardiser.physical(quantity.name, values[:, i])
    return out
