"""Zero points of Pan-STARRS and WISE in the mock, from real stars of known labels.

The correction of the spectra is smooth in wavelength, and their photometry comes from Gaia, whose
G, BP and RP are tied to XP. What a band is still off by, alike for stars of all temperatures, is the
zero point of its survey (of Pan-STARRS some 0.02 mag: Scolnic et al. 2015, ApJ 815, 117). It moves
temperatures by tens of kelvins.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from multistar.checks.fitting.passbands import Passband
from multistar.checks.fitting.sky_anchors import LOW_DUST, extinction, is_fitted
from multistar.checks.real.tables import read_lamost

# Band -> its column in the table of LAMOST stars.
COLUMNS = {f"ps1_{letter}": f"{letter}P1" for letter in "grizy"} | {"w1": "W1", "w2": "W2"}
DWARFS = 3.8  # log g
# K: each bin counts alike, so that the zero points are not those of the commonest stars.
TEFF_BINS = np.arange(4800.0, 6400.0, 500.0)
FEWEST = 50  # stars with the band in a bin
AT_ONCE = 2000  # stars whose spectra are held at once

Spectrum = Callable[[np.ndarray], np.ndarray]


def fit_zero_points(
    spectrum: Spectrum, wavelength: np.ndarray, bands: Mapping[str, Passband], folder: Path
) -> dict[str, float]:
    """Measure by how much real dwarfs are fainter in a band, relative to G, than models.

    Parameters
    ----------
    spectrum : callable
        The models: labels (n, 3) -> ln F (n, n_wave).
    wavelength : (n_wave,) ndarray
        nm.
    bands : mapping of str to Passband
        On these wavelengths.
    folder : Path
        The folder of real tables. Of its LAMOST dwarfs those behind little dust are used that the
        spectra are fitted to; the others judge.

    Returns
    -------
    dict of str to float
        Band -> what its zero point lacks, mag; 0 for a band with too few stars.
    """
    frame: Any = read_lamost(folder)
    fitted = frame["source_id"].astype(str).map(is_fitted)
    little_dust = frame["reddening_r"] < LOW_DUST["lamost"]
    frame = frame[fitted & little_dust & (frame["logg"] > DWARFS)]
    used = {band: bands[band] for band in ("g", *COLUMNS)}
    modelled = _predict_magnitudes(spectrum, wavelength, used, frame)
    teff = frame["teff"].to_numpy(float)
    offsets = {}
    for band, column in COLUMNS.items():
        colour = (frame[column] - frame["G"]).to_numpy(float)
        residual = colour - (modelled[band] - modelled["g"])
        offsets[band] = average_over_bins(teff, residual)
    return offsets


def shift_zero_points(
    bands: Mapping[str, Passband], offsets: Mapping[str, float]
) -> dict[str, Passband]:
    """The bands with the offsets [mag] added to their zero points."""
    shifted = dict(bands)
    for name, offset in offsets.items():
        shifted[name] = replace(bands[name], zero_point=bands[name].zero_point + offset)
    return shifted


def average_over_bins(teff: np.ndarray, residual: np.ndarray) -> float:
    """Mean over bins of temperature of the median residual; 0 if no bin has enough stars."""
    medians = []
    for low, high in zip(TEFF_BINS[:-1], TEFF_BINS[1:], strict=True):
        here = residual[(teff >= low) & (teff < high) & np.isfinite(residual)]
        if len(here) >= FEWEST:
            medians.append(np.median(here))
    return float(np.mean(medians)) if medians else 0.0


def _predict_magnitudes(
    spectrum: Spectrum, wavelength: np.ndarray, bands: Mapping[str, Passband], frame: Any
) -> dict[str, np.ndarray]:
    """Band -> (n,) magnitudes, of any level, of stars of a table's labels and dust."""
    labels = frame[["teff", "logg", "mh"]].to_numpy(float)
    ebv = frame["reddening_r"].to_numpy(float)
    dust = extinction(wavelength)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in bands}
    for start in range(0, len(frame), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        flux = np.exp(spectrum(labels[rows]) + ebv[rows, None] * dust)
        for name, band in bands.items():
            parts[name].append(band.magnitude(flux))
    return {name: np.concatenate(values) for name, values in parts.items()}
