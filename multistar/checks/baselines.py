"""What a model must beat: the median of the training labels, XGBoost on the same inputs, labels alone.

All are fitted on the training rows only, on labels as the survey gives them. XGBoost comes with the extra `demo`.
"""

from collections.abc import Collection, Sequence

import numpy as np
from rich.progress import track

from encoders import Measurement
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import Stars

XGBOOST = {
    "n_estimators": 350,
    "max_depth": 6,
    "learning_rate": 0.07,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
}


def median(train: Stars, test: Stars, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Label -> (n_test,) the median of the training labels."""
    return {name: np.full(len(test), np.nanmedian(train.scalars[name].value)) for name in names}


def trees(
    model: Model,
    train: Stars,
    test: Stars,
    names: Sequence[str],
    without: Collection[str] = (),
    title: str = "XGBoost",
) -> dict[str, np.ndarray]:
    """Label -> (n_test,) predictions of XGBoost from everything that the model sees: values and log errors.

    without: measurements that are left out. One regressor per label, in the label's transformed space.
    """
    vocabulary = model.vocabulary
    left_out = {vocabulary.slot(name) for name in without} | set(vocabulary.label_slots)
    slots = [slot for slot in range(vocabulary.n_slots) if slot not in left_out]
    x_train, x_test = (_inputs(model.standardiser(stars), slots) for stars in (train, test))
    return _boost(x_train, x_test, train, names, title)


def from_labels(
    train: Stars,
    test: Stars,
    names: Sequence[str],
    known: Sequence[str],
    title: str = "labels only",
) -> dict[str, np.ndarray]:
    """Label -> (n_test,) predictions of XGBoost from other labels alone: what the spectrum must add to."""
    x_train, x_test = (
        np.stack([stars.scalars[k].value for k in known], -1) for stars in (train, test)
    )
    return _boost(x_train, x_test, train, names, title)


def _boost(
    x_train, x_test, train: Stars, names: Sequence[str], title: str
) -> dict[str, np.ndarray]:
    import xgboost

    out = {}
    for name in track(names, f"{title}, one regressor per label"):
        quantity, label = QUANTITIES[name], train.scalars[name].value
        with np.errstate(invalid="ignore"):
            y = to_even_scale(quantity, label)
        known = np.isfinite(y)
        regressor = xgboost.XGBRegressor(**XGBOOST, tree_method="hist", random_state=0)
        out[name] = from_even_scale(
            quantity, regressor.fit(x_train[known], y[known]).predict(x_test)
        )
    return out


def _inputs(m: Measurement, slots: list[int]) -> np.ndarray:
    """Values and log errors, which is all that the network gets; NaN where not observed."""
    observed = m.observed[:, slots].numpy()
    pair = np.stack([m.value[:, slots].numpy(), np.log(m.sigma[:, slots].numpy())])
    return np.hstack(list(np.where(observed, pair, np.nan))).astype(np.float32)


def conditional_gaussian(
    reference: Stars, stars: Stars, band: str, components: int = 20
) -> np.ndarray:
    """(n, orders) coefficients [e-/s] of one XP band from the other, by a Gaussian fitted to `reference`.

    Its covariance is that of the G-normalised coefficients less their noise, cut to the leading principal
    components; what is known enters with its own errors, so a noisy spectrum says less (PPCA-like, exact for
    Gaussian stars). Coefficients that are missing count as known with a huge error.
    """
    known = "rp" if band == "bp" else "bp"
    x, sigma = _normalised(reference, (known, band))
    scale = np.sqrt(np.nan_to_num(x**2).mean(0)) + 1e-12 * np.nanmax(
        np.abs(x)
    )  # of an order that nobody has: not 0
    x, sigma = np.nan_to_num(x / scale), sigma / scale
    center = x.mean(0)
    noise = (
        np.nan_to_num(np.nanmedian(sigma, axis=0)) ** 2
    )  # the mean would be that of the faintest
    values, vectors = np.linalg.eigh(np.cov(x.T) - np.diag(noise))
    values, vectors = np.maximum(values[-components:], 0), vectors[:, -components:]
    covariance = (vectors * values) @ vectors.T
    orders = reference.xp[known].value.shape[1]
    y, error = _normalised(stars, (known,))
    y, error = y / scale[:orders] - center[:orders], error / scale[:orders]
    error, y = np.where(np.isfinite(y * error), error, 1e3), np.where(np.isfinite(y * error), y, 0)
    marginal = covariance[:orders, :orders] + error[:, :, None] ** 2 * np.eye(orders)
    weights = np.linalg.solve(marginal, y[..., None])[..., 0]
    return (
        (weights @ covariance[:orders, orders:] + center[orders:]) * scale[orders:] * _flux(stars)
    )


def _flux(stars: Stars) -> np.ndarray:
    return 10 ** (-0.4 * stars.scalars["g"].value)[:, None]


def _normalised(stars: Stars, bands: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients over G flux and their errors, bands side by side."""
    value, sigma = (
        np.hstack([vars(stars.xp[b])[f] for b in bands]) / _flux(stars) for f in ("value", "sigma")
    )
    return value, sigma
