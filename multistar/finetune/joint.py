"""Joint samples of an adapter's numeric labels.

Labels that the base knows keep the base's dependence on each other; if the adapter has learnt
them anew, each sample keeps its rank and gets the value of this rank in the adapter's marginal.
New labels follow them, and each other, by a Gaussian copula whose correlations are those of the
held-out stars' residuals, as far as the table that was learnt from has the base's labels (log g
beside numax). New labels of different adapters are otherwise independent.
"""

from collections.abc import Mapping

import numpy as np
import torch

from multistar.finetune.adapter import Adapter
from multistar.finetune.copula import correlate_with_truth, correlation, draw_conditional_scores
from multistar.finetune.decode import decode_stars
from multistar.inference.samples import SCORES, draw_scores, interpolate_quantiles, seed_at
from multistar.inference.stream import encode_stars
from multistar.model.checkpoint import Model
from multistar.model.mixture import Mixture
from multistar.stars import Stars
from multistar.training.masks import OUTLIER


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


class JointDraw:
    """Draws joint samples of an adapter's numeric labels, batch by batch and in order.

    Parameters
    ----------
    adapter : Adapter
    stars : int
        Number of stars.
    n : int
        Samples of each star.
    seed : int
    passes : int
        Of Monte-Carlo dropout; see `densities`.

    Attributes
    ----------
    samples : dict of str to (stars, n) ndarray
        Of each target, in its unit.
    """

    def __init__(self, adapter: Adapter, stars: int, n: int, seed: int, passes: int = 0):
        self.adapter, self.seed = adapter, seed
        self.own = adapter.slots - adapter.model.vocabulary.label_slots.start
        self.levels = adapter.levels(torch.special.ndtr(SCORES), passes)
        self.rho = adapter.readout.correlation.double().cpu()
        self.generator = torch.Generator()
        targets = adapter.request.targets
        self.samples = {q.name: np.empty((stars, n), np.float32) for q in targets}

    def take(self, rows: slice, mixture: Mixture, base: Mapping[str, np.ndarray]) -> None:
        """Draw for a batch; base: label -> the base's samples (B, n), all of its labels."""
        if not self.samples:
            return
        model, generator = self.adapter.model, self.generator
        seed_at(generator, self.seed, rows)
        known = [base[name] for name in model.vocabulary.labels if name in base]
        score = draw_scores(torch.from_numpy(np.stack(known, 1)), generator)
        score = draw_conditional_scores(score, self.rho, generator)[:, self.own]
        # the marginals of n samples are then as good as n ranks can be
        score = draw_scores(score, generator)
        nodes = mixture.quantile(self.levels).cpu()
        values = interpolate_quantiles(nodes, score).double().numpy()
        for i, name in enumerate(self.samples):
            self.samples[name][rows] = model.standardiser.physical(name, values[:, i])
