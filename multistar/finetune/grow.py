"""Fits the boosted trees of an adapter: middles, widths and classes, one label after the other."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch

from multistar.finetune.adapter import Adapter, difference
from multistar.finetune.calibrate import calibrate
from multistar.finetune.examples import Examples
from multistar.finetune.trees import (
    CLASSES,
    LEAST_WIDTH,
    MIDDLE,
    WIDTH,
    TreeReadout,
    import_xgboost,
)
from multistar.finetune.tune import FinetuneConfig
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.training.engine import show_progress

# Chosen among five settings on 3,000 LAMOST stars that are not those of docs/measured. Few bins and
# few features per tree: the embedding has 256 features, and time goes with both.
SETTINGS = {
    "max_depth": 4,
    "learning_rate": 0.04,
    "min_child_weight": 5,
    "subsample": 0.6,
    "colsample_bytree": 0.3,
    "max_bin": 64,
    "tree_method": "hist",
}
ROUNDS = 400
# Widths have fewer, smaller trees: a star's residual tells little of its width.
WIDTH_SETTINGS = SETTINGS | {"max_depth": 3, "min_child_weight": 1}
WIDTH_ROUNDS = 100
FOLDS = 5  # residuals are those of trees that have not seen the star
BATCH = 256


def grow(
    base: Model,
    adapter: Adapter,
    config: FinetuneConfig,
    train: Examples,
    validation: Examples,
    quiet: bool = True,
) -> Adapter:
    """Fit the trees of all labels of an adapter of mode "trees".

    Parameters
    ----------
    base : Model
    adapter : Adapter
        Fresh; it is changed.
    config : FinetuneConfig
        Of which the seed is used.
    train, validation : Examples
        Stars that are learnt from, and those that calibrate the widths.
    quiet : bool
        Show no progress bar.

    Returns
    -------
    Adapter
        As it will be when it is read from disk.
    """
    readout = adapter.readout
    assert isinstance(readout, TreeReadout)
    readout.reads.copy_(train.stars.observed.any(0))
    x = _features(adapter, train)
    with show_progress("trees", len(adapter.request.names), 0, quiet) as show:
        for i, quantity in enumerate(adapter.request.targets):
            show(i, quantity.name)
            known = train.target.observed[:, i].numpy()
            target, error = (
                numbers[known, i].double().numpy()
                for numbers in (train.target.value, train.target.sigma)
            )
            fit_numbers(readout, quantity.name, x[known], target, error, config.seed)
        for i, (name, words) in enumerate(adapter.request.classes.items()):
            show(len(adapter.request.targets) + i, name)
            codes = train.codes[:, i].numpy()
            fit_classes(readout, name, x[codes >= 0], codes[codes >= 0], len(words), config.seed)
        show(len(adapter.request.names), "")
    calibrate(adapter, train, validation, _encoded(adapter, train), _encoded(adapter, validation))
    changes = difference(adapter, base, {})
    grown = Adapter.fresh(base, adapter.request)
    grown.apply(changes)
    grown.provenance = {
        "settings": dataclasses.asdict(config),
        "training_stars": len(train),
        "held_out_stars": len(validation),
        "trees": ROUNDS,
    }
    return grown


def _encoded(adapter: Adapter, stars: Examples) -> Iterator[tuple[Examples, Memory]]:
    for start in range(0, len(stars), BATCH):
        part = stars.rows(slice(start, start + BATCH))
        yield part, adapter.encode(part.stars)


@torch.inference_mode()
def _features(adapter: Adapter, stars: Examples) -> np.ndarray:
    """(n, F) what the trees read of all stars."""
    readout, network = adapter.readout, adapter.model.network
    assert isinstance(readout, TreeReadout)
    parts = [readout.features(network, memory, p.stars) for p, memory in _encoded(adapter, stars)]
    return torch.cat(parts).numpy()


def fit_numbers(
    readout: TreeReadout, name: str, x: np.ndarray, y: np.ndarray, error: np.ndarray, seed: int
) -> None:
    """Fit middle and width of a numeric target.

    A label counts as if the trees' own error were like a typical label's. The width is what the
    residuals r have beyond the labels' errors e: trees maximise the likelihood of r under the
    variance s^2 + e^2, in log s, by its gradient and its Fisher information.

    Parameters
    ----------
    readout : TreeReadout
        Gets the trees.
    name : str
        Of the target.
    x : (n, F) ndarray
    y, error : (n,) ndarray
        Labels and their errors, standardised; 0 is exact.
    seed : int
    """
    xgboost = import_xgboost()
    typical = np.median(error[error > 0]) ** 2 if (error > 0).any() else 1.0
    weight = typical / (typical + error**2)
    common = {"seed": seed, "nthread": torch.get_num_threads()}
    settings = SETTINGS | common | {"objective": "reg:squarederror"}
    fold = np.random.default_rng(seed).permutation(len(x)) % FOLDS
    residual = np.empty(len(x))
    for k in range(FOLDS):
        seen, left = fold != k, fold == k
        data = xgboost.DMatrix(x[seen], y[seen], weight=weight[seen])
        trees = xgboost.train(settings, data, ROUNDS)
        residual[left] = y[left] - trees.inplace_predict(x[left])
    whole = xgboost.DMatrix(x, y, weight=weight)
    readout.boosters[f"{name}.{MIDDLE}"] = xgboost.train(settings, whole, ROUNDS)

    def slopes(log_width: np.ndarray, _) -> tuple[np.ndarray, np.ndarray]:
        own = np.exp(2 * log_width)
        variance = own + error**2
        gradient = own / variance - residual**2 * own / variance**2
        return gradient, 2 * (own / variance) ** 2 + 1e-3

    beyond_errors = np.mean(residual**2) - np.mean(error**2)
    first = np.log(np.sqrt(max(beyond_errors, LEAST_WIDTH)))
    settings = WIDTH_SETTINGS | common | {"base_score": float(first)}
    data = xgboost.DMatrix(x, residual)
    readout.boosters[f"{name}.{WIDTH}"] = xgboost.train(settings, data, WIDTH_ROUNDS, obj=slopes)


def fit_classes(
    readout: TreeReadout, name: str, x: np.ndarray, codes: np.ndarray, size: int, seed: int
) -> None:
    """Fit the trees of a class label to stars (n, F) and the numbers (n,) of their classes."""
    xgboost = import_xgboost()
    settings = SETTINGS | {"objective": "multi:softprob", "num_class": size, "seed": seed}
    settings |= {"nthread": torch.get_num_threads()}
    trees = xgboost.train(settings, xgboost.DMatrix(x, codes), ROUNDS)
    readout.boosters[f"{name}.{CLASSES}"] = trees
