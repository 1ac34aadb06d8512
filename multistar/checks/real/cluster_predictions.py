"""Predictions for members of open clusters: by a model, fine-tuned, by XGBoost, by the median.

Predictions are Guess objects, so that all are judged alike in clusters.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from multistar.checks.real.learners import predict_with_trees, read_inputs
from multistar.checks.results import keep_result
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import decode_stars, predict_columns
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.predict import predict
from multistar.inference.stream import stream_measurements
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model
from multistar.model.mixture import Mixture
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars

LABELS = ("age", "ebv", "distance")
ENDS = ("", "_lower", "_upper")
FOLDS = 5
LOG_AGE = np.linspace(-3.0, 1.15, 84)  # log10 Gyr, where posteriors are multiplied
AGE_STEP = 0.05  # dex
SMOOTHED, LEAST = 5, 1e-3  # of the prior of ages: steps that are averaged, and what is added
ZERO_SHOT, FINE_TUNED, TREES, MEDIAN = "zero shot", "fine-tuned", "XGBoost", "median"


@dataclass(frozen=True)
class Guess:
    """Predictions of one kind for n stars.

    values       label -> (n,) medians
    intervals    label -> (n, 2) lower and upper end of the 68 % interval, where there is one
    log_density  (n, len(LOG_AGE)) log likelihood of the age, where there is one
    is_outside   (n,) which stars are called outside_training, where that is said
    """

    values: dict[str, np.ndarray]
    intervals: dict[str, np.ndarray] | None = None
    log_density: np.ndarray | None = None
    is_outside: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> "Guess":
        """Return the guess for some of the stars."""
        values = {name: value[rows] for name, value in self.values.items()}
        intervals = self.intervals
        if intervals is not None:
            intervals = {name: ends[rows] for name, ends in intervals.items()}
        density = None if self.log_density is None else self.log_density[rows]
        outside = None if self.is_outside is None else self.is_outside[rows]
        return Guess(values, intervals, density, outside)


def compute_age_density(model: Model, mixture: Mixture, column: int) -> np.ndarray:
    """Compute the log density (n, len(LOG_AGE)) of ages from one column of a mixture."""
    slot = model.vocabulary.slot("age")
    center, scale = (float(x[slot]) for x in (model.standardiser.center, model.standardiser.scale))
    z = (np.asarray(to_even_scale(QUANTITIES["age"], 10**LOG_AGE)) - center) / scale
    parts = []
    for part in (mixture.log_weight, mixture.mean, mixture.log_sigma):
        parts.append(part[:, column : column + 1].expand(-1, len(z), -1))
    value = torch.tensor(z).float().expand(len(mixture.mean), -1)
    return Mixture(*parts).log_prob(value, torch.zeros_like(value)).numpy()


@torch.inference_mode()
def predict_zero_shot(model: Model, stars: Stars) -> Guess:
    """Predict with the model as it is.

    The log likelihood of an age is what the star adds to that of one without data.
    """
    table = predict(model, stars)
    values = {name: table[name].to_numpy() for name in LABELS}
    intervals = {}
    for name in LABELS:
        ends = [table[name + end].to_numpy() for end in ENDS[1:]]
        intervals[name] = np.stack(ends, 1)
    slot = torch.tensor([model.vocabulary.slot("age")])
    density, prior = np.empty((len(stars), len(LOG_AGE))), np.zeros(len(LOG_AGE))
    for rows, measured in stream_measurements(model, stars, "age of"):
        mixture = model.network.decode(model.network.encode(measured), slot)
        density[rows] = compute_age_density(model, mixture, 0)
        measured.observed[:] = False
        unseen = model.network.decode(model.network.encode(measured), slot)
        prior = compute_age_density(model, unseen, 0)[0]
    words = table["status"].to_pylist()
    is_outside = np.array(["outside_training" in word for word in words])
    return Guess(values, intervals, density - prior, is_outside)


def assign_folds(clusters: Any) -> np.ndarray:
    """Assign stars (n,) to FOLDS folds, all members of a cluster to the same."""
    names = clusters.unique()
    order = np.random.default_rng(0).permutation(len(names))
    folds = dict(zip(names, order % FOLDS, strict=True))
    return clusters.map(folds).to_numpy()


def predict_in_folds(
    base: Model, frame: pd.DataFrame, mode: str, most: int, cache: Path | None
) -> dict[str, Guess]:
    """Predict every cluster by what is learnt from others.

    Parameters
    ----------
    frame
        Members with their cluster's values of LABELS, as attach_catalogue gives them.
    most
        Stars of other clusters that are learnt from.
    cache
        Folder where folds are kept.

    Returns
    -------
    dict
        FINE_TUNED, TREES and MEDIAN -> Guess.
    """
    fold = assign_folds(frame["cluster"])
    n = len(frame)
    values = {who: {} for who in (FINE_TUNED, TREES, MEDIAN)}
    for named in values.values():
        named.update({name: np.full(n, np.nan) for name in LABELS})
    intervals = {name: np.full((n, 2), np.nan) for name in LABELS}
    density = np.full((n, len(LOG_AGE)), np.nan)
    for k in range(FOLDS):
        path = cache / f"clusters-{mode}-{most}-{k}.json" if cache else None
        found = keep_result(path, lambda k=k: _learn_fold(base, frame, fold == k, mode, most, k))
        rows = fold == k
        density[rows] = found["log_density"]
        for name in LABELS:
            intervals[name][rows] = found["intervals"][name]
            for who, named in values.items():
                named[name][rows] = found[who][name]
    guesses = {who: Guess(values[who]) for who in (TREES, MEDIAN)}
    return {FINE_TUNED: Guess(values[FINE_TUNED], intervals, density)} | guesses


def _learn_fold(base: Model, frame, held: np.ndarray, mode: str, most: int, seed: int) -> dict:
    """Predictions for the stars `held` (n,), learnt from at most `most` of the others."""
    others = np.random.default_rng(seed).permutation(np.flatnonzero(~held))[:most]
    config = FinetuneConfig(split="healpix")
    train = frame.iloc[others]
    adapter = finetune(base, train, list(LABELS), mode, config=config, quiet=False)
    learnt, asked = read_stars(train), read_stars(frame[held])
    ours, _ = predict_columns(adapter, asked)
    result: dict = {FINE_TUNED: {name: ours[name][0] for name in LABELS}}
    result["intervals"] = {}
    for name in LABELS:
        result["intervals"][name] = np.stack([ours[name + end][0] for end in ENDS[1:]], 1)
    place = [quantity.name for quantity in adapter.request.targets].index("age")
    parts = []
    for batch in decode_stars(adapter, asked):
        parts.append(compute_age_density(adapter.model, batch.mixture, place))
    prior = _estimate_prior(learnt.scalars["age"].value)
    result["log_density"] = np.round(np.concatenate(parts) - prior, 3)
    x, x_test = (read_inputs(base, stars) for stars in (learnt, asked))
    result[TREES], result[MEDIAN] = {}, {}
    for name in LABELS:
        quantity, label = QUANTITIES[name], learnt.scalars[name].value
        trees = predict_with_trees(x, to_even_scale(quantity, label), x_test)
        result[TREES][name] = from_even_scale(quantity, trees)
        result[MEDIAN][name] = float(np.nanmedian(label))
    return result


def _estimate_prior(age: np.ndarray) -> np.ndarray:
    """Log of the smoothed share of ages [Gyr] (n,) at each step of LOG_AGE."""
    edges = np.append(LOG_AGE, LOG_AGE[-1] + AGE_STEP)
    counts = np.histogram(np.log10(age), edges)[0]
    window = np.ones(SMOOTHED) / SMOOTHED
    return np.log(np.convolve(counts / counts.sum() + LEAST, window, "same"))
