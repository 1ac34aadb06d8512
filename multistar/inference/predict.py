"""Stars -> labels with errors: median and central 68 % interval, one row per input row.

Joint samples are drawn on request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from multistar import status
from multistar.inference.consistency import edges, mean_squared_score
from multistar.inference.parallax import contradicts_parallax
from multistar.inference.stream import Encoded, encode_stars, map_batches
from multistar.io.chunks import ROWS
from multistar.io.write import to_arrow
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.stars import Stars

LEVELS = (0.5, 0.16, 0.84)
SUFFIXES = ("", "_lower", "_upper")
# How the metadata describe `covariance`; the names of the labels follow.
ROW_MAJOR = "row-major, "
# Normal scores of the levels where marginals are known.
SCORES = torch.linspace(-3.5, 3.5, 15, dtype=torch.float64)
# Samples of all stars together that are drawn at once: they fit the caches of a CPU.
AT_ONCE = 1024
# How many times as many are drawn at once on a GPU: some hundred MB.
ON_GPU = 64

# Called with each encoded batch and label -> (B, n) samples of it in the label's unit, if drawn.
Watch = Callable[[Encoded, Mapping[str, np.ndarray]], None]


@dataclass
class Prediction:
    """A result of `predict` before it becomes a table.

    Attributes
    ----------
    flags : (stars,) uint16 ndarray
        What `status` will say.
    columns : dict of str to (stars,) or (stars, k) ndarray
        All others, in order.
    units : dict of str to str
        Column -> its unit; a column without an entry has none.
    metadata : dict of str to str
    """

    flags: np.ndarray
    columns: dict[str, np.ndarray]
    units: dict[str, str]
    metadata: dict[str, str]

    def to_table(self) -> pa.Table:
        """Make the table: source_id, status, and the other columns with their units."""
        first = {"source_id": self.columns["source_id"], "status": status.words(self.flags)}
        table = to_arrow(first | self.columns, self.metadata)
        fields = []
        for field in table.schema:
            if field.name in self.units:
                field = field.with_metadata({"unit": self.units[field.name]})
            fields.append(field)
        return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def predict(
    model: Model,
    stars: Stars,
    quiet: bool = False,
    samples: int = 0,
    seed: int = 0,
    consistency: bool = False,
) -> pa.Table:
    """Predict the labels of stars from everything that was measured of them.

    Parameters
    ----------
    model : Model
    stars : Stars
    quiet : bool
        Show no progress.
    samples : int
        If not 0, draw that many samples of the joint posterior.
    seed : int
        The same seed gives the same samples for the same table. A star's draws also depend on its
        row: in another place of the table, or among other stars, it gets other draws of the same
        posterior. Its status, medians and bounds do not.
    consistency : bool
        Also judge whether the measurements of a star fit together; see consistency.py. Costs
        about as much as the prediction.

    Returns
    -------
    pyarrow.Table
        source_id, status, and for each label L the columns L, L_lower, L_upper in the label's
        unit: quantiles of the marginal posterior, recalibrated on held-out stars. A star without
        data gets the prior and says so in `status`.

        With `samples`, also L_samples (fixed-size lists of float32; the i-th entries of all labels
        belong together) and `covariance`, the samples' covariance matrix flattened row by row,
        labels in the order of the metadata key `covariance`, in the product of their units. With
        `consistency`, also a column of that name; stars beyond its edges are flagged
        "inconsistent", as are, always, those whose measurements cannot be of one star (see
        plausible.py and parallax.py).

    Raises
    ------
    ValueError
        For samples = 1 or less than 0.
    """
    if samples < 0 or samples == 1:
        raise ValueError(
            f"samples={samples} must be 0 (none) or at least 2, so that a covariance exists"
        )
    return predict_stars(model, stars, quiet, samples, seed, consistency).to_table()


def predict_stars(
    model: Model,
    stars: Stars,
    quiet: bool,
    samples: int,
    seed: int,
    consistency: bool,
    watch: Watch | None = None,
) -> Prediction:
    """Predict as `predict` does, and let others read the encoded stars on the way.

    Parameters
    ----------
    model, stars, quiet, samples, seed, consistency
        As for `predict`.
    watch : callable, optional
        Called once for each batch, from other threads unless samples are drawn.

    Returns
    -------
    Prediction
        To which more columns may be added before it becomes a table.
    """
    if samples < 0 or samples == 1:
        raise ValueError(
            f"samples={samples} must be 0 (none) or at least 2, so that a covariance exists"
        )
    names = model.vocabulary.labels
    slots = torch.tensor(list(model.vocabulary.label_slots))
    levels = model.recalibrator(torch.tensor(LEVELS))
    quantiles = np.empty((len(stars), len(names), len(LEVELS)))

    def decode(batch: Encoded) -> None:
        mixture = model.network.decode(batch.memory, slots.to(batch.memory.features.device))
        quantiles[batch.rows] = mixture.quantile(levels).cpu()

    def decode_and_show(batch: Encoded) -> None:
        decode(batch)
        if watch is not None:
            watch(batch, {})

    drawn = covariance = np.empty(0)
    if samples:
        flags, drawn, covariance = _draw(model, stars, samples, seed, quiet, decode, watch)
    else:
        flags = map_batches(model, stars, "predict", decode_and_show, quiet)

    def median(name: str) -> np.ndarray:
        return model.standardiser.physical(name, quantiles[:, names.index(name), 0])

    flags[contradicts_parallax(model, stars, median)] |= status.BIT["inconsistent"]
    columns: dict[str, np.ndarray] = {"source_id": stars.source_id}
    if consistency:
        columns["consistency"] = mean_squared_score(model, stars, quiet)
        flags[columns["consistency"] > edges(stars)] |= status.BIT["inconsistent"]
    units = {}
    for i, name in enumerate(names):
        for j, suffix in enumerate(SUFFIXES):
            columns[name + suffix] = model.standardiser.physical(name, quantiles[:, i, j])
            units[name + suffix] = model.vocabulary.quantity(name).unit
    if samples:
        for i, name in enumerate(names):
            columns[f"{name}_samples"] = drawn[i]
            units[f"{name}_samples"] = model.vocabulary.quantity(name).unit
        columns["covariance"] = covariance
    return Prediction(flags, columns, units, _metadata(model, samples, seed))


@torch.inference_mode()
def _draw(
    model: Model,
    stars: Stars,
    n: int,
    seed: int,
    quiet: bool,
    decode: Callable[[Encoded], None],
    watch: Watch | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw joint samples; call `decode` for each batch, and `watch` with its samples.

    Batches come one after another, since all of them draw from one sequence of random numbers.

    Returns
    -------
    flags : (stars,) ndarray
    samples : (labels, stars, n) ndarray
        In the labels' units.
    covariances : (stars, labels * labels) ndarray
    """
    slots = torch.tensor(list(model.vocabulary.label_slots))
    flags = stars.flags.copy()
    drawn = np.empty((len(slots), len(stars), n), np.float32)
    covariance = np.empty((len(stars), len(slots) ** 2))
    nodes = model.recalibrator(torch.special.ndtr(SCORES))
    generator = torch.Generator()
    names = model.vocabulary.labels
    for batch in encode_stars(model, stars, "predict", quiet):
        decode(batch)
        flags[batch.rows] = batch.flags
        seed_at(generator, seed, batch.rows)
        joint = joint_samples(model, batch.memory, slots, n, generator)
        joint = with_marginals(model, batch.memory, slots, joint, nodes, generator)
        joint = _physical(model, joint)
        drawn[:, batch.rows], covariance[batch.rows] = joint, covariances(joint)
        if watch is not None:
            watch(batch, dict(zip(names, drawn[:, batch.rows], strict=True)))
    return flags, drawn, covariance


def seed_at(generator: torch.Generator, seed: int, rows: slice) -> None:
    """Seed anew where a part of a long table begins.

    Read in parts or whole, stars get the same samples.
    """
    if rows.start % ROWS == 0:
        generator.manual_seed(seed + rows.start // ROWS)


@torch.inference_mode()
def joint_samples(
    model: Model, memory: Memory, order: torch.Tensor, n: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw joint samples of the B stars of memory, in bounded memory.

    Parameters
    ----------
    model : Model
    memory : Memory
    order : (Q,) int Tensor
        The slots, in the order in which they are drawn.
    n : int
        Samples of each star.
    generator : torch.Generator

    Returns
    -------
    (B, n, Q) Tensor
        Standardised samples.
    """
    device = memory.features.device
    order = order.to(device)
    most = AT_ONCE if device.type == "cpu" else AT_ONCE * ON_GPU
    stars_at_once = max(1, most // n)
    sizes = [min(most, n - done) for done in range(0, n, most)]
    parts = []
    for start in range(0, len(memory.features), stars_at_once):
        part = memory.rows(slice(start, start + stars_at_once))
        pieces = [model.network.head.sample(part, order, size, generator) for size in sizes]
        parts.append(torch.cat(pieces, 1))
    return torch.cat(parts).cpu()


@torch.inference_mode()
def with_marginals(
    model: Model,
    memory: Memory,
    slots: torch.Tensor,
    samples: torch.Tensor,
    levels: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Keep the ranks of samples, and give them the values of the marginals of parallel mode.

    Which values go together is what only the chain of conditionals knows. Where and how wide each
    of them is, parallel mode knows better: errors of the chain add up from slot to slot. So the
    chain's copula is joined with the marginals, interpolated between SCORES.

    Parameters
    ----------
    model : Model
    memory : Memory
        B stars.
    slots : (Q,) int Tensor
    samples : (B, n, Q) Tensor
        Standardised samples of the chain.
    levels : (..., 15) Tensor
        The levels of the mixture that stand for SCORES: those of a recalibrator, or ndtr(SCORES).
    generator : torch.Generator

    Returns
    -------
    (B, n, Q) Tensor

    References
    ----------
    The empirical copula of Clark et al. (2004), the "Schaake shuffle".
    """
    mixture = model.network.decode(memory, slots.to(memory.features.device))
    nodes = mixture.quantile(levels).cpu()
    score = draw_scores(samples.transpose(1, 2), generator)
    return interpolate_quantiles(nodes, score).transpose(1, 2)


def draw_scores(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Normal scores (..., n) of the ranks of samples x (..., n), drawn at random in each rank."""
    rank = x.argsort(-1).argsort(-1) + torch.rand(x.shape, generator=generator)
    return torch.special.ndtri(rank.double() / x.shape[-1])


def interpolate_quantiles(nodes: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Interpolate values (..., n) at normal scores (..., n).

    `nodes` (..., 15) are the values at SCORES.
    """
    place = (score.clamp(SCORES[0], SCORES[-1]) - SCORES[0]) / (SCORES[1] - SCORES[0])
    left = place.long().clamp(max=len(SCORES) - 2)
    share = (place - left).to(nodes.dtype)
    return nodes.gather(-1, left) * (1 - share) + nodes.gather(-1, left + 1) * share


def _physical(model: Model, samples: torch.Tensor) -> np.ndarray:
    """(B, n, labels) standardised -> (labels, B, n) in the labels' units."""
    z = samples.double().numpy()
    names = enumerate(model.vocabulary.labels)
    return np.stack([model.standardiser.physical(name, z[..., i]) for i, name in names])


def covariances(samples: np.ndarray) -> np.ndarray:
    """Covariances (B, labels * labels) of samples (labels, B, n), flattened row by row."""
    _, stars, n = samples.shape
    residual = samples - samples.mean(-1, keepdims=True)
    covariance = np.einsum("ibn,jbn->bij", residual, residual) / (n - 1)
    return covariance.reshape(stars, -1)


def _metadata(model: Model, samples: int, seed: int) -> dict[str, str]:
    names = model.vocabulary.labels
    units = ", ".join(f"{n} [{model.vocabulary.quantity(n).unit or '1'}]" for n in names)
    out = {
        "model_sha256": model.hash,
        "precision": model.precision,
        "units": units,
        "quantiles": "L = 50 %, L_lower = 16 %, L_upper = 84 %",
    }
    if samples:
        out |= {
            "samples": f"{samples} joint draws, seed {seed}",
            "covariance": ROW_MAJOR + ", ".join(names),
        }
    return out
