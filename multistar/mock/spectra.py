"""Optical spectra for the rows of a mock survey, as a spectrograph would deliver them.

The star's own light (optical.py) goes through dust, then through a spectrograph: an error of the
velocity that was taken out, an error of the calibration that is smooth in wavelength, its range and
resolution, and noise.
"""

import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
from scipy.ndimage import gaussian_filter1d

from multistar.mock.observe import extinction_curve, tabulate_extinction
from multistar.mock.optical import load_optical_spectra
from multistar.modalities.spectrum.grid import FWHM_TO_SIGMA
from multistar.modalities.spectrum.read import ARM, ERROR, FLUX, GRID, LIGHT_SPEED, NORMALISED, POWER

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
    """

    arms: tuple[tuple[float, float], ...]
    resolving_power: float = 1000.0
    signal_to_noise: tuple[float, float] = (10.0, 200.0)
    calibration: float = 0.03
    normalised: bool = False


# Ranges and signals like those of the surveys named, at the resolution that the table has.
SPECTROGRAPHS = {
    "lamost-like": Spectrograph(((370.0, 735.0),), calibration=0.06),
    "sdss-like": Spectrograph(((380.0, 735.0),), calibration=0.03),
    "desi-like": Spectrograph(((362.0, 580.0), (576.0, 735.0)), calibration=0.02),
    "blue": Spectrograph(((390.0, 545.0),), calibration=0.06),
    "normalised": Spectrograph(
        ((480.0, 680.0),), signal_to_noise=(30.0, 300.0), normalised=True
    ),
    "low-resolution": Spectrograph(((362.0, 735.0),), resolving_power=300.0, calibration=0.02),
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
    own = SPECTROGRAPHS[name]
    rng = np.random.default_rng([seed, int(table["source_id"][0].as_py()) % 2**32, len(name)])
    optical = load_optical_spectra()
    labels = (table[f"true_{label}"].to_numpy() for label in ("teff", "logg", "m_h"))
    ln_flux = optical.draw(*labels, rng)
    r_v, ebv = table["r_v"].to_numpy(), table["true_ebv"].to_numpy()
    ln_flux += LN_FLUX_PER_MAG * (r_v * ebv)[:, None] * extinction_curve(r_v, _extinction())
    ln_flux = _shift(ln_flux, optical.grid.step, rng)
    wavelength = np.exp(optical.grid.ln_wavelength)
    flux, arm, where = [], [], []
    for number, (low, high) in enumerate(own.arms):
        here = np.flatnonzero((wavelength >= low) & (wavelength <= high))
        ln_arm, kept = _degrade(ln_flux, here, own, optical.grid.resolving_power)
        flux.append(np.exp(ln_arm + _draw_calibration(ln_arm.shape, own.calibration, rng)))
        arm += [number] * len(kept)
        where.append(wavelength[kept])
    value = np.concatenate(flux, axis=1)
    value /= np.median(value, axis=1, keepdims=True)
    least, largest = np.log(own.signal_to_noise)
    noise = np.exp(-rng.uniform(least, largest, (len(table), 1)))
    # photon noise: relative to the square root of the flux
    error = noise * np.sqrt(value)
    value = value + error * rng.normal(size=value.shape)
    columns = {FLUX: value, ERROR: error}
    if len(own.arms) > 1:
        columns[ARM] = np.broadcast_to(np.array(arm, np.float32), value.shape)
    for column, values in columns.items():
        flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
        vectors = pa.FixedSizeListArray.from_arrays(flat, value.shape[1])
        table = table.append_column(column, vectors)
    for column, number in ((POWER, own.resolving_power), (NORMALISED, float(own.normalised))):
        table = table.append_column(column, pa.array(np.full(len(table), number, np.float32)))
    grid = json.dumps(np.round(np.concatenate(where), 5).tolist())
    metadata = {**(table.schema.metadata or {}), GRID.encode(): grid.encode()}
    return table.replace_schema_metadata(metadata)


def _shift(ln_flux: np.ndarray, step: float, rng: np.random.Generator) -> np.ndarray:
    """Spectra (n, g) moved by what their velocities are wrong by, which is less than a pixel."""
    is_unknown = rng.random(len(ln_flux)) < UNKNOWN
    size = np.where(is_unknown, UNKNOWN_VELOCITY, VELOCITY_ERROR)
    velocity = size * rng.normal(size=len(ln_flux))
    pixels = velocity / LIGHT_SPEED / step
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


def _draw_calibration(
    shape: tuple[int, ...], size: float, rng: np.random.Generator
) -> np.ndarray:
    """(n, w) smooth relative errors of the flux."""
    n, width = shape
    terms = np.polynomial.legendre.legvander(np.linspace(-1, 1, width), CALIBRATION_TERMS)[:, 1:]
    return size * rng.normal(size=(n, CALIBRATION_TERMS)) @ terms.T
