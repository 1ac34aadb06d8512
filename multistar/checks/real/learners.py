"""What fine-tuning must beat on the real sky: XGBoost and a small network."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from multistar.checks.baselines import XGBOOST
from multistar.inference.stream import show_measurements
from multistar.model.checkpoint import Model
from multistar.stars import Stars

COMPONENTS = 40  # principal components of the kernel's inputs
CHOOSING = 1000  # stars that choose the settings
# Of scores in units of the first component's spread
KERNELS = {"alpha": [1e-3, 1e-2, 1e-1], "gamma": [0.01, 0.03, 0.1, 0.3, 1.0]}


def read_inputs(
    model: Model, stars: Stars, given: Collection[str] = (), every: bool = False
) -> np.ndarray:
    """Give all that a model is shown of stars, for learners of another kind.

    Parameters
    ----------
    given
        Labels that are inputs, too.
    every
        Keep inputs that no star has, so that other stars can be read alike.

    Returns
    -------
    ndarray
        (n, 2 inputs) standardised values and the logarithms of their errors; NaN where not
        observed. Inputs that no star has are left out.
    """
    measured = show_measurements(model, stars, given)
    observed = measured.observed.numpy()
    columns = []
    for numbers in (measured.value, measured.sigma.log()):
        columns.append(np.where(observed, numbers.numpy(), np.nan))
    both = np.hstack(columns)
    return both if every else both[:, np.isfinite(both).any(0)]


def predict_with_trees(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Predict (n_test,) with XGBoost from inputs (n, d) and labels (n,), which may be NaN."""
    import xgboost

    known = np.isfinite(y)
    threads = torch.get_num_threads()
    trees = xgboost.XGBRegressor(**XGBOOST, tree_method="hist", random_state=0, n_jobs=threads)
    return trees.fit(x[known], y[known]).predict(x_test)


def predict_with_kernel(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Predict labels by kernel ridge regression on principal components.

    Parameters
    ----------
    x, x_test
        (n, d) and (n_test, d) inputs; NaN is replaced by the mean.
    y
        (n, labels); NaN is not learnt from.

    Returns
    -------
    ndarray
        (n_test, labels), with settings that were best in five folds of CHOOSING stars.
    """
    from sklearn.decomposition import PCA
    from sklearn.impute import SimpleImputer
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    folds = min(5, len(x) // 2)
    components = make_pipeline(
        SimpleImputer(), PCA(min(COMPONENTS, len(x) - 1, x.shape[1]), random_state=0)
    )
    scores, test = components.fit_transform(x), components.transform(x_test)
    unit = scores[:, 0].std()
    scores, test = scores / unit, test / unit
    middle, width = np.nanmean(y, 0), np.nanstd(y, 0)
    out = []
    for label in ((y - middle) / width).T:
        known = np.flatnonzero(np.isfinite(label))
        few = known[:CHOOSING]
        search = GridSearchCV(
            KernelRidge(kernel="rbf"), KERNELS, cv=folds, scoring="neg_mean_absolute_error"
        )
        best = search.fit(scores[few], label[few]).best_estimator_
        out.append(best.fit(scores[known], label[known]).predict(test))
    return np.stack(out, -1) * width + middle


@dataclass(frozen=True)
class NetworkSettings:
    """Of the small network: two hidden layers, trained with AdamW, stopped by held-out stars."""

    width: int = 128
    dropout: float = 0.1
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    epochs: int = 200
    batch: int = 64
    patience: int = 25  # epochs
    held_out: int = 7  # one star in so many decides when to stop


def predict_with_network(
    x: np.ndarray,
    y: np.ndarray,
    x_test: np.ndarray,
    seed: int,
    settings: NetworkSettings | None = None,
) -> np.ndarray:
    """Predict all labels with one small network from scratch, trained with Huber's loss.

    Parameters
    ----------
    x, x_test
        (n, d) and (n_test, d) inputs; NaN is replaced by the mean and said to be missing.
    y
        (n, labels); NaN is not learnt from.

    Returns
    -------
    ndarray
        (n_test, labels), of the epoch that was best on the held-out stars.
    """
    settings = settings or NetworkSettings()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    inputs, test = _prepare(x, x), _prepare(x, x_test)
    middle, width = np.nanmean(y, 0), np.nanstd(y, 0)
    target = torch.tensor((y - middle) / width, dtype=torch.float32)
    known, target = torch.isfinite(target), torch.nan_to_num(target)
    network = _make_network(inputs.shape[1], y.shape[1], settings)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )

    def measure_loss(rows: np.ndarray) -> torch.Tensor:
        predicted = network(inputs[rows])
        return nn.functional.huber_loss(predicted[known[rows]], target[rows][known[rows]])

    order = rng.permutation(len(x))
    n_held = max(5, len(x) // settings.held_out)
    held, rest = order[:n_held], order[n_held:]
    best, result, waited = np.inf, np.zeros((len(x_test), y.shape[1])), 0
    for _ in range(settings.epochs):
        network.train()
        rest = rng.permutation(rest)
        for start in range(0, len(rest), settings.batch):
            loss = measure_loss(rest[start : start + settings.batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            score = float(measure_loss(held))
            waited += 1
            if score < best:
                best, waited = score, 0
                result = network(test).numpy() * width + middle
        if waited > settings.patience:
            break
    return result


def _prepare(train: np.ndarray, x: np.ndarray) -> torch.Tensor:
    center, scale = np.nanmean(train, 0), np.nanstd(train, 0) + 1e-6
    values = np.nan_to_num((x - center) / scale)
    return torch.tensor(np.hstack([values, np.isfinite(x)]), dtype=torch.float32)


def _make_network(inputs: int, outputs: int, settings: NetworkSettings) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, settings.width),
        nn.SiLU(),
        nn.Dropout(settings.dropout),
        nn.Linear(settings.width, settings.width),
        nn.SiLU(),
        nn.Dropout(settings.dropout),
        nn.Linear(settings.width, outputs),
    )
