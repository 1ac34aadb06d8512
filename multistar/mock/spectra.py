"""Optical spectra for the rows of a mock survey, as a spectrograph would deliver them.

The star's own light (optical.py) goes through dust, then through a spectrograph: an error of the
velocity that was taken out, an error of the calibration that is smooth in wavelength, its range and
resolution, and noise.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from multistar.mock.observe import extinction_curve, tabulate_extinction
from multistar.mock.optical import load_optical_spectra
from multistar.modalities.spectrum.grid import FWHM_TO_SIGMA
from multistar.modalities.spectrum.read import (
    ARM,
    ERROR,
    FLUX,
    GRID,
    LIGHT_SPEED,
    NORMALISED,
    POWER,
)

LN_FLUX_PER_MAG = -0.4 * np.log(10)
CONTINUUM = 0.04  # ln wavelength: width of the running mean that pipelines divide by
# km/s: errors of velocities that were measured, and of those that were not, with their share
VELOCITY_ERROR, UNKNOWN_VELOCITY, UNKNOWN = 5.0, 60.0, 0.2
CALIBRATION_TERMS = 4  # of the polynomial that a calibration is wrong by


@dataclass(frozen=True)
class Spectrograph:
    """What the spectra of a survey are like.

    Attributes
    ----------
    arms : tuple of (float, float)
        Lowest and highest wavelength of each arm, nm.
    resolving_power : float
        lambda / FWHM; that of the table of spectra at most.
    signal_to_noise : (float, float)
        Least and largest per pixel of half a resolution element, log-uniform over stars.
    calibration : float
        Standard deviation of every term of the smooth relative error of the flux.
    normalised : bool
        Whether spectra are divided by their continuum.
    systematics : dict of str to (float, float)
        Label -> constant and slope of what the survey's pipeline adds to it: the slope is per unit of
        the label beyond SOLAR.
    """

    arms: tuple[tuple[float, float], ...]
    resolving_power: float = 1000.0
    signal_to_noise: tuple[float, float] = (10.0, 200.0)
    calibration: float = 0.03
    normalised: bool = False
    systematics: Mapping[str, tuple[float, float]] = field(default_factory=dict)


SOLAR = {"teff": 5772.0, "logg": 4.44, "m_h": 0.0}
# Ranges and signals like those of the surveys named, at the resolution that the table has. Their
# systematics are invented, of the size by which pipelines differ.
SPECTROGRAPHS = {
    "lamost-like": Spectrograph(
        ((370.0, 735.0),),
        calibration=0.06,
        systematics={"teff": (40.0, 0.02), "logg": (-0.05, 0.04), "m_h": (-0.04, 0.05)},
    ),
    "sdss-like": Spectrograph(
        ((380.0, 735.0),),
        calibration=0.03,
        systematics={"teff": (-30.0, -0.03), "logg": (0.08, -0.05), "m_h": (0.05, 0.02)},
    ),
    "desi-like": Spectrograph(
        ((362.0, 580.0), (576.0, 735.0)),
        calibration=0.02,
        systematics={"teff": (90.0, 0.01), "logg": (0.12, 0.03), "m_h": (-0.10, -0.06)},
    ),
    "blue": Spectrograph(
        ((390.0, 545.0),),
        calibration=0.06,
        systematics={"teff": (-80.0, 0.04), "logg": (-0.15, 0.06), "m_h": (0.08, 0.08)},
    ),
    "normalised": Spectrograph(
        ((480.0, 680.0),),
        signal_to_noise=(30.0, 300.0),
        normalised=True,
        systematics={"teff": (20.0, -0.01), "logg": (0.03, 0.02), "m_h": (0.02, -0.03)},
    ),
    "low-resolution": Spectrograph(
        ((362.0, 735.0),),
        resolving_power=300.0,
        calibration=0.02,
        systematics={"teff": (120.0, 0.05), "logg": (-0.20, 0.08), "m_h": (-0.12, 0.10)},
    ),
}


@lru_cache(maxsize=1)
def _extinction() -> np.ndarray:
    """Extinction curves on the pixels of the table."""
    return tabulate_extinction(np.exp(load_optical_spectra().grid.ln_wavelength))


def with_spectra(table: pa.Table, name: str, seed: int) -> pa.Table:
    """Add spectra of one kind to the rows of a mock survey.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of a mock survey.
    name : str
        A name in SPECTROGRAPHS.
    seed : int
        Seed of the survey.

    Returns
    -------
    pyarrow.Table
        With the columns that modalities/spectrum/read.py names. The primary's spectrum stands for
        both stars of a pair.
    """
    own, pixels = SPECTROGRAPHS[name], load_optical_spectra().grid.pixels
    source_ids = table["source_id"].to_pylist()
    ln_flux = _draw_at_earth(table, source_ids, seed)
    kind = 1 + list(SPECTROGRAPHS).index(name)
    n_others = 3 + CALIBRATION_TERMS * len(own.arms)
    numbers = _draw_normal(source_ids, [seed, kind], n_others + len(own.arms) * pixels)
    others, noise = np.split(numbers, [n_others], axis=1)
    value, wavelength, arm = _observe_arms(ln_flux, own, others)
    least, largest = np.log(own.signal_to_noise)
    relative = np.exp(-least - (largest - least) * ndtr(others[:, 2:3]))
    error = relative * np.sqrt(value)  # of photons
    columns = {FLUX: value + error * noise[:, : value.shape[1]], ERROR: error}
    if len(own.arms) > 1:
        columns[ARM] = np.broadcast_to(arm, value.shape)
    for column, values in columns.items():
        flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
        vectors = pa.FixedSizeListArray.from_arrays(flat, value.shape[1])
        table = table.append_column(column, vectors)
    for column, number in ((POWER, own.resolving_power), (NORMALISED, float(own.normalised))):
        table = table.append_column(column, pa.array(np.full(len(table), number, np.float32)))
    grid = json.dumps(np.round(wavelength, 5).tolist())
    metadata = {**(table.schema.metadata or {}), GRID.encode(): grid.encode()}
    return table.replace_schema_metadata(metadata)


def _draw_at_earth(table: pa.Table, source_ids: list[int], seed: int) -> np.ndarray:
    """(n, g) ln flux behind dust, the same in every survey: what labels do not tell is the star's."""
    optical = load_optical_spectra()
    normal = _draw_normal(source_ids, [seed], optical.n_draws)
    teff, logg, m_h = (table[f"true_{label}"].to_numpy() for label in ("teff", "logg", "m_h"))
    r_v, ebv = table["r_v"].to_numpy(), table["true_ebv"].to_numpy()
    loss = LN_FLUX_PER_MAG * (r_v * ebv)[:, None] * extinction_curve(r_v, _extinction())
    return optical.draw(teff, logg, m_h, normal) + loss


def _observe_arms(
    ln_flux: np.ndarray, own: Spectrograph, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put spectra (n, g) through a spectrograph without noise.

    Parameters
    ----------
    ln_flux : (n, g) ndarray
    own : Spectrograph
    others : (n, k) ndarray
        Standard normal numbers: two for the velocity, one that is not used here, and
        CALIBRATION_TERMS for each arm.

    Returns
    -------
    flux : (n, w) ndarray
        Of all arms, with a median of 1.
    wavelength, arm : (w,) ndarray
    """
    grid = load_optical_spectra().grid
    is_unknown = ndtr(others[:, 0]) < UNKNOWN
    velocity = np.where(is_unknown, UNKNOWN_VELOCITY, VELOCITY_ERROR) * others[:, 1]
    ln_flux = _shift(ln_flux, velocity / LIGHT_SPEED / grid.step)
    every = np.exp(grid.ln_wavelength)
    flux, arm, wavelength = [], [], []
    for number, (low, high) in enumerate(own.arms):
        here = np.flatnonzero((every >= low) & (every <= high))
        ln_arm, kept = _degrade(ln_flux, here, own, grid.resolving_power)
        first = 3 + number * CALIBRATION_TERMS
        terms = own.calibration * others[:, first : first + CALIBRATION_TERMS]
        flux.append(np.exp(ln_arm + terms @ _smooth_terms(len(kept)).T))
        arm.append(np.full(len(kept), number, np.float32))
        wavelength.append(every[kept])
    value = np.concatenate(flux, axis=1)
    value /= np.median(value, axis=1, keepdims=True)
    return value, np.concatenate(wavelength), np.concatenate(arm)


def as_published(table: pa.Table, name: str) -> pa.Table:
    """Put the labels of a mock survey on the scale of a spectrograph's pipeline.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of a mock survey.
    name : str
        A name in SPECTROGRAPHS.

    Returns
    -------
    pyarrow.Table
        With changed columns of the labels in `systematics`, and `label_scale`; true values are as
        they were.
    """
    for label, (constant, slope) in SPECTROGRAPHS[name].systematics.items():
        values = table[label].to_numpy()
        changed = values + constant + slope * (values - SOLAR[label])
        place = table.schema.get_field_index(label)
        table = table.set_column(place, label, pa.array(changed))
    return table.append_column("label_scale", pa.array([name] * len(table)))


def _draw_normal(source_ids: list[int], seed: list[int], number: int) -> np.ndarray:
    """(n, number) of each star's own, so that a star is the same in every table."""
    out = np.empty((len(source_ids), number))
    for row, source_id in enumerate(source_ids):
        np.random.default_rng([*seed, source_id]).standard_normal(out=out[row])
    return out


def _shift(ln_flux: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Spectra (n, g) moved by (n,) pixels, which are less than one."""
    return ln_flux - pixels[:, None] * np.gradient(ln_flux, axis=1)


def _degrade(
    ln_flux: np.ndarray, here: np.ndarray, own: Spectrograph, resolving_power: float
) -> tuple[np.ndarray, np.ndarray]:
    """ln flux at the pixels of one arm, and which pixels these are."""
    step, stride = 1 / (2 * resolving_power), 1
    if own.resolving_power < resolving_power:
        missing = np.sqrt(own.resolving_power**-2 - resolving_power**-2)
        smooth = gaussian_filter1d(np.exp(ln_flux), FWHM_TO_SIGMA * missing / step, axis=1)
        ln_flux = np.log(np.maximum(smooth, 1e-9))
        stride = int(resolving_power // own.resolving_power)
    kept = here[::stride]
    ln_arm = ln_flux[:, here]
    if own.normalised:
        ln_arm = ln_arm - gaussian_filter1d(ln_arm, CONTINUUM / step, axis=1)
    return ln_arm[:, ::stride], kept


def _smooth_terms(width: int) -> np.ndarray:
    """(w, CALIBRATION_TERMS) what a calibration may be wrong by: Legendre polynomials."""
    place = np.linspace(-1, 1, width)
    return np.polynomial.legendre.legvander(place, CALIBRATION_TERMS)[:, 1:]
