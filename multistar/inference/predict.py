"""Stars -> labels with errors: median and central 68 % interval, one row per input row.

Joint samples are drawn on request.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch

from multistar import status
from multistar.inference.consistency import edges, mean_squared_score
from multistar.inference.given import Given, as_given, complete_errors, decode_marginals
from multistar.inference.parallax import LUMINOSITY_LABELS, contradicts_parallax
from multistar.inference.prior import (
    FEWEST_EFFECTIVE,
    count_effective,
    resample,
    weighted_quantiles,
)
from multistar.inference.request import Request
from multistar.inference.result import LEVELS, SUFFIXES, Prediction, describe_result
from multistar.inference.samples import (
    FEWEST_WEIGHTED,
    SCORES,
    covariances,
    draw_chain,
    seed_at,
    with_marginals,
)
from multistar.inference.stream import Encoded, encode_stars, map_batches
from multistar.model.checkpoint import Model
from multistar.model.mixture import Mixture
from multistar.stars import Stars

# Called with each encoded batch and label -> (B, n) samples of it in the label's unit, if drawn.
Watch = Callable[[Encoded, Mapping[str, np.ndarray]], None]


def predict(
    model: Model,
    stars: Stars,
    quiet: bool = False,
    samples: int = 0,
    seed: int = 0,
    consistency: bool = False,
    labels: Sequence[str] = (),
    given: Collection[str] | Given = (),
    prior: str | None = None,
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
    prior : str, optional
        A population that the stars are known to be of, instead of all training stars: see
        model/populations.py. Draws of the posterior are weighted by it, and all columns are of
        the weighted draws; it costs as much as 256 samples.

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
        Stars that a `prior` hardly knows are flagged "unlike_prior".

    Raises
    ------
    ValueError
        For samples = 1 or less than 0, labels and priors that the model does not have, and given
        labels that the table does not have or of which no error is known.
    """
    request = Request(samples, seed, consistency, tuple(labels), as_given(given), prior)
    return predict_stars(model, stars, quiet, request).to_table()


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
    # every label by its name from here on
    request = replace(request, labels=request.names(model))
    populations = request.populations(model)
    if request.given:
        stars = complete_errors(model, stars, request.given)
    # the weights of a prior need some more labels than come out
    more = () if populations is None else populations.labels
    drawn_labels = tuple(dict.fromkeys([*request.labels, *more]))
    marginals = _Marginals(model, stars, request, drawn_labels)
    draws = None
    if request.samples or populations is not None:
        draws = _Draws(model, len(stars), request, drawn_labels)

    def read(batch: Encoded) -> None:
        mixture = marginals.read(batch)
        drawn = {} if draws is None else draws.read(batch, mixture)
        if watch is not None:
            watch(batch, drawn)

    given = tuple(request.given)
    if draws is None:
        flags = map_batches(model, stars, "predict", read, quiet, given)
    else:
        # one batch after another, since all of them draw from one sequence of random numbers
        flags = stars.flags.copy()
        for batch in encode_stars(model, stars, "predict", quiet, given):
            flags[batch.rows] = batch.flags
            read(batch)

    result = Prediction(flags, {"source_id": stars.source_id}, {}, describe_result(model, request))
    flags[marginals.contradicts] |= status.BIT["inconsistent"]
    if "parallax" in stars.scalars:
        contradicts = contradicts_parallax(model, stars, marginals.median)
        flags[contradicts] |= status.BIT["inconsistent"]
    if request.consistency:
        score = mean_squared_score(model, stars, quiet)
        flags[score > edges(stars)] |= status.BIT["inconsistent"]
        result.columns["consistency"] = score
    marginals.add_to(result, request.labels)
    if draws is not None:
        draws.add_to(result)
    return result


class _Marginals:
    """Collects the quantiles of labels, batch by batch.

    Parameters
    ----------
    model : Model
    stars : Stars
    request : Request
    labels : tuple of str
        Those that come out, and what a prior needs beside them.

    Attributes
    ----------
    contradicts : (stars,) bool ndarray
        Of which a given label contradicts all the rest.
    """

    def __init__(self, model: Model, stars: Stars, request: Request, labels: tuple[str, ...]):
        self.model, self.request = model, request
        self.asked = labels
        if "parallax" in stars.scalars:
            # the check of parallaxes asks for some more labels than come out
            known = model.vocabulary.labels
            more = [n for n in LUMINOSITY_LABELS if n in known and n not in labels]
            self.asked = (*labels, *more)
        rows_of = [model.vocabulary.labels.index(name) for name in self.asked]
        self.levels = model.recalibrator(torch.tensor(LEVELS))[rows_of]
        self.quantiles = np.empty((len(stars), len(self.asked), len(LEVELS)))
        self.contradicts = np.zeros(len(stars), bool)

    @torch.inference_mode()
    def read(self, batch: Encoded) -> Mixture:
        """Decode a batch; return the marginals of all labels that were asked for."""
        marginals = decode_marginals(self.model, batch, self.asked, tuple(self.request.given))
        levels = self.levels
        if self.request.given:
            # a given label's posterior is as wide as its stated error says
            as_stated = torch.tensor(LEVELS, dtype=levels.dtype).expand_as(levels)
            levels = torch.where(marginals.is_given.cpu()[..., None], as_stated, levels)
        self.quantiles[batch.rows] = marginals.mixture.quantile(levels).cpu()
        self.contradicts[batch.rows] = marginals.contradicts.cpu()
        return marginals.mixture

    def median(self, name: str) -> np.ndarray:
        """Median (stars,) of a label in its unit."""
        quantiles = self.quantiles[:, self.asked.index(name), LEVELS.index(0.5)]
        return self.model.standardiser.physical(name, quantiles)

    def add_to(self, result: Prediction, labels: Sequence[str]) -> None:
        """Put the columns of labels into a result."""
        for name in labels:
            for j, suffix in enumerate(SUFFIXES):
                quantiles = self.quantiles[:, self.asked.index(name), j]
                values = self.model.standardiser.physical(name, quantiles)
                result.columns[name + suffix] = values
                result.units[name + suffix] = self.model.vocabulary.quantity(name).unit


class _Draws:
    """Collects joint samples of labels, batch by batch; weighted ones if there is a prior.

    Parameters
    ----------
    model : Model
    n : int
        Number of stars.
    request : Request
        With the names of all labels that come out.
    labels : tuple of str
        Those that are drawn: first those that come out, then what a prior needs beside them.
    """

    def __init__(self, model: Model, n: int, request: Request, labels: tuple[str, ...]):
        self.model, self.request, self.labels = model, request, labels
        shown = len(request.labels)
        self.samples = np.empty((shown, n, request.samples), np.float32)
        self.covariance = np.empty((n, shown**2))
        self.quantiles = np.empty((shown, n, len(LEVELS)))
        self.effective = np.full(n, np.inf)
        rows_of = [model.vocabulary.labels.index(name) for name in labels]
        levels = torch.special.ndtr(SCORES)
        recalibrated = model.recalibrator(levels)[rows_of]
        is_given = torch.tensor([name in request.given for name in labels])
        self.levels = torch.where(is_given[:, None], levels.expand_as(recalibrated), recalibrated)
        self.generator = torch.Generator()

    @torch.inference_mode()
    def read(self, batch: Encoded, mixture: Mixture) -> dict[str, np.ndarray]:
        """Draw samples of a batch; return those of each label that comes out, (B, samples)."""
        request, rows = self.request, batch.rows
        n = request.samples
        if request.prior is not None:
            n = max(n, FEWEST_WEIGHTED)
        seed_at(self.generator, request.seed, rows)
        chain = draw_chain(self.model, batch, self.labels, tuple(request.given), n, self.generator)
        marginals = mixture.first(len(self.labels))
        joint = with_marginals(marginals, chain, self.levels, self.generator)
        drawn = self._to_units(joint)
        if request.prior is not None:
            drawn = self._assume_prior(rows, drawn)
        if request.samples:
            self.samples[:, rows] = drawn
            self.covariance[rows] = covariances(drawn)
        return dict(zip(request.labels, self.samples[:, rows], strict=True))

    def _assume_prior(self, rows: slice, drawn: np.ndarray) -> np.ndarray:
        """Weigh draws (labels, B, m), keep their quantiles, and choose (labels shown, B, n) anew."""
        populations, prior = self.model.populations, self.request.prior
        assert populations is not None and prior is not None
        weight = populations.weigh(prior, dict(zip(self.labels, drawn, strict=True)))
        self.effective[rows] = count_effective(weight)
        shown = drawn[: len(self.request.labels)]
        for i, values in enumerate(shown):
            self.quantiles[i, rows] = weighted_quantiles(values, weight, np.array(LEVELS))
        start = torch.rand(len(weight), generator=self.generator).numpy()
        chosen = resample(weight, self.request.samples, start)
        return np.take_along_axis(shown, chosen[None], -1)

    def _to_units(self, joint: torch.Tensor) -> np.ndarray:
        """(B, n, labels) standardised -> (labels, B, n) in the labels' units."""
        z = joint.double().numpy()
        physical = self.model.standardiser.physical
        return np.stack([physical(name, z[..., i]) for i, name in enumerate(self.labels)])

    def add_to(self, result: Prediction) -> None:
        """Put samples and covariances into a result, and what a prior makes of its quantiles."""
        for i, name in enumerate(self.request.labels):
            if self.request.prior is not None:
                for j, suffix in enumerate(SUFFIXES):
                    result.columns[name + suffix] = self.quantiles[i, :, j]
            if self.request.samples:
                result.columns[f"{name}_samples"] = self.samples[i]
                result.units[f"{name}_samples"] = self.model.vocabulary.quantity(name).unit
        if self.request.samples:
            result.columns["covariance"] = self.covariance
        result.flags[self.effective < FEWEST_EFFECTIVE] |= status.BIT["unlike_prior"]
