"""What a model must beat: the median of the training labels, XGBoost, labels alone, a Gaussian.

All are fitted on the training rows only, on labels as the survey gives them. XGBoost comes with
the extra `demo`.
"""

from collections.abc import Collection, Sequence

import numpy as np
from rich.progress import track

from encoders import Measurement
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES, Quantity
from multistar.stars import Stars

XGBOOST = {
    "n_estimators": 350,
    "max_depth": 6,
    "learning_rate": 0.07,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
}
# The error of a coefficient that was not measured, in units of the typical coefficient.
UNKNOWN = 1e3


def median(train: Stars, test: Stars, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Predict the median of the training labels for every star.

    Returns
    -------
    dict of str to ndarray, shape (n_test,)
        One constant array for each label in `names`.
    """
    predictions = {}
    for name in names:
        middle = np.nanmedian(train.scalars[name].value)
        predictions[name] = np.full(len(test), middle)
    return predictions


def trees(
    model: Model,
    train: Stars,
    test: Stars,
    names: Sequence[str],
    without: Collection[str] = (),
    title: str = "XGBoost",
) -> dict[str, np.ndarray]:
    """Predict labels by XGBoost from everything that the model sees: values and log errors.

    One regressor is fitted per label, in the label's transformed space.

    Parameters
    ----------
    model : Model
        Says which measurements there are and standardises them.
    train, test : Stars
        Stars that the regressors are fitted to, and stars to predict.
    names : sequence of str
        Labels to predict.
    without : collection of str
        Measurements that are left out.
    title : str
        Shown beside the progress bar.

    Returns
    -------
    dict of str to ndarray, shape (n_test,)
        Predictions of each label, in its own unit.
    """
    vocabulary = model.vocabulary
    left_out = set(vocabulary.label_slots)
    for name in without:
        left_out.add(vocabulary.slot(name))
    slots = [slot for slot in range(vocabulary.n_slots) if slot not in left_out]
    x_train = _inputs(model.standardiser(train), slots)
    x_test = _inputs(model.standardiser(test), slots)
    return _boost(x_train, x_test, train, [vocabulary.quantity(n) for n in names], title)


def from_labels(
    train: Stars,
    test: Stars,
    names: Sequence[str],
    known: Sequence[str],
    title: str = "labels only",
) -> dict[str, np.ndarray]:
    """Predict labels by XGBoost from other labels alone: what a spectrum must add to.

    Parameters
    ----------
    train, test : Stars
        Stars that the regressors are fitted to, and stars to predict.
    names : sequence of str
        Labels to predict.
    known : sequence of str
        Labels that are the input.
    title : str
        Shown beside the progress bar.

    Returns
    -------
    dict of str to ndarray, shape (n_test,)
        Predictions of each label, in its own unit.
    """
    x_train = np.stack([train.scalars[name].value for name in known], -1)
    x_test = np.stack([test.scalars[name].value for name in known], -1)
    return _boost(x_train, x_test, train, [QUANTITIES[name] for name in names], title)


def _boost(
    x_train: np.ndarray,
    x_test: np.ndarray,
    train: Stars,
    quantities: Sequence[Quantity],
    title: str,
) -> dict[str, np.ndarray]:
    """Fit one regressor per label to x_train (n, d) and predict for x_test (m, d)."""
    import xgboost

    predictions = {}
    for quantity in track(quantities, f"{title}, one regressor per label"):
        name = quantity.name
        with np.errstate(invalid="ignore"):
            y = to_even_scale(quantity, train.scalars[name].value)
        known = np.isfinite(y)
        regressor = xgboost.XGBRegressor(**XGBOOST, tree_method="hist", random_state=0)
        regressor.fit(x_train[known], y[known])
        predictions[name] = from_even_scale(quantity, regressor.predict(x_test))
    return predictions


def _inputs(measurement: Measurement, slots: list[int]) -> np.ndarray:
    """(n, 2 * slots) values and log errors, which is all that the network gets; NaN = missing."""
    observed = measurement.observed[:, slots].numpy()
    value = measurement.value[:, slots].numpy()
    log_sigma = np.log(measurement.sigma[:, slots].numpy())
    value = np.where(observed, value, np.nan)
    log_sigma = np.where(observed, log_sigma, np.nan)
    return np.hstack([value, log_sigma]).astype(np.float32)


def conditional_gaussian(
    reference: Stars, stars: Stars, band: str, components: int = 20
) -> np.ndarray:
    """Predict the coefficients of one XP band from the other, by a Gaussian fitted to stars.

    Parameters
    ----------
    reference : Stars
        Stars with both bands, to which the Gaussian is fitted.
    stars : Stars
        Stars of which the other band is known.
    band : {"bp", "rp"}
        The band to predict.
    components : int
        Number of principal components that the covariance is cut to.

    Returns
    -------
    ndarray, shape (n, orders)
        Expected coefficients [e-/s].

    Notes
    -----
    The covariance is that of the G-normalised coefficients less their noise, cut to its leading
    principal components. What is known enters with its own errors, so a noisy spectrum says less
    (as in probabilistic PCA; exact for Gaussian stars). Missing coefficients count as known with
    a huge error.
    """
    known_band = "rp" if band == "bp" else "bp"
    n_known = reference.xp[known_band].value.shape[1]
    scale, mean, covariance = _fit_gaussian(reference, (known_band, band), components)

    value, sigma = _normalise_by_g(stars, (known_band,))
    value = value / scale[:n_known] - mean[:n_known]
    sigma = sigma / scale[:n_known]
    observed = np.isfinite(value * sigma)
    value = np.where(observed, value, 0)
    sigma = np.where(observed, sigma, UNKNOWN)

    noise = sigma[:, :, None] ** 2 * np.eye(n_known)
    marginal = covariance[:n_known, :n_known] + noise
    weights = np.linalg.solve(marginal, value[..., None])[..., 0]
    expected = weights @ covariance[:n_known, n_known:] + mean[n_known:]
    return expected * scale[n_known:] * _g_flux(stars)


def _fit_gaussian(
    stars: Stars, bands: tuple[str, str], components: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale (d,), mean (d,) and covariance (d, d) of noise-free coefficients in units of scale."""
    value, sigma = _normalise_by_g(stars, bands)
    rms = np.sqrt(np.nan_to_num(value**2).mean(0))
    # the addition keeps the scale of an order that no star has from being 0
    scale = rms + 1e-12 * np.nanmax(np.abs(value))
    value = np.nan_to_num(value / scale)
    sigma = sigma / scale
    # the mean error would be that of the faintest stars
    noise = np.nan_to_num(np.nanmedian(sigma, axis=0)) ** 2
    eigenvalues, vectors = np.linalg.eigh(np.cov(value.T) - np.diag(noise))
    eigenvalues = np.maximum(eigenvalues[-components:], 0)
    vectors = vectors[:, -components:]
    covariance = (vectors * eigenvalues) @ vectors.T
    return scale, value.mean(0), covariance


def _normalise_by_g(stars: Stars, bands: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients over G flux and their errors (n, d), bands side by side."""
    flux = _g_flux(stars)
    value = np.hstack([stars.xp[band].value for band in bands])
    sigma = np.hstack([stars.xp[band].sigma for band in bands])
    return value / flux, sigma / flux


def _g_flux(stars: Stars) -> np.ndarray:
    """(n, 1) flux in G, in units of that of a star with G = 0."""
    return 10 ** (-0.4 * stars.scalars["g"].value)[:, None]
