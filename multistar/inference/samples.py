"""Joint samples of the posterior: ranks from the chain of conditionals, values from the marginals."""

from collections.abc import Sequence

import numpy as np
import torch

from encoders import Measurement
from multistar.inference.stream import Encoded, hide_slots
from multistar.io.chunks import ROWS
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.model.mixture import Mixture

# Normal scores of the levels where marginals are known.
SCORES = torch.linspace(-3.5, 3.5, 15, dtype=torch.float64)
# Samples of all stars together that are drawn at once: they fit the caches of a CPU.
AT_ONCE = 1024
# How many times as many are drawn at once on a GPU: some hundred MB.
ON_GPU = 64

# Samples that are drawn at least where they are weighted by given labels.
FEWEST_WEIGHTED = 256


def draw_chain(
    model: Model,
    batch: Encoded,
    names: Sequence[str],
    given: Sequence[str],
    n: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """Draw joint samples (B, n, labels) by the chain, in which given labels come first."""
    order = [*given, *(name for name in names if name not in given)]
    slots = torch.tensor([model.vocabulary.slot(name) for name in order])
    if not given:
        return joint_samples(model, batch.memory, slots, n, generator)
    hidden = [model.vocabulary.slot(name) for name in given]
    memory = model.network.encode(hide_slots(batch.measurement, hidden))
    m = batch.measurement
    is_given = m.observed[:, slots].clone()
    is_given[:, len(given) :] = False
    known = Measurement(m.value[:, slots], m.sigma[:, slots], is_given)
    chain = joint_samples(model, memory, slots, max(n, FEWEST_WEIGHTED), generator, known)
    columns = [order.index(name) for name in names]
    return chain[:, :n, columns]


def seed_at(generator: torch.Generator, seed: int, rows: slice) -> None:
    """Seed anew where a part of a long table begins.

    Read in parts or whole, stars get the same samples.
    """
    if rows.start % ROWS == 0:
        generator.manual_seed(seed + rows.start // ROWS)


@torch.inference_mode()
def joint_samples(
    model: Model,
    memory: Memory,
    order: torch.Tensor,
    n: int,
    generator: torch.Generator,
    known: Measurement | None = None,
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
    known : Measurement, optional
        (B, Q) what is known of the slots beside the memory.

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
        rows = slice(start, start + stars_at_once)
        part = memory.rows(rows)
        of_part = None if known is None else known.rows(rows)
        head = model.network.head
        pieces = [head.sample(part, order, size, generator, of_part) for size in sizes]
        parts.append(torch.cat(pieces, 1))
    return torch.cat(parts).cpu()


def with_marginals(
    mixture: Mixture, samples: torch.Tensor, levels: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Keep the ranks of samples, and give them the values of the marginals of parallel mode.

    Which values go together is what only the chain of conditionals knows. Where and how wide each
    of them is, parallel mode knows better: errors of the chain add up from slot to slot. So the
    chain's copula is joined with the marginals, interpolated between SCORES.

    Parameters
    ----------
    mixture : Mixture
        (B, Q, K) the marginals.
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


def covariances(samples: np.ndarray) -> np.ndarray:
    """Covariances (B, labels * labels) of samples (labels, B, n), flattened row by row."""
    _, stars, n = samples.shape
    residual = samples - samples.mean(-1, keepdims=True)
    covariance = np.einsum("ibn,jbn->bij", residual, residual) / (n - 1)
    return covariance.reshape(stars, -1)
