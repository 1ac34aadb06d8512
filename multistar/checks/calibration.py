"""Are the posteriors honest? Ranks, coverage and joint tests on stars of known labels; numbers and a figure.

Everything is computed from the joint samples that `predict` gives. The truth is `true_L` where the table has it
(mock stars), otherwise the label itself, and then the samples get the label's error added, because a
noisy label follows the posterior convolved with its noise.

Shape letters: n star, s sample, l label.
"""

import json
from pathlib import Path

import numpy as np
from astropy.stats import mad_std
from matplotlib.figure import Figure
from scipy.stats import kstest

from multistar.checks.metrics import coverage
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.modalities.scalars.transforms import to_even_scale
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import Stars

LEVELS = (0.50, 0.68, 0.80, 0.95)
BINS = 4  # per quantity, of equal numbers
MIN_STARS = 50  # with fewer no share means anything
SHIFTS = range(1, 9)  # pairs of samples that the energy score averages over
OWNED = JSON, PICTURE = "calibration.json", "calibration.png"


def ranks(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, l) number of samples (n, s, l) below the truth (n, l): uniform on 0 ... s if calibrated.

    The statistic of simulation-based calibration (Talts et al. 2018); NaN where the truth is unknown.
    """
    below = (samples < truth[:, None]).sum(1).astype(float)
    return np.where(np.isfinite(truth), below, np.nan)


def central_coverage(pit: np.ndarray) -> dict[str, float]:
    """Share of the PIT values (n,) within each central interval of LEVELS."""
    known = pit[np.isfinite(pit)]
    return {f"{level:.0%}": float(np.mean(np.abs(known - 0.5) <= level / 2)) for level in LEVELS}


def tarp(samples: np.ndarray, truth: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) share of the samples (n, s, l) nearer to a reference point (n, l) than the truth (n, l) is.

    Uniform if the joint posterior is right, and for references that depend on the data only if it is
    (tests of accuracy with random points: Lemos et al. 2023, arXiv 2302.03026).
    """
    radius = np.linalg.norm(truth - reference, axis=-1)
    return np.mean(np.linalg.norm(samples - reference[:, None], axis=-1) < radius[:, None], axis=1)


def energy_score(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n,) E|X - y| - E|X - X'| / 2, smaller is better (Gneiting & Raftery 2007, eq. 22)."""
    distance = np.linalg.norm(samples - truth[:, None], axis=-1).mean(1)
    pairs = [np.linalg.norm(samples - np.roll(samples, k, axis=1), axis=-1).mean(1) for k in SHIFTS]
    return distance - np.mean(pairs, axis=0) / 2


def calibration(
    model: Model, stars: Stars, samples: int = 256, seed: int = 0, quiet: bool = False
) -> dict:
    """All numbers of the check, ready for JSON.

    labels  for each: stars, coverage of central intervals, `interval_68` (share of the truths in L_lower ... L_upper,
            where the truth is exact), p-value and histogram of the ranks, coverage by bins
    joint   stars with all labels; coverage and p-value of TARP; energy score of the samples and of the product of
            their marginals, with the standard error of the difference

    Bins are of the predicted E(B-V) and logg and the measured S/N: binned by the truth, even a perfect
    posterior would look wrong. Raises ValueError if fewer than MIN_STARS stars have a known label.
    """
    rng = np.random.default_rng(seed)
    names = [
        name
        for name in model.vocabulary.labels
        if np.isfinite(_truth(stars, name)[0]).sum() >= MIN_STARS
    ]
    if not names:
        raise ValueError(
            f"no label is known for {MIN_STARS} stars or more; expected columns such as true_teff or teff"
        )
    table = predict(model, stars, quiet, samples, seed)
    truth, drawn = np.empty((len(stars), len(names))), np.empty((len(stars), samples, len(names)))
    labels: dict[str, dict] = {}
    for i, name in enumerate(names):
        value, error = _truth(stars, name)
        x = (
            np.array(table[f"{name}_samples"].combine_chunks().flatten())
            .reshape(len(stars), samples)
            .astype(float)
        )
        x += rng.normal(size=x.shape) * error[:, None]
        low, high = QUANTITIES[name].valid
        unit = mad_std(to_even_scale(QUANTITIES[name], value[np.isfinite(value)]))
        truth[:, i] = to_even_scale(QUANTITIES[name], value) / unit
        drawn[..., i] = (
            to_even_scale(QUANTITIES[name], np.clip(x, max(low, 1e-6) if low > 0 else low, high))
            / unit
        )
        if not error.any():
            known = np.isfinite(value)
            lower, upper = (
                table[f"{name}_{side}"].to_numpy()[known] for side in ("lower", "upper")
            )
            labels.setdefault(name, {})["interval_68"] = coverage(lower, upper, value[known])
    rank = ranks(drawn, truth)
    pit = (rank + rng.uniform(size=rank.shape)) / (samples + 1)  # spread evenly within a rank
    bins = _bins(stars, {name: table[name].to_numpy() for name in model.vocabulary.labels})
    for i, name in enumerate(names):
        labels[name] = labels.get(name, {}) | _label_summary(pit[:, i], bins)
    return {
        "model_sha256": model.hash,
        "samples": samples,
        "labels": labels,
        "joint": _joint(drawn, truth, rng),
    }


def _truth(stars: Stars, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Value and error (n,): exact where the table has the truth; NaN where nothing is known."""
    n = len(stars)
    if f"true_{name}" in stars.extra:
        return stars.extra[f"true_{name}"], np.zeros(n)
    if name not in stars.scalars:
        return np.full(n, np.nan), np.zeros(n)
    return stars.scalars[name].value, np.nan_to_num(stars.scalars[name].sigma)


def _bins(
    stars: Stars, predicted: dict[str, np.ndarray]
) -> dict[str, list[tuple[str, np.ndarray]]]:
    """quantity -> (range as text, rows) of bins with equal numbers of stars."""
    by = {name: predicted[name] for name in ("ebv", "logg") if name in predicted}
    if "rp" in stars.xp:
        by["snr"] = (
            stars.xp["rp"].value[:, 0] / stars.xp["rp"].sigma[:, 0]
        )  # of the first RP coefficient
    out = {}
    for name, values in by.items():
        if np.isfinite(values).any():
            edges = np.nanquantile(values, np.linspace(0, 1, BINS + 1))
            place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
            rows = [(place == i) & np.isfinite(values) for i in range(BINS)]
            out[name] = [(f"{edges[i]:.4g} to {edges[i + 1]:.4g}", rows[i]) for i in range(BINS)]
    return out


def _label_summary(pit: np.ndarray, bins: dict[str, list[tuple[str, np.ndarray]]]) -> dict:
    known = np.isfinite(pit)
    by_bin = {
        name: [
            {
                "range": text,
                "stars": int((rows & known).sum()),
                "coverage": central_coverage(pit[rows]),
            }
            for text, rows in parts
            if (rows & known).sum() >= MIN_STARS
        ]
        for name, parts in bins.items()
    }
    return {
        "stars": int(known.sum()),
        "coverage": central_coverage(pit),
        "rank_p_value": float(kstest(pit[known], "uniform").pvalue),
        "pit_histogram": np.histogram(pit[known], bins=20, range=(0, 1), density=True)[0].tolist(),
        "bins": by_bin,
    }


def _joint(samples: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> dict:
    whole = np.isfinite(truth).all(1)
    samples, truth = samples[whole], truth[whole]
    if len(truth) < MIN_STARS:
        return {"stars": len(truth)}
    share = tarp(samples, truth, reference=truth[rng.permutation(len(truth))])
    joint = energy_score(samples, truth)
    product = energy_score(rng.permuted(samples, axis=1), truth)  # every label shuffled for itself
    return {
        "stars": len(truth),
        "tarp_coverage": {f"{level:.0%}": float(np.mean(share <= level)) for level in LEVELS},
        "tarp_p_value": float(kstest(share, "uniform").pvalue),
        "tarp_histogram": np.histogram(share, bins=20, range=(0, 1), density=True)[0].tolist(),
        "energy_score": float(joint.mean()),
        "energy_score_of_marginals": float(product.mean()),
        "energy_gain_error": float((product - joint).std() / np.sqrt(len(joint))),
    }


def figure(result: dict) -> Figure:
    """PIT histograms of all labels and TARP, flat if calibrated, and the 68 % coverage in all bins."""
    labels, joint = result["labels"], result["joint"]
    histograms = {name: (x["pit_histogram"], x["coverage"]["68%"]) for name, x in labels.items()}
    if "tarp_histogram" in joint:
        histograms["joint (TARP)"] = joint["tarp_histogram"], joint["tarp_coverage"]["68%"]
    columns = 4
    rows = -(-(len(histograms) + 1) // columns)
    picture = Figure(figsize=(3.2 * columns, 2.6 * rows), layout="constrained")
    axes = list(picture.subplots(rows, columns, squeeze=False).flat)
    for axis, (name, (density, share)) in zip(axes, histograms.items(), strict=False):
        axis.stairs(density, np.linspace(0, 1, len(density) + 1), fill=True)
        axis.axhline(1, color="black", lw=1)
        axis.set(title=f"{name}: {share:.0%} in 68 %", ylim=(0, 2.5), xlabel="PIT")
    last = axes[len(histograms)]
    for i, label in enumerate(labels.values()):
        shares = [part["coverage"]["68%"] for parts in label["bins"].values() for part in parts]
        last.scatter(np.full(len(shares), i), shares, s=12)
    last.axhline(0.68, color="black", lw=1)
    last.set(title="68 % coverage by bin", ylim=(0.4, 1), xticks=range(len(labels)))
    last.set_xticklabels(list(labels), rotation=60)
    for axis in axes[len(histograms) + 1 :]:
        axis.set_visible(False)
    return picture


def write_calibration(result: dict, folder: str | Path, overwrite: bool = False) -> None:
    """calibration.json and calibration.png in a folder, atomically."""
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        (temporary / JSON).write_text(json.dumps(result, indent=1))
        figure(result).savefig(temporary / PICTURE, dpi=110)
