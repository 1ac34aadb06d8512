"""Gaia XP spectra of field stars as anchors of sky_correction.py.

MILES ends at 741 nm and has few M dwarfs; the Earth's atmosphere is left in STELIB beyond. XP needs
no sky: stars of CALSPEC show RP right to 1-2 % (`xp/calspec_pairs_sampled.parquet` of the real
data). The field stars have no labels, but lie in one patch at high latitude. Each is put beside a
mock star of the selection `high-latitude` that has its magnitude and colour, and stars of one colour
are averaged, so that populations cancel. The mock is that of the round before. Errors of labels are
so large that broad features, which labels or dust could make as well, are left to other anchors.

What is compared are mean spectra over pseudo-wavelength, which hold the width of XP's lines.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from multistar.checks.fitting.sky_anchors import AnchorMaker, extinction, is_fitted
from multistar.checks.fitting.sky_correction import Anchor, interpolate_knots
from multistar.checks.real.matched_pairs import match_stars
from multistar.checks.real.tables import FIELD_FILE, read_field
from multistar.mock.sed import load_sed_table
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.instrument import load_band, xp_matrix
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS
from multistar.stars import Stars, read_stars

MOCK_STARS, SEED = 40_000, 777
ALIKE = 20  # stars of an anchor, next to each other in colour
# Pseudo-wavelengths [pixels] that are used: RP of 650-1000 nm of all stars. Of cool stars, which
# MILES lacks, all of RP and BP of 400-640 nm; BP is only right to some 3 %.
SAMPLES = {"rp": np.arange(15.0, 47.5), "cool rp": np.arange(11.0, 47.5)}
SAMPLES |= {"cool bp": np.arange(15.0, 35.5)}
BP_ERROR = 0.03
COOL = 3900.0  # K
LABELS = ("teff", "logg", "m_h", "ebv")


def pair_field(folder: Path, fitted: bool) -> tuple[Stars, Stars]:
    """Pair field stars with mock stars of their magnitude and colour.

    Parameters
    ----------
    folder : Path
        Of the real data.
    fitted : bool
        Whether the stars are those that corrections are fitted to, or the others.

    Returns
    -------
    real, partners : Stars
        Row by row, with all coefficients.
    """
    magnitudes = read_field(folder).scalars
    real = read_stars(folder / FIELD_FILE, all_orders=True).with_blocks(scalars=dict(magnitudes))
    real = real.select(np.array([is_fitted(str(i)) == fitted for i in real.source_id]))
    config = SurveyConfig(seed=SEED, selection="high-latitude")
    mock = read_stars(pa.concat_tables(survey(MOCK_STARS, config)), all_orders=True)
    rows, partners = match_stars(real, mock, np.zeros(len(mock), bool), np.random.default_rng(0))
    return real.select(rows), mock.select(partners)


def mean_spectra(stars: Stars, band: str, samples: np.ndarray) -> np.ndarray:
    """(n, n_sample) mean spectra of stars as if all had G = 0, e-/s per pixel."""
    of_zero = 10 ** (0.4 * stars.scalars["g"].value)[:, None]
    return stars.xp[band].value @ load_band(band).internal_basis(samples) * of_zero


def read_xp_field(folder: Path, maker: AnchorMaker, fitted: bool) -> Iterator[Anchor]:
    """Yield anchors of field stars: one per group of stars of a colour, and band.

    Parameters
    ----------
    folder : Path
        Of the real data.
    maker : AnchorMaker
        With the models that are to be corrected.
    fitted : bool
        As of pair_field.
    """
    real, partners = pair_field(folder, fitted)
    colour = real.scalars["bp"].value - real.scalars["rp"].value
    truth = np.stack([partners.extra[f"true_{name}"] for name in LABELS], axis=1)
    for alike in np.array_split(np.argsort(colour), len(colour) // ALIKE):
        labels = np.median(truth[alike], axis=0)
        is_cool = labels[0] < COOL
        for part in ("cool rp", "cool bp") if is_cool else ("rp",):
            band, samples = part.split()[-1], SAMPLES[part]
            pairs = real.select(alike), partners.select(alike)
            ratio = np.divide(*(mean_spectra(stars, band, samples) for stars in pairs))
            name = f"{part} {np.median(colour[alike]):.2f}"
            survey = "cool xp" if is_cool else "xp"
            yield compare_mean(maker, survey, labels, ratio, band, samples, name)


def compare_mean(
    maker: AnchorMaker,
    survey: str,
    labels: np.ndarray,
    ratio: np.ndarray,
    band: str,
    samples: np.ndarray,
    name: str,
) -> Anchor:
    """Make an anchor of stars that are alike.

    Parameters
    ----------
    maker : AnchorMaker
    survey : str
        "xp", or "cool xp", whose scale of temperatures is that of the mock.
    labels : (4,) array
        Their medians of LABELS.
    ratio : (n, n_sample) array
        Mean spectra of real stars over those of the mock of the round before.
    band : str
        "bp" or "rp".
    samples : (n_sample,) array
        Pseudo-wavelengths.
    name : str
        Of the anchor.
    """
    split = DR3_ORDERS["bp"]
    rows = slice(None, split) if band == "bp" else slice(split, None)
    to_mean = load_band(band).internal_basis(samples).T @ xp_matrix(maker.wavelength)[rows]
    dust = extinction(maker.wavelength)
    variants = np.exp(maker.vary_labels(labels[:3]) + dust * labels[3])
    model = variants @ to_mean.T
    share = to_mean * variants[0] / model[0][:, None]
    before = np.exp(previous_spectrum(labels) + dust * labels[3]) @ to_mean.T
    median = np.median(ratio, axis=0)
    scatter = 1.25 * np.subtract(*np.percentile(ratio, [84, 16], axis=0)) / 2
    noise = scatter / np.sqrt(len(ratio)) / np.abs(median)
    return maker.make_anchor(
        survey,
        labels[:3],
        np.log(median * before / model[0]),
        share @ interpolate_knots(maker.wavelength),
        np.log(model[1:] / model[0]).T,
        share @ dust,
        np.log(samples / samples.mean()),
        name,
        np.hypot(noise, BP_ERROR if band == "bp" else 0.0),
    )


def previous_spectrum(labels: np.ndarray) -> np.ndarray:
    """ln F (n_wave,) of the mock of the round before at labels (4,) without dust."""
    teff, logg, m_h = (np.atleast_1d(value) for value in labels[:3])
    alpha_m, c_n = np.clip(-0.25 * m_h, 0, 0.3), np.zeros(1)
    return load_sed_table().ln_flux(teff, logg, m_h, alpha_m, c_n)[0]
