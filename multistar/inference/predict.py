"""Stars -> labels with errors: median and central 68 % interval, joint samples on request; one row per input row."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch

from multistar import status
from multistar.inference.consistency import EDGE, mean_squared_score
from multistar.inference.stream import Encoded, encode_stars, map_batches
from multistar.io.chunks import ROWS
from multistar.io.write import to_arrow
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.model.vocabulary import Vocabulary
from multistar.stars import Stars

LEVELS = (0.5, 0.16, 0.84)
SUFFIXES = ("", "_lower", "_upper")
ROW_MAJOR = "row-major, "  # how the metadata tells of `covariance`, then the names
SCORES = torch.linspace(
    -3.5, 3.5, 15, dtype=torch.float64
)  # normal scores of the levels where marginals are known
AT_ONCE = 1024  # samples of all stars together that are drawn at once: they fit the caches of a CPU
ON_GPU = 64  # times as many: some hundred MB


def predict(
    model: Model,
    stars: Stars,
    quiet: bool = False,
    samples: int = 0,
    seed: int = 0,
    consistency: bool = False,
) -> pa.Table:
    """source_id, status, and for each label L the columns L, L_lower, L_upper in the label's unit.

    These are quantiles of the marginal posterior given everything that was measured of the star,
    recalibrated on held-out stars. A star without data gets the prior and says so in `status`.

    samples  if not 0, that many draws of the joint posterior: columns L_samples (fixed-size lists of
             float32; the i-th entries of all labels belong together) and `covariance`, the samples'
             covariance matrix flattened row by row, labels in the order of the metadata key
             `covariance`, in the product of their units. The same seed gives the same draws.
    consistency  also the column `consistency`, see consistency.py; stars beyond its EDGE are flagged
             "inconsistent". Costs about as much as the prediction.

    Raises ValueError for samples = 1 or less than 0.
    """
    if samples < 0 or samples == 1:
        raise ValueError(
            f"samples={samples} must be 0 (none) or at least 2, so that a covariance exists"
        )
    names, slots = model.vocabulary.labels, torch.tensor(list(model.vocabulary.label_slots))
    levels = model.recalibrator(torch.tensor(LEVELS))
    quantiles = np.empty((len(stars), len(names), len(LEVELS)))

    def ask(batch: Encoded) -> None:
        mixture = model.network.decode(batch.memory, slots.to(batch.memory.features.device))
        quantiles[batch.rows] = mixture.quantile(levels).cpu()

    if samples:
        flags, drawn, covariance = _draw(model, stars, samples, seed, quiet, ask)
    else:
        flags = map_batches(model, stars, "predict", ask, quiet)
        drawn = covariance = np.empty(0)
    score = {}
    if consistency:
        score["consistency"] = mean_squared_score(model, stars, quiet)
        flags[score["consistency"] > EDGE] |= status.BIT["inconsistent"]
    columns = {"source_id": stars.source_id, "status": status.words(flags)} | score
    for i, name in enumerate(names):
        for j, suffix in enumerate(SUFFIXES):
            columns[name + suffix] = model.standardiser.physical(name, quantiles[:, i, j])
    if samples:
        columns |= {f"{name}_samples": drawn[i] for i, name in enumerate(names)} | {
            "covariance": covariance
        }
    return _with_units(to_arrow(columns, _metadata(model, samples, seed)), model.vocabulary)


@torch.inference_mode()
def _draw(
    model: Model, stars: Stars, n: int, seed: int, quiet: bool, ask: Callable[[Encoded], None]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flags (stars,), samples (labels, stars, n) and covariances (stars, labels * labels) in the labels' units.

    One batch after another, since all of them draw from one sequence of random numbers; `ask` is called for each.
    """
    slots = torch.tensor(list(model.vocabulary.label_slots))
    flags = stars.flags.copy()
    drawn = np.empty((len(slots), len(stars), n), np.float32)
    covariance = np.empty((len(stars), len(slots) ** 2))
    nodes = model.recalibrator(torch.special.ndtr(SCORES))
    generator = torch.Generator()
    for batch in encode_stars(model, stars, "predict", quiet):
        ask(batch)
        flags[batch.rows] = batch.flags
        seed_at(generator, seed, batch.rows)
        joint = joint_samples(model, batch.memory, slots, n, generator)
        joint = with_marginals(model, batch.memory, slots, joint, nodes, generator)
        joint = _physical(model, joint)
        drawn[:, batch.rows], covariance[batch.rows] = joint, covariances(joint)
    return flags, drawn, covariance


def seed_at(generator: torch.Generator, seed: int, rows: slice) -> None:
    """Seed anew where a part of a long table begins: read in parts or whole, stars get the same samples."""
    if rows.start % ROWS == 0:
        generator.manual_seed(seed + rows.start // ROWS)


@torch.inference_mode()
def joint_samples(
    model: Model, memory: Memory, order: torch.Tensor, n: int, generator: torch.Generator
) -> torch.Tensor:
    """(B, n, Q) standardised joint samples of the slots `order` (Q,) for the B stars of memory, in bounded memory."""
    order, most = (
        order.to(memory.features.device),
        AT_ONCE * (1 if memory.features.device.type == "cpu" else ON_GPU),
    )
    at_once = max(1, most // n)  # stars
    parts = []
    for start in range(0, len(memory.features), at_once):
        part = memory.rows(slice(start, start + at_once))
        pieces = [min(most, n - done) for done in range(0, n, most)]
        parts.append(
            torch.cat(
                [model.network.head.sample(part, order, piece, generator) for piece in pieces], 1
            )
        )
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
    """Samples (B, n, slots) with their ranks as they are and the values of the marginals that parallel mode gives.

    Which values go together is what only the chain of conditionals knows; where and how wide each of them is, the
    parallel mode knows better: errors of the chain add up from slot to slot. So the chain's copula is joined with
    the marginals (the empirical copula of Clark et al. 2004, the 'Schaake shuffle'), interpolated between SCORES.
    levels (..., 15): the levels of the mixture that stand for SCORES; those of a recalibrator, or ndtr(SCORES).
    """
    mixture = model.network.decode(memory, slots.to(memory.features.device))
    nodes = mixture.quantile(levels).cpu()
    return at_scores(nodes, scores_of(samples.transpose(1, 2), generator)).transpose(1, 2)


def scores_of(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Normal scores (..., n) of the ranks of the samples x (..., n), each drawn at random within its rank."""
    rank = x.argsort(-1).argsort(-1) + torch.rand(x.shape, generator=generator)
    return torch.special.ndtri(rank.double() / x.shape[-1])


def at_scores(nodes: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Values (..., n) at the normal scores (..., n), between the values `nodes` (..., 15) at SCORES."""
    place = (score.clamp(SCORES[0], SCORES[-1]) - SCORES[0]) / (SCORES[1] - SCORES[0])
    left = place.long().clamp(max=len(SCORES) - 2)
    share = (place - left).to(nodes.dtype)
    return nodes.gather(-1, left) * (1 - share) + nodes.gather(-1, left + 1) * share


def _physical(model: Model, samples: torch.Tensor) -> np.ndarray:
    """(B, n, labels) standardised -> (labels, B, n) in the labels' units."""
    z = samples.double().numpy()
    return np.stack(
        [
            model.standardiser.physical(name, z[..., i])
            for i, name in enumerate(model.vocabulary.labels)
        ]
    )


def covariances(samples: np.ndarray) -> np.ndarray:
    """(labels, B, n) -> (B, labels * labels)."""
    residual = samples - samples.mean(-1, keepdims=True)
    return (np.einsum("ibn,jbn->bij", residual, residual) / (samples.shape[-1] - 1)).reshape(
        samples.shape[1], -1
    )


def _with_units(table: pa.Table, vocabulary: Vocabulary) -> pa.Table:
    names = vocabulary.labels
    unit = {
        name + suffix: vocabulary.quantity(name).unit
        for name in names
        for suffix in (*SUFFIXES, "_samples")
    }
    fields = [
        f.with_metadata({"unit": unit[f.name]}) if f.name in unit else f for f in table.schema
    ]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


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
