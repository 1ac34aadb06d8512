"""The response of XP beyond the instrument model: makes mock/xp_response.json and bright.json.

Two kinds of pairs tell it. Stars whose flux HST measured (hst_pairs.py), which no model of a star
enters, hold it for stars of 4900 K and more, but for the red end of BP and the blue end of RP, which
their sampled spectra do not show. Field stars beside mock stars of their magnitude and colour
(xp_anchors.py) hold it for cooler dwarfs, and at these ends for all; the spectra of the mock stars
hold the correction of all anchors, and the response that they hold is taken off. What is left of the
mean spectra is a smooth function of pseudo-wavelength with a Gaussian prior, by temperature, times
one of bright stars.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.linalg import block_diag

from multistar.checks.fitting.hst_pairs import HSTPairs
from multistar.checks.fitting.xp_anchors import mean_spectra
from multistar.io.files import atomic_write
from multistar.mock.xp_response import (
    BANDS,
    DWARF_LOGG,
    TEFF,
    describe_star,
    evaluate_response,
)
from multistar.modalities.gaia_xp.instrument import load_band
from multistar.modalities.gaia_xp.response import FINE, KNOTS, change_by_knot
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS, photometry_matrix
from multistar.stars import Stars

# Prior: size of the response of all stars, of what depends on Teff (as a share of it) and of bright
# stars; END_SIZE at the ends, where there is little light; lengths of correlation with their shares
# of the variance, pixels, and in 5040 K / Teff.
SIZE, END_SIZE, BRIGHT_SIZE, BRIGHT_END = 0.05, 0.3, 0.03, 0.1
BY_TEFF, TEFF_LENGTH = 0.6, 0.2
MIDST = {"bp": (12.0, 40.0), "rp": (10.0, 49.0)}
INNER = {"bp": (15.0, 38.0), "rp": (13.0, 45.0)}  # 400-630 and 640-960 nm
ENDS = {"bp": (11.0, 15.0), "rp": (9.0, 13.0)}  # 630-730 and 610-640 nm
LENGTHS = {0.8: 0.5, 4.0: 0.5}
# A pair's own difference, as a share of the spectrum, and of its highest value.
PAIR_ERROR, FLOOR = 0.03, 0.0007
COOL, COOL_ERROR = 4000.0, 0.15  # K
# Bright stars' own curve is not used where sampled spectra tell nothing, nor below 395 nm (BP, beyond
# this pixel), where spectra are so steep that A stars of different types contradict each other, and
# G stars, by 5 %.
BRIGHT_KNOWN = {"bp": 38.0, "rp": 60.0}
HST_ERROR, HST_FLOOR = 0.006, 0.0007
FIELD_BELOW = 5000.0  # K: warmer field stars are judged alone, but for the ends
# Pixels between which sampled spectra tell the mean spectrum to a third of its errors: BP of 339-660 nm,
# RP of 627-1010 nm. Field stars of all kinds are used beyond FIELD, a little farther in at the inner
# ends: few faint stars of HST would have to part the response of all from that of bright stars.
SAMPLED = {"bp": (13.5, 51.0), "rp": (11.25, 51.0)}
FIELD = {"bp": (14.75, 50.0), "rp": (12.75, 50.0)}
UNKNOWN = 1e3  # error, over the highest value, of what says nothing
MAGNITUDE_ERROR = 0.0005  # mag; what the response may change in G, BP and RP of the mean star
ROUNDS = 4
PAIRS = tuple[Stars, Stars]


@dataclass(frozen=True)
class _Sample:
    """Pairs of one kind in one band: real and modelled (n, n_fine), errors, factors (n, n_part)."""

    real: np.ndarray
    model: np.ndarray
    error: np.ndarray
    factors: np.ndarray


def fit_response(pairs: PAIRS, hst: HSTPairs) -> tuple[dict, dict]:
    """Fit the response to pairs of real and mock stars, and to stars of HST.

    Returns
    -------
    response, bright : dict
        Band -> (n_teff, n_knot), see mock/xp_response.py; band -> (n_knot,), see
        modalities/gaia_xp/bright.py.
    """
    found = {band: _fit_band(pairs, hst, band) for band in BANDS}
    response = {band: weights[: len(TEFF)] for band, weights in found.items()}
    bright = {
        band: np.where(_is_known_of_bright(band), weights[-1], 0.0)
        for band, weights in found.items()
    }
    return response, bright


def _is_known_of_bright(band: str) -> np.ndarray:
    """(n_knot,) bool."""
    return (SAMPLED[band][0] <= KNOTS) & (min(SAMPLED[band][1], BRIGHT_KNOWN[band]) >= KNOTS)


def _fit_band(pairs: PAIRS, hst: HSTPairs, band: str) -> np.ndarray:
    """(n_teff + 1, n_knot) the response at TEFF, and what bright stars have beside it."""
    samples = [_of_field(pairs, band), _of_hst(hst, band)]
    real, model, error, factors = (
        np.concatenate([getattr(sample, name) for sample in samples])
        for name in ("real", "model", "error", "factors")
    )
    step = FINE[1] - FINE[0]
    at_knots = np.stack([np.interp(FINE, KNOTS, unit) for unit in np.eye(len(KNOTS))])
    start = _prior_precision(band)
    inner = len(TEFF) * len(KNOTS)
    all_factors = _describe_partners(pairs)
    start[:inner, :inner] += _keep_magnitudes(pairs[1], band, all_factors)
    weight = np.ones(len(real))
    weights = np.zeros((factors.shape[1], len(KNOTS)))
    for _ in range(ROUNDS):
        precision, score = start.copy(), np.zeros(len(start))
        for i in range(len(real)):
            scaled = model[i] * at_knots / error[i]
            design = np.concatenate([scaled * factor for factor in factors[i]])
            precision += weight[i] * step * design @ design.T
            score += weight[i] * step * design @ ((real[i] - model[i]) / error[i])
        weights = np.linalg.solve(precision, score).reshape(weights.shape)
        left = real - model * (1 + factors @ weights @ at_knots)
        # Weights of a Student distribution: a pair that fits badly says little.
        weight = 5 / (4 + np.mean((left / error) ** 2, axis=1))
    return weights


def _of_field(pairs: PAIRS, band: str) -> _Sample:
    truth = pairs[1].extra
    is_cool = (truth["true_teff"] < FIELD_BELOW) & (truth["true_logg"] > DWARF_LOGG[1])
    real, mock = _compare(pairs, band, FINE)
    error = _pair_error(pairs, band, mock)
    of_hst = ~is_cool[:, None] & (FIELD[band][0] <= FINE) & (FIELD[band][1] >= FINE)
    factors = np.pad(_describe_partners(pairs), ((0, 0), (0, 1)))
    return _Sample(real, mock, _without(error, of_hst, mock), factors)


def _of_hst(hst: HSTPairs, band: str) -> _Sample:
    real, model = hst.mean_spectra(band, FINE)
    highest = model.max(axis=1, keepdims=True)
    error = np.hypot(HST_ERROR * model, HST_FLOOR * highest)
    factors = np.c_[hst.describe(), hst.bright]
    unknown = ~hst.whole[:, None] & ((SAMPLED[band][0] > FINE) | (SAMPLED[band][1] < FINE))
    return _Sample(real, model, _without(error, unknown, model), factors)


def _without(error: np.ndarray, unknown: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Errors (n, n_fine) that make nothing of what is unknown."""
    return np.where(unknown, UNKNOWN * model.max(axis=1, keepdims=True), error)


def _compare(pairs: PAIRS, band: str, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, n_sample) mean spectra of real stars, and of their partners without the response."""
    real, mock = (mean_spectra(stars, band, samples) for stars in pairs)
    truth = pairs[1].extra
    return real, mock / evaluate_response(band, truth["true_teff"], truth["true_logg"], samples)


def _describe_partners(pairs: PAIRS) -> np.ndarray:
    truth = pairs[1].extra
    return describe_star(truth["true_teff"], truth["true_logg"])


def _pair_error(pairs: PAIRS, band: str, mock: np.ndarray) -> np.ndarray:
    """(n, n_fine) noise of both stars, and how far a pair is from being alike."""
    basis = load_band(band).internal_basis(FINE)
    variance = np.zeros_like(mock)
    for stars in pairs:
        of_zero = 10 ** (0.4 * stars.scalars["g"].value)[:, None]
        variance += (stars.xp[band].sigma * of_zero) ** 2 @ basis**2
    is_cool = pairs[1].extra["true_teff"] < COOL
    share = np.where(is_cool, COOL_ERROR, PAIR_ERROR)[:, None]
    floor = FLOOR * mock.max(axis=1, keepdims=True)
    return np.sqrt(variance + (share * mock) ** 2 + floor**2)


def _prior_precision(band: str) -> np.ndarray:
    low, high = MIDST[band]
    size = np.where((low < KNOTS) & (high > KNOTS), SIZE, END_SIZE)
    apart = np.subtract.outer(KNOTS, KNOTS)
    correlation = sum(
        share * np.exp(-0.5 * (apart / length) ** 2) for length, share in LENGTHS.items()
    )
    covariance = correlation * np.outer(size, size) + 1e-8 * np.eye(len(KNOTS))
    between = np.subtract.outer(5040 / TEFF, 5040 / TEFF) / TEFF_LENGTH
    by_teff = 1 + BY_TEFF**2 * np.exp(-0.5 * between**2)
    bright_size = np.where(size == SIZE, BRIGHT_SIZE, BRIGHT_END)
    of_bright = correlation * np.outer(bright_size, bright_size) + 1e-8 * np.eye(len(KNOTS))
    of_all = np.kron(np.linalg.inv(by_teff), np.linalg.inv(covariance))
    return np.asarray(block_diag(of_all, np.linalg.inv(of_bright)))


def _keep_magnitudes(mock: Stars, band: str, factors: np.ndarray) -> np.ndarray:
    """Precision of a response that changes no magnitudes of warm and of cool mean stars."""
    split = DR3_ORDERS["bp"]
    rows = slice(None, split) if band == "bp" else slice(split, None)
    to_flux = photometry_matrix()[0]
    every = np.hstack([mock.xp[name].value for name in BANDS])
    order = np.argsort(factors[:, 1])
    precision = np.zeros((len(TEFF) * len(KNOTS),) * 2)
    for alike in np.array_split(order, 12):
        of_zero = 10 ** (0.4 * mock.scalars["g"].value[alike])[:, None]
        mean = (every[alike] * of_zero).mean(axis=0)
        changed = np.einsum("c,kcd,db->bk", mean[rows], change_by_knot(band), to_flux[rows])
        magnitudes = 1.0857 * changed / (mean @ to_flux)[:, None]
        design = np.kron(factors[alike].mean(axis=0), magnitudes) / MAGNITUDE_ERROR
        precision += design.T @ design
    return precision


def measure_left(pairs: PAIRS, response: dict[str, np.ndarray]) -> list[dict]:
    """Measure how far the medians of real stars are from the mock's, before and after.

    Returns
    -------
    list of dict
        By band and range of BP - RP: rms over INNER pseudo-wavelengths, per cent, and over ENDS.
    """
    colour = pairs[0].scalars["bp"].value - pairs[0].scalars["rp"].value
    rows = []
    for band in BANDS:
        inner = _ratios(pairs, response, band, np.arange(*INNER[band]))
        ends = _ratios(pairs, response, band, np.arange(*ENDS[band], 0.5))
        for low, high in ((0.0, 0.8), (0.8, 1.0), (1.0, 1.3), (1.3, 1.8), (1.8, 3.0)):
            here = (colour > low) & (colour <= high)
            if not here.any():
                continue
            row: dict = {"band": band, "bp_rp": f"{low}-{high}", "n": int(here.sum())}
            row["before"], row["after"] = (_rms_of_median(ratio[here]) for ratio in inner)
            row["ends_before"], row["ends_after"] = (_rms_of_median(ratio[here]) for ratio in ends)
            rows.append(row)
    return rows


def _ratios(
    pairs: PAIRS, response: dict[str, np.ndarray], band: str, samples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n, n_sample) real spectra over those of partners without the response, and with it."""
    ratio = np.divide(*_compare(pairs, band, samples))
    at_samples = np.stack([np.interp(samples, KNOTS, part) for part in response[band]])
    return ratio, ratio / (1 + _describe_partners(pairs) @ at_samples)


def _rms_of_median(ratio: np.ndarray) -> float:
    """Per cent, over wavelengths, of the median of stars."""
    return 100 * float(np.sqrt(np.mean((np.median(ratio, axis=0) - 1) ** 2)))


def measure_pairs(hst: HSTPairs, response: dict, bright: dict) -> list[dict]:
    """Measure how far stars of HST are from what the instrument model makes of them.

    Returns
    -------
    list of dict
        By kind of star and band: rms over stars and INNER pseudo-wavelengths, per cent, `before`
        and `after` both responses.
    """
    warm, hot = (hst.teff > 5000) & (hst.teff < 7000), hst.teff > 10_000
    kinds = {
        "F and G stars, G < 10": hst.bright & warm,
        "A stars, G < 10": hst.bright & ~warm & ~hot,
        "A stars, G > 11": ~hst.bright & ~warm & ~hot,
        "hotter stars, G > 11": ~hst.bright & hot,
    }
    rows = []
    for kind, here in kinds.items():
        for band in BANDS:
            samples = np.arange(*INNER[band])
            real, model = hst.mean_spectra(band, samples)
            of_all, of_bright = (
                np.stack([np.interp(samples, KNOTS, part) for part in np.atleast_2d(weights)])
                for weights in (response[band], bright[band])
            )
            known = 1 + hst.describe() @ of_all + hst.bright[:, None] * of_bright
            row: dict = {"stars": kind, "band": band, "n": int(here.sum())}
            for name, ratio in (("before", real / model), ("after", real / model / known)):
                row[name] = 100 * float(np.sqrt(np.mean((ratio[here] - 1) ** 2)))
            rows.append(row)
    return rows


def write_response(response: dict[str, np.ndarray], path: str | Path, overwrite: bool) -> None:
    """Write the response, or that of bright stars, as it is read: JSON by band, atomically."""
    table = {band: np.round(weights, 5).tolist() for band, weights in response.items()}
    with atomic_write(path, overwrite) as temporary:
        temporary.write_text(json.dumps(table) + "\n")
