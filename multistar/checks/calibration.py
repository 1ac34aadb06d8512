"""Are the posteriors honest? Ranks, coverage and joint tests on stars of known labels.

Everything is computed from the joint samples that `predict` gives. The truth is `true_L` where
the table has it (mock stars), otherwise the label itself, and then the samples get the label's
error added, because a noisy label follows the posterior convolved with its noise.

Shape letters: n star, s sample, l label.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.stats import mad_std
from scipy.stats import kstest

from multistar.checks.figures import write_result
from multistar.checks.metrics import coverage
from multistar.inference.predict import predict
from multistar.modalities.scalars.transforms import to_even_scale
from multistar.model.checkpoint import Model
from multistar.plots.calibration import plot_calibration
from multistar.quantities import QUANTITIES, Quantity
from multistar.stars import Stars

LEVELS = (0.50, 0.68, 0.80, 0.95)
# Bins per quantity, of equal numbers of stars.
BINS = 4
# With fewer stars no share means anything.
MIN_STARS = 50
# Pairs of samples that the energy score averages over.
SHIFTS = range(1, 9)
HISTOGRAM_BINS = 20
OWNED = JSON, PICTURE = "calibration.json", "calibration.png"


@dataclass(frozen=True)
class Bin:
    """Stars whose value of some quantity lies in a range: `text` is the range, `rows` (n,) bool."""

    text: str
    rows: np.ndarray


def ranks(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count the samples below the truth.

    Parameters
    ----------
    samples : ndarray, shape (n, s, l)
        Of the posterior.
    truth : ndarray, shape (n, l)
        NaN where unknown.

    Returns
    -------
    ndarray, shape (n, l)
        Uniform on 0 ... s if the posterior is calibrated; NaN where the truth is unknown.

    References
    ----------
    The statistic of simulation-based calibration: Talts et al. (2018), arXiv 1804.06788.
    """
    below = (samples < truth[:, None]).sum(1).astype(float)
    return np.where(np.isfinite(truth), below, np.nan)


def central_coverage(pit: np.ndarray) -> dict[str, float]:
    """Give the share of the PIT values (n,) within each central interval of LEVELS.

    The keys are the levels as text, such as "68%". Values of NaN are left out.
    """
    distance = np.abs(pit[np.isfinite(pit)] - 0.5)
    shares = {}
    for level in LEVELS:
        shares[f"{level:.0%}"] = float(np.mean(distance <= level / 2))
    return shares


def tarp(samples: np.ndarray, truth: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Give the share of the samples nearer to a reference point than the truth is.

    Parameters
    ----------
    samples : ndarray, shape (n, s, l)
        Of the joint posterior.
    truth, reference : ndarray, shape (n, l)
        True labels, and one point per star.

    Returns
    -------
    ndarray, shape (n,)
        Uniform if the joint posterior is right; for references that depend on the data, only if
        it is right.

    References
    ----------
    Tests of accuracy with random points (TARP): Lemos et al. (2023), arXiv 2302.03026.
    """
    radius = np.linalg.norm(truth - reference, axis=-1)
    distance = np.linalg.norm(samples - reference[:, None], axis=-1)
    return np.mean(distance < radius[:, None], axis=1)


def energy_score(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Score joint samples: E|X - y| - E|X - X'| / 2, smaller is better.

    Parameters
    ----------
    samples : ndarray, shape (n, s, l)
        Of the joint posterior; X and X' are two of them.
    truth : ndarray, shape (n, l)
        The y of the formula.

    Returns
    -------
    ndarray, shape (n,)
        In the units of the labels.

    References
    ----------
    Gneiting & Raftery (2007), eq. 22.
    """
    to_truth = np.linalg.norm(samples - truth[:, None], axis=-1).mean(1)
    between_samples = []
    for shift in SHIFTS:
        other = np.roll(samples, shift, axis=1)
        between_samples.append(np.linalg.norm(samples - other, axis=-1).mean(1))
    return to_truth - np.mean(between_samples, axis=0) / 2


def calibration(
    model: Model, stars: Stars, samples: int = 256, seed: int = 0, quiet: bool = False
) -> dict:
    """Compute all numbers of the calibration check.

    Parameters
    ----------
    model : Model
        The model that is checked.
    stars : Stars
        Stars with true or measured labels.
    samples : int
        Number of joint samples per star.
    seed : int
        Of the samples and of the random numbers of the tests.
    quiet : bool
        True hides the progress bar.

    Returns
    -------
    dict
        Ready for JSON. `labels` has for each label the number of stars, the coverage of central
        intervals, `interval_68` (share of the truths in L_lower ... L_upper, where the truth is
        exact), p-value and histogram of the ranks, and the coverage by bins. `joint` has the
        number of stars with all labels, coverage and p-value of TARP, and the energy scores of
        the samples and of the product of their marginals with the standard error of the
        difference.

    Raises
    ------
    ValueError
        If fewer than MIN_STARS stars have a known label.

    Notes
    -----
    Bins are of the predicted E(B-V) and logg and of the measured S/N: binned by the truth, even a
    perfect posterior would look wrong.
    """
    rng = np.random.default_rng(seed)
    names = _labels_to_check(model, stars)
    table = predict(model, stars, quiet, samples, seed)
    truth = np.empty((len(stars), len(names)))
    drawn = np.empty((len(stars), samples, len(names)))
    for i, name in enumerate(names):
        drawn[..., i], truth[:, i] = _standardise_samples(stars, table, name, rng)
    rank = ranks(drawn, truth)
    # spread evenly within a rank
    pit = (rank + rng.uniform(size=rank.shape)) / (samples + 1)
    bins = _make_bins(model, stars, table)
    labels = {}
    for i, name in enumerate(names):
        interval = _interval_coverage(stars, table, name)
        labels[name] = interval | _summarise_label(pit[:, i], bins)
    return {
        "model_sha256": model.hash,
        "samples": samples,
        "labels": labels,
        "joint": _test_joint(drawn, truth, rng),
    }


def _labels_to_check(model: Model, stars: Stars) -> list[str]:
    """Labels that are known for MIN_STARS stars or more; ValueError if there are none."""
    names = []
    for name in model.vocabulary.labels:
        value, _ = _truth(stars, name)
        if np.isfinite(value).sum() >= MIN_STARS:
            names.append(name)
    if not names:
        raise ValueError(
            f"no label is known for {MIN_STARS} stars or more; "
            "expected columns such as true_teff or teff"
        )
    return names


def _truth(stars: Stars, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Value and error (n,): exact where the table has the truth; NaN where nothing is known."""
    n = len(stars)
    if f"true_{name}" in stars.extra:
        return stars.extra[f"true_{name}"], np.zeros(n)
    if name not in stars.scalars:
        return np.full(n, np.nan), np.zeros(n)
    label = stars.scalars[name]
    return label.value, np.nan_to_num(label.sigma)


def _standardise_samples(
    stars: Stars, table: pa.Table, name: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, s) and truth (n,) of a label, transformed and over the scatter of the truth.

    Samples get the error of the label, which is 0 where the truth is exact.
    """
    quantity = QUANTITIES[name]
    value, error = _truth(stars, name)
    flat = np.array(table[f"{name}_samples"].combine_chunks().flatten())
    samples = flat.reshape(len(stars), -1).astype(float)
    samples += rng.normal(size=samples.shape) * error[:, None]
    samples = to_even_scale(quantity, _clip_to_valid(samples, quantity))
    truth = to_even_scale(quantity, value)
    unit = mad_std(truth[np.isfinite(value)])
    return samples / unit, truth / unit


def _clip_to_valid(values: np.ndarray, quantity: Quantity) -> np.ndarray:
    """Values within the valid range; a range above 0 begins at 1e-6, which has a logarithm."""
    low, high = quantity.valid
    if low > 0:
        low = max(low, 1e-6)
    return np.clip(values, low, high)


def _interval_coverage(stars: Stars, table: pa.Table, name: str) -> dict[str, float]:
    """Share of the truths in the 68 % interval of `predict`; nothing where they have errors."""
    truth, error = _truth(stars, name)
    if error.any():
        return {}
    known = np.isfinite(truth)
    lower = table[f"{name}_lower"].to_numpy()[known]
    upper = table[f"{name}_upper"].to_numpy()[known]
    return {"interval_68": coverage(lower, upper, truth[known])}


def _make_bins(model: Model, stars: Stars, table: pa.Table) -> dict[str, list[Bin]]:
    """Bins with equal numbers of stars, by quantity."""
    values_of = {}
    for name in ("ebv", "logg"):
        if name in model.vocabulary.labels:
            values_of[name] = table[name].to_numpy()
    if "rp" in stars.xp:
        # the first RP coefficient is about the flux
        band = stars.xp["rp"]
        values_of["snr"] = band.value[:, 0] / band.sigma[:, 0]
    bins = {}
    for name, values in values_of.items():
        if np.isfinite(values).any():
            bins[name] = _bins_of_equal_numbers(values)
    return bins


def _bins_of_equal_numbers(values: np.ndarray) -> list[Bin]:
    known = np.isfinite(values)
    edges = np.nanquantile(values, np.linspace(0, 1, BINS + 1))
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    bins = []
    for i in range(BINS):
        text = f"{edges[i]:.4g} to {edges[i + 1]:.4g}"
        bins.append(Bin(text, (place == i) & known))
    return bins


def _summarise_label(pit: np.ndarray, bins: dict[str, list[Bin]]) -> dict:
    """Numbers of one label from its PIT values (n,)."""
    known = np.isfinite(pit)
    by_quantity = {}
    for name, parts in bins.items():
        by_quantity[name] = _coverage_by_bin(pit, parts)
    return {
        "stars": int(known.sum()),
        "coverage": central_coverage(pit),
        "rank_p_value": _uniform_p_value(pit[known]),
        "pit_histogram": _unit_histogram(pit[known]),
        "bins": by_quantity,
    }


def _coverage_by_bin(pit: np.ndarray, bins: list[Bin]) -> list[dict]:
    """Coverage in the bins that have MIN_STARS stars or more."""
    summaries = []
    for part in bins:
        stars = int((part.rows & np.isfinite(pit)).sum())
        if stars >= MIN_STARS:
            shares = central_coverage(pit[part.rows])
            summaries.append({"range": part.text, "stars": stars, "coverage": shares})
    return summaries


def _uniform_p_value(values: np.ndarray) -> float:
    """Of a Kolmogorov-Smirnov test of values (n,) against the uniform distribution on 0 ... 1."""
    return float(kstest(values, "uniform").pvalue)


def _unit_histogram(values: np.ndarray) -> list[float]:
    """Density of values (n,) in equal bins of 0 ... 1."""
    density, _ = np.histogram(values, bins=HISTOGRAM_BINS, range=(0, 1), density=True)
    return density.tolist()


def _test_joint(samples: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> dict:
    """TARP and energy scores of the stars with all labels."""
    complete = np.isfinite(truth).all(1)
    samples = samples[complete]
    truth = truth[complete]
    if len(truth) < MIN_STARS:
        return {"stars": len(truth)}
    other_star = truth[rng.permutation(len(truth))]
    share = tarp(samples, truth, reference=other_star)
    joint = energy_score(samples, truth)
    # each label's samples are shuffled for themselves
    product = energy_score(rng.permuted(samples, axis=1), truth)
    gain = product - joint
    return {
        "stars": len(truth),
        "tarp_coverage": {f"{level:.0%}": float(np.mean(share <= level)) for level in LEVELS},
        "tarp_p_value": _uniform_p_value(share),
        "tarp_histogram": _unit_histogram(share),
        "energy_score": float(joint.mean()),
        "energy_score_of_marginals": float(product.mean()),
        "energy_gain_error": float(gain.std() / np.sqrt(len(joint))),
    }


def write_calibration(result: dict, folder: str | Path, overwrite: bool = False) -> None:
    """Write calibration.json and calibration.png into a folder, atomically.

    Raises FileExistsError if the folder exists and `overwrite` is False.
    """
    write_result(result, plot_calibration(result), folder, OWNED, overwrite)
