"""Stars -> labels with errors: median and central 68 % interval, one row per input row.

Joint samples are drawn on request.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch

from encoders import Measurement
from multistar import status
from multistar.inference.consistency import edges, mean_squared_score
from multistar.inference.given import Given, as_given, complete_errors, decode_marginals
from multistar.inference.parallax import LUMINOSITY_LABELS, contradicts_parallax
from multistar.inference.stream import Encoded, encode_stars, hide_slots, map_batches
from multistar.io.chunks import ROWS
from multistar.io.write import to_arrow
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.model.mixture import Mixture
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

# Samples that are drawn at least where they are weighted by given labels.
FEWEST_WEIGHTED = 256

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
        for column in table.schema:
            if column.name in self.units:
                column = column.with_metadata({"unit": self.units[column.name]})
            fields.append(column)
        return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def predict(
    model: Model,
    stars: Stars,
    quiet: bool = False,
    samples: int = 0,
    seed: int = 0,
    consistency: bool = False,
    labels: Sequence[str] = (),
    given: Collection[str] | Given = (),
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
    labels : sequence of str
        The labels that come out, in this order; all of the model without it.
    given : collection of str, or mapping of str to float or None
        Labels of the table that are taken for measurements, with the error of values that have
        none. Their own columns are then their posteriors. Each costs one more encoding.

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
        plausible.py and parallax.py), and those of which a given label contradicts all the rest.

    Raises
    ------
    ValueError
        For samples = 1 or less than 0, labels that the model does not have, and given ones that
        the table does not have or of which no error is known.
    """
    request = Request(samples, seed, consistency, tuple(labels), as_given(given))
    return predict_stars(model, stars, quiet, request).to_table()


@dataclass(frozen=True)
class Request:
    """What is asked of a prediction; the attributes are parameters of `predict`."""

    samples: int = 0
    seed: int = 0
    consistency: bool = False
    labels: tuple[str, ...] = ()
    given: Given = field(default_factory=dict)

    def __post_init__(self):
        if self.samples < 0 or self.samples == 1:
            raise ValueError(
                f"samples={self.samples} must be 0 (none) or at least 2, so that a covariance "
                "exists"
            )

    def names(self, model: Model) -> tuple[str, ...]:
        """Return the labels that come out; ValueError if the model lacks one, or one is doubled."""
        known = model.vocabulary.labels
        if unknown := [name for name in self.labels if name not in known]:
            raise ValueError(
                f"labels {unknown} are none of this model's, which are {', '.join(known)}"
            )
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels {list(self.labels)} name one of them twice")
        return self.labels or known


def predict_stars(
    model: Model, stars: Stars, quiet: bool, request: Request, watch: Watch | None = None
) -> Prediction:
    """Predict as `predict` does, and let others read the encoded stars on the way.

    Parameters
    ----------
    model, stars, quiet
        As for `predict`.
    request : Request
    watch : callable, optional
        Called once for each batch, from other threads unless samples are drawn.

    Returns
    -------
    Prediction
        To which more columns may be added before it becomes a table.
    """
    names = request.names(model)
    given = tuple(request.given)
    if given:
        stars = complete_errors(model, stars, request.given)
    # the check of parallaxes asks for some more labels than come out
    asked = names
    has_parallax = "parallax" in stars.scalars
    if has_parallax:
        more = [n for n in LUMINOSITY_LABELS if n in model.vocabulary.labels and n not in names]
        asked = (*names, *more)
    rows_of = [model.vocabulary.labels.index(name) for name in asked]
    levels = model.recalibrator(torch.tensor(LEVELS))[rows_of]
    as_stated = torch.tensor(LEVELS, dtype=levels.dtype).expand_as(levels)
    quantiles = np.empty((len(stars), len(asked), len(LEVELS)))
    contradicts = np.zeros(len(stars), bool)

    def decode(batch: Encoded) -> Mixture:
        marginals = decode_marginals(model, batch, asked, given)
        of_batch = levels
        if given:
            of_batch = torch.where(marginals.is_given.cpu()[..., None], as_stated, levels)
        quantiles[batch.rows] = marginals.mixture.quantile(of_batch).cpu()
        contradicts[batch.rows] = marginals.contradicts.cpu()
        return marginals.mixture

    def decode_and_show(batch: Encoded) -> None:
        decode(batch)
        if watch is not None:
            watch(batch, {})

    drawn = covariance = np.empty(0)
    if request.samples:
        flags, drawn, covariance = _draw(model, stars, request, quiet, decode, watch)
    else:
        flags = map_batches(model, stars, "predict", decode_and_show, quiet, given)

    def median(name: str) -> np.ndarray:
        return model.standardiser.physical(name, quantiles[:, asked.index(name), 0])

    if has_parallax:
        flags[contradicts_parallax(model, stars, median)] |= status.BIT["inconsistent"]
    flags[contradicts] |= status.BIT["inconsistent"]
    columns: dict[str, np.ndarray] = {"source_id": stars.source_id}
    if request.consistency:
        columns["consistency"] = mean_squared_score(model, stars, quiet)
        flags[columns["consistency"] > edges(stars)] |= status.BIT["inconsistent"]
    units = {}
    for i, name in enumerate(names):
        for j, suffix in enumerate(SUFFIXES):
            columns[name + suffix] = model.standardiser.physical(name, quantiles[:, i, j])
            units[name + suffix] = model.vocabulary.quantity(name).unit
    if request.samples:
        for i, name in enumerate(names):
            columns[f"{name}_samples"] = drawn[i]
            units[f"{name}_samples"] = model.vocabulary.quantity(name).unit
        columns["covariance"] = covariance
    return Prediction(flags, columns, units, _metadata(model, request))


@torch.inference_mode()
def _draw(
    model: Model,
    stars: Stars,
    request: Request,
    quiet: bool,
    decode: Callable[[Encoded], Mixture],
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
    names, given = request.names(model), tuple(request.given)
    flags = stars.flags.copy()
    drawn = np.empty((len(names), len(stars), request.samples), np.float32)
    covariance = np.empty((len(stars), len(names) ** 2))
    rows_of = [model.vocabulary.labels.index(name) for name in names]
    nodes = model.recalibrator(torch.special.ndtr(SCORES))[rows_of]
    as_stated = torch.special.ndtr(SCORES).expand_as(nodes)
    is_given = torch.tensor([name in given for name in names])
    nodes = torch.where(is_given[:, None], as_stated, nodes)
    generator = torch.Generator()
    for batch in encode_stars(model, stars, "predict", quiet, given):
        mixture = decode(batch).first(len(names))
        flags[batch.rows] = batch.flags
        seed_at(generator, request.seed, batch.rows)
        chain = _draw_chain(model, batch, names, given, request.samples, generator)
        joint = with_marginals(mixture, chain, nodes, generator)
        joint = _physical(model, names, joint)
        drawn[:, batch.rows], covariance[batch.rows] = joint, covariances(joint)
        if watch is not None:
            watch(batch, dict(zip(names, drawn[:, batch.rows], strict=True)))
    return flags, drawn, covariance


def _draw_chain(
    model: Model,
    batch: Encoded,
    names: Sequence[str],
    given: Sequence[str],
    n: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """(B, n, labels) joint samples by the chain, in which given labels come first."""
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


def _physical(model: Model, names: Sequence[str], samples: torch.Tensor) -> np.ndarray:
    """(B, n, labels) standardised -> (labels, B, n) in the labels' units."""
    z = samples.double().numpy()
    return np.stack([model.standardiser.physical(name, z[..., i]) for i, name in enumerate(names)])


def covariances(samples: np.ndarray) -> np.ndarray:
    """Covariances (B, labels * labels) of samples (labels, B, n), flattened row by row."""
    _, stars, n = samples.shape
    residual = samples - samples.mean(-1, keepdims=True)
    covariance = np.einsum("ibn,jbn->bij", residual, residual) / (n - 1)
    return covariance.reshape(stars, -1)


def _metadata(model: Model, request: Request) -> dict[str, str]:
    names = request.names(model)
    units = ", ".join(f"{n} [{model.vocabulary.quantity(n).unit or '1'}]" for n in names)
    out = {
        "model_sha256": model.hash,
        "precision": model.precision,
        "units": units,
        "quantiles": "L = 50 %, L_lower = 16 %, L_upper = 84 %",
    }
    if request.given:
        out["given"] = ", ".join(request.given)
    if request.samples:
        out |= {
            "samples": f"{request.samples} joint draws, seed {request.seed}",
            "covariance": ROW_MAJOR + ", ".join(names),
        }
    return out
