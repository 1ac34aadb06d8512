"""Joint samples of an adapter's numeric labels.

Labels that the base knows keep the base's dependence on each other; if the adapter has learnt
them anew, each sample keeps its rank and gets the value of this rank in the adapter's marginal.
New labels follow them, and each other, by a Gaussian copula whose correlations are those of the
held-out stars' residuals, as far as the table that was learnt from has the base's labels (log g
beside numax). New labels of different adapters are otherwise independent.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from multistar.finetune.adapter import Adapter
from multistar.finetune.copula import correlate_with_truth, correlation, draw_conditional_scores
from multistar.finetune.predict import decode_stars
from multistar.inference.predict import (
    ROW_MAJOR,
    SCORES,
    covariances,
    draw_scores,
    interpolate_quantiles,
    seed_at,
)
from multistar.inference.stream import encode_stars
from multistar.io.write import to_arrow
from multistar.model.checkpoint import Model
from multistar.model.mixture import Mixture
from multistar.stars import Stars
from multistar.training.masks import OUTLIER

OTHER_SEED = 1_000_003  # from that of one adapter to the next: more than there are parts of a table


def with_joint(
    table: pa.Table,
    adapters: Sequence[Adapter],
    stars: Stars,
    n: int,
    seed: int = 0,
    quiet: bool = True,
    passes: int = 0,
) -> pa.Table:
    """The table of `predict` with n samples.

    Its L_samples and `covariance` then hold the labels of adapters, too.

    Labels in `covariance` stand in the order of the metadata key: the base's, then the adapters'
    new ones. passes: of Monte-Carlo dropout, as for with_adapters.
    """
    known = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    names = known["covariance"].removeprefix(ROW_MAJOR).split(", ")
    shape = (len(stars), n)
    base = {
        name: np.asarray(table[f"{name}_samples"].combine_chunks().flatten()).reshape(shape)
        for name in names
    }
    drawn = dict(base)
    units: dict[str, str] = {}
    for number, adapter in enumerate(adapters, 1):
        drawn |= draw_labels(adapter, stars, base, n, seed + number * OTHER_SEED, quiet, passes)
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
        table = (
            table.append_column(field, column)
            if place < 0
            else table.set_column(place, field, column)
        )
    return table.replace_schema_metadata(known | {"covariance": ROW_MAJOR + ", ".join(drawn)})


@torch.inference_mode()
def fit_dependence(base: Model, adapter: Adapter, stars: Stars) -> None:
    """Measure the correlations of residuals, of the base's labels and the adapter's, on held-out
    stars with labels.
    """
    vocabulary, slots = adapter.model.vocabulary, adapter.model.vocabulary.label_slots
    labels = adapter.model.standardiser(stars).slots(slots.start, slots.stop)
    error = torch.nan_to_num(labels.sigma)
    pit, told = torch.full_like(error, 0.5), torch.ones_like(error)
    own = [vocabulary.labels.index(q.name) for q in adapter.request.targets]
    bases = list(range(len(base.vocabulary.labels)))
    asked = torch.tensor(list(base.vocabulary.label_slots))

    def fill(rows: slice, columns: list[int], mixture: Mixture) -> None:
        pit[rows, columns] = mixture.cdf(labels.value[rows, columns], error[rows, columns])
        told[rows, columns] = correlate_with_truth(mixture, error[rows, columns])

    for batch in encode_stars(base, stars, "", True):
        fill(batch.rows, bases, base.network.decode(batch.memory, asked))
    for batch in decode_stars(adapter, stars):
        fill(batch.rows, own, batch.mixture)
    rho = correlation(pit, told, labels.observed & (labels.value.abs() < OUTLIER))
    adapter.readout.correlation.copy_(rho)
    adapter.changes["readout.correlation"] = rho


def draw_labels(
    adapter: Adapter,
    stars: Stars,
    base: Mapping[str, np.ndarray],
    n: int,
    seed: int,
    quiet: bool = True,
    passes: int = 0,
) -> dict[str, np.ndarray]:
    """Target -> samples (stars, n) in its unit.

    base: label -> the base's samples (stars, n), all of its labels.
    """
    targets, model = adapter.request.targets, adapter.model
    if not targets:
        return {}
    labels, generator = model.vocabulary.labels, torch.Generator()
    own = adapter.slots - model.vocabulary.label_slots.start
    levels = adapter.levels(torch.special.ndtr(SCORES), passes)
    rho = adapter.readout.correlation.double().cpu()
    out = {quantity.name: np.empty((len(stars), n), np.float32) for quantity in targets}
    for batch in decode_stars(adapter, stars, quiet, passes):
        rows = batch.rows
        seed_at(generator, seed, rows)
        drawn = torch.from_numpy(np.stack([base[name][rows] for name in labels if name in base], 1))
        score = draw_conditional_scores(draw_scores(drawn, generator), rho, generator)[:, own]
        score = draw_scores(
            score, generator
        )  # the marginals of n samples are then as good as n ranks can be
        nodes = batch.mixture.quantile(levels).cpu()
        values = interpolate_quantiles(nodes, score).double().numpy()
        for i, quantity in enumerate(targets):
            out[quantity.name][rows] = model.standardiser.physical(quantity.name, values[:, i])
    return out
