"""Real stars of known labels beside their models: the anchors of sky_correction.py.

Read from the folder of real data: MILES (Sanchez-Blazquez et al. 2006, labels of Cenarro et al.
2007), STELIB (Le Borgne et al. 2003), Pickles (1998), CALSPEC (Bohlin, Gordon & Tremblay 2014),
LAMOST, APOGEE-Kepler, and the Sun.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.io import fits
from dust_extinction.parameter_averages import G23

from multistar.checks.fitting.passbands import Passband
from multistar.checks.fitting.sky_correction import SOLAR, Anchor, interpolate_knots
from multistar.checks.real.tables import read_giants, read_lamost

Spectrum = Callable[[np.ndarray], np.ndarray]  # labels (n, 3) -> ln F (n, n_wave)

FINE = np.arange(300.0, 1070.0, 0.5)  # nm, on which spectra are averaged in bins
BIN = 10.0  # nm
VALID = 0.9  # share of a bin that must be observed
# Errors of labels: Teff as a fraction with a least value [K], log g, [M/H].
LABEL_ERRORS = {
    "miles": (0.01, 60.0, 0.10, 0.08),
    "stelib": (0.012, 70.0, 0.12, 0.10),
    "pickles": (0.03, 80.0, 0.35, 0.15),
    "calspec": (0.012, 70.0, 0.12, 0.10),
    "lamost": (0.0, 25.0, 0.08, 0.04),
    "kepler": (0.0, 20.0, 0.05, 0.03),
    "xp": (0.015, 0.0, 0.2, 0.15),
    "cool xp": (0.015, 0.0, 0.2, 0.15),
}
# Independent error of a bin, and errors of dust [mag] and of a tilt per unit of ln wavelength.
FLUX_ERRORS = {
    "miles": (0.012, 0.01, 0.015),
    "stelib": (0.02, 0.04, 0.03),
    "pickles": (0.03, 0.03, 0.05),
    "calspec": (0.005, 0.01, 0.01),
    "lamost": (0.006, 0.012, 0.0),
    "kepler": (0.006, 0.02, 0.0),
    "xp": (0.008, 0.015, 0.015),
    "cool xp": (0.008, 0.015, 0.015),
}
BAND_ERRORS = {"g": 0.004, "bp": 0.005, "rp": 0.005, "j": 0.01, "h": 0.01, "ks": 0.01}
BAND_ERRORS |= {"w1": 0.015, "w2": 0.015}
STEPS = np.array([0.02, 0.2, 0.1])  # of ln Teff, log g, [M/H], for derivatives
# nm: where the Earth's atmosphere is left in spectra. Beside these windows fluxes of STELIB fall by
# 34 % in the A band of oxygen and by 10 % in its B band, of stars of every temperature; those of
# Pickles by 5 % in the water of 940 nm.
TELLURIC = {
    "stelib": ((685, 695), (715, 735), (756, 773), (810, 838), (890, 990)),
    "pickles": ((715, 735), (890, 990)),
}
LOW_DUST = {"lamost": 0.06, "kepler": 0.24}  # mag of E(B-V)
COOLEST, HOTTEST = 2900, 32_000  # K
MOST_DUST = 0.6  # mag of A_V, of spectra that are not free of it
# K: between these MILES and LAMOST say more than mean spectra of a type, which are too red.
PICKLES_UNUSED = 4500, 9000
CELLS = {"teff": 100.0, "logg": 0.3, "m_h": 0.25}
FEWEST = 4  # stars in a cell
# The Sun's absolute magnitudes (Willmer 2018 and Casagrande & VandenBerg 2018).
SUN = {"g": 4.67, "bp": 5.00, "rp": 4.18, "j": 3.67, "h": 3.32, "ks": 3.27, "w1": 3.26, "w2": 3.28}
SUN_ERRORS = {"j": 0.015, "h": 0.015, "ks": 0.015, "w1": 0.02, "w2": 0.02}
SUN_SPECTRUM_ERROR = 0.003
# Teff, log g, [Fe/H] of stars of CALSPEC, values of the literature rounded, from memory: Valenti &
# Fischer (2005), Torres, Winn & Holman (2008), Casagrande et al. (2010), Ramirez et al. (2006, 2013).
# Their differences are within the errors above. 16 Cyg B is left out: it judges the model.
CALSPEC = {
    "HD106252": (5880, 4.34, -0.07),
    "HD159222": (5840, 4.37, 0.12),
    "HD209458": (6070, 4.36, 0.00),
    "HD37962": (5720, 4.48, -0.20),
    "HD031128": (5990, 4.40, -1.50),
    "HD074000": (6280, 4.15, -2.00),
    "HD160617": (5980, 3.75, -1.78),
    "BD+54 1216": (6070, 4.20, -1.60),
    "BD+17 4708": (6110, 3.90, -1.70),
    "BD+02 3375": (6120, 4.10, -2.25),
    "BD+26 2606": (6150, 4.15, -2.40),
}
# Surface gravity of Pickles' luminosity classes by ln Teff, from memory.
GRAVITY = {
    "V": ([3000, 4000, 5000, 6000, 10000, 30000], [5.0, 4.65, 4.5, 4.35, 4.1, 4.0]),
    "IV": ([4500, 6000, 10000, 30000], [3.5, 3.9, 3.9, 3.8]),
    "III": ([3000, 3500, 4000, 5000, 8000, 30000], [0.2, 0.8, 1.6, 2.7, 3.6, 3.6]),
    "II": ([3500, 4500, 6000, 16000], [0.4, 1.3, 1.8, 2.6]),
    "I": ([3500, 4500, 6000, 26000], [0.0, 0.7, 1.3, 2.8]),
}


def extinction(wavelength: np.ndarray) -> np.ndarray:
    """d ln F / d E(B-V) (n,) at wavelengths (n,) [nm], for R_V = 3.1."""
    covered: Any = np.clip(wavelength, 100, 30000) * u.nm
    return -0.4 * np.log(10) * 3.1 * G23(Rv=3.1)(covered)


class AnchorMaker:
    """Puts observed stars beside their models.

    Parameters
    ----------
    spectrum
        The models: labels (n, 3) -> ln F (n, n_wave).
    wavelength : ndarray, shape (n_wave,)
        Their wavelengths, nm.
    bands : dict of str to Passband
        On these wavelengths.
    """

    def __init__(self, spectrum: Spectrum, wavelength: np.ndarray, bands: dict[str, Passband]):
        self.spectrum, self.wavelength, self.bands = spectrum, wavelength, bands

    def of_spectrum(
        self, survey: str, labels: np.ndarray, wave: np.ndarray, flux: np.ndarray, name: str
    ) -> Anchor | None:
        """An observed spectrum (n,) at wavelengths (n,) [nm]; flux <= 0 is not observed."""
        edges = np.arange(max(wave.min(), 335.0), wave.max(), BIN)
        observed = np.interp(FINE, wave, flux, left=np.nan, right=np.nan)
        observed[~(observed > 0)] = np.nan
        variants = self.vary_labels(labels)
        at_fine = np.array([np.interp(FINE, self.wavelength, np.exp(v)) for v in variants])
        to_knots, dust = interpolate_knots(FINE), extinction(FINE)
        ratios, rows, dusts, centres, derivatives = [], [], [], [], []
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            inside = (low <= FINE) & (high > FINE)
            seen = inside & np.isfinite(observed)
            if seen.sum() < VALID * inside.sum():
                continue
            model = at_fine[:, seen].sum(1)
            share = at_fine[0, seen] / model[0]
            ratios.append(np.log(observed[seen].sum() / model[0]))
            derivatives.append(np.log(model[1:] / model[0]))
            rows.append(share @ to_knots[seen])
            dusts.append(share @ dust[seen])
            centres.append((low + high) / 2)
        if len(ratios) < 8:
            return None
        tilt = np.log(np.array(centres) / 600)
        return self.make_anchor(survey, labels, ratios, rows, derivatives, dusts, tilt, name)

    def of_magnitudes(
        self, survey: str, labels: np.ndarray, magnitudes: dict[str, float], name: str
    ) -> Anchor | None:
        """Magnitudes free of dust by band."""
        seen = [band for band in magnitudes if np.isfinite(magnitudes[band])]
        if len(seen) < 3:
            return None
        variants = np.exp(self.vary_labels(labels))
        to_knots, dust = interpolate_knots(self.wavelength), extinction(self.wavelength)
        ratios, rows, dusts, derivatives, errors = [], [], [], [], []
        for band in seen:
            passband = self.bands[band]
            light = variants @ passband.weights
            share = variants[0] * passband.weights / light[0]
            modelled = passband.zero_point - 2.5 * np.log10(light[0])
            ratios.append(-0.4 * np.log(10) * (magnitudes[band] - modelled))
            derivatives.append(np.log(light[1:] / light[0]))
            rows.append(share @ to_knots)
            dusts.append(share @ dust)
            errors.append(BAND_ERRORS[band] if survey != "sun" else SUN_ERRORS.get(band, 0.01))
        tilt = np.zeros(len(seen))
        return self.make_anchor(
            survey, labels, ratios, rows, derivatives, dusts, tilt, name, np.array(errors)
        )

    def extinction_in(self, band: str, flux: np.ndarray) -> float:
        """Extinction of a spectrum (n_wave,) in a band per E(B-V), for little dust, mag."""
        weights = self.bands[band].weights * flux
        dust = extinction(self.wavelength)
        return float(-2.5 / np.log(10) * (weights @ dust) / weights.sum())

    def vary_labels(self, labels: np.ndarray) -> np.ndarray:
        """ln F (4, n_wave) at the labels, and a step in Teff, log g and [M/H] away."""
        steps = np.tile(labels, (4, 1)).astype(float)
        steps[1, 0] *= np.exp(STEPS[0])
        steps[2, 1] += STEPS[1]
        steps[3, 2] += STEPS[2]
        return self.spectrum(steps)

    def make_anchor(
        self,
        survey: str,
        labels: np.ndarray,
        ratios: Any,
        operator: Any,
        derivatives: Any,
        dusts: Any,
        tilt: np.ndarray,
        name: str,
        noise: np.ndarray | float = 0.0,
    ) -> Anchor:
        """Give what is seen in bins its errors: those of the survey's labels and fluxes, and noise.

        Parameters
        ----------
        survey : str
        labels : (3,) array
        ratios : (n_bin,) array
            ln of the observed over the modelled flux.
        operator : (n_bin, n_knot) array
        derivatives : (n_bin, 3) array
            How ln of the modelled flux changes by STEPS.
        dusts, tilt : (n_bin,) array
            Change of ln flux by 1 mag of E(B-V), and by a unit of tilt.
        name : str
        noise : (n_bin,) array or float
            Independent errors beside the survey's own.
        """
        slopes = (np.array(derivatives) / STEPS).T  # (3, n_bin)
        fraction, least, logg_error, m_h_error = LABEL_ERRORS.get(survey, (0.0, 0.0, 0.0, 0.0))
        error, dust_error, tilt_error = FLUX_ERRORS.get(survey, (SUN_SPECTRUM_ERROR, 0.0, 0.0))
        teff_error = max(fraction, least / labels[0])
        if labels[0] > 8000:
            teff_error = max(teff_error, 0.03)
        modes = [
            slopes[0] * teff_error,
            slopes[1] * logg_error,
            slopes[2] * m_h_error,
            np.array(dusts) * dust_error,
            tilt * tilt_error,
        ]
        return Anchor(
            survey=survey,
            labels=np.asarray(labels, float),
            ratio=np.array(ratios),
            operator=np.array(operator),
            error=np.hypot(np.full(len(ratios), error), noise),
            modes=np.array(modes),
            by_teff=slopes[0],
            name=name,
        )


def is_fitted(name: str) -> bool:
    """Whether a star is among the 60 % that the correction is fitted to; others judge it."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 5 < 3


def read_libraries(folder: Path, maker: AnchorMaker, fitted: bool) -> Iterator[Anchor]:
    """Stars of MILES, STELIB and Pickles with labels within 2900-32000 K.

    `fitted` chooses those that the correction is fitted to, or the others.
    """
    for survey in ("miles", "stelib", "pickles"):
        table = np.load(folder / "spectra" / f"{survey}.npz", allow_pickle=False)
        wave = table["wave_angstrom"] / 10
        for i, name in enumerate(table["name"]):
            labels = _library_labels(survey, table, i)
            if is_fitted(str(name)) != fitted or not np.isfinite(labels).all():
                continue
            if not COOLEST < labels[0] < HOTTEST:
                continue
            flux = table["flux"][i].astype(float)
            for low, high in TELLURIC.get(survey, ()):
                flux[(wave > low) & (wave < high)] = np.nan
            if survey == "stelib":
                if table["a_v"][i] > MOST_DUST:
                    continue
                flux = flux * np.exp(-extinction(wave) * table["a_v"][i] / 3.1)
            anchor = maker.of_spectrum(survey, labels, wave, flux, str(name))
            if anchor is not None:
                yield anchor


def read_calspec(folder: Path, maker: AnchorMaker, fitted: bool) -> Iterator[Anchor]:
    """Stars of CALSPEC that were observed by HST, without the Earth's atmosphere."""
    table = pd.read_parquet(folder / "spectra" / "calspec.parquet").set_index("name")
    for name, labels in CALSPEC.items():
        if is_fitted(name) != fitted:
            continue
        wave, flux = (np.asarray(table.loc[name, key], float) for key in ("wave_nm", "flux"))
        inside = (wave > 320) & (wave < 1020)
        anchor = maker.of_spectrum("calspec", np.array(labels), wave[inside], flux[inside], name)
        if anchor is not None:
            yield anchor


def _library_labels(survey: str, table: Mapping[str, np.ndarray], i: int) -> np.ndarray:
    """Teff, log g and [M/H] of one star, within the grid; NaN where they are not to be used."""
    if survey != "pickles":
        labels = np.array([table[key][i] for key in ("teff", "logg", "fe_h")])
    else:
        teff = table["teff"][i]
        if PICKLES_UNUSED[0] < teff < PICKLES_UNUSED[1]:
            return np.full(3, np.nan)
        labels = _pickles_labels(str(table["sptype"][i]), teff, table["feh"][i])
    labels[1:] = np.clip(labels[1:], (-0.2, -2.5), (5.2, 0.5))
    return labels


def _pickles_labels(sptype: str, teff: float, fe_h: float) -> np.ndarray:
    numeral = sptype.lstrip("OBAFGKM.0123456789")
    return np.array([teff, np.interp(teff, *GRAVITY[numeral]), fe_h])


def read_photometry(folder: Path, maker: AnchorMaker, fitted: bool) -> Iterator[Anchor]:
    """Means of alike LAMOST dwarfs and Kepler giants behind little dust, fitted ones or others."""
    for survey, frame in (("lamost", _lamost(folder)), ("kepler", _kepler(folder))):
        chosen = frame["source_id"].astype(str).map(is_fitted) == fitted
        little_dust = frame["ebv"] < LOW_DUST[survey]
        yield from _average_cells(survey, frame[chosen & little_dust], maker)


def _lamost(folder: Path) -> Any:
    frame: Any = read_lamost(folder)
    columns = {"source_id": "source_id", "teff": "teff", "logg": "logg", "mh": "m_h"}
    columns |= {"reddening_r": "ebv"}
    columns |= {"G": "g", "BP": "bp", "RP": "rp", "J": "j", "H": "h", "Ks": "ks"}
    columns |= {"W1": "w1", "W2": "w2"}
    return frame[list(columns)].rename(columns=columns)


def _kepler(folder: Path) -> Any:
    frame: Any = read_giants(folder)
    columns = {"source_id": "source_id", "TEFF": "teff", "LOGG": "logg", "FE_H": "m_h"}
    columns |= {"phot_g_mean_mag": "g"}
    columns |= {"phot_bp_mean_mag": "bp", "phot_rp_mean_mag": "rp"}
    columns |= {"j_m": "j", "h_m": "h", "ks_m": "ks", "L23_ebv": "ebv"}
    return frame[list(columns)].rename(columns=columns).dropna(subset=["teff", "ebv", "bp"])


def _average_cells(survey: str, frame: Any, maker: AnchorMaker) -> Iterator[Anchor]:
    keys = [np.floor(frame[name] / size) for name, size in CELLS.items()]
    bands = [band for band in SUN if band in frame]
    for cell, alike in frame.groupby(keys):
        if len(alike) < FEWEST:
            continue
        labels = alike[list(CELLS)].median().to_numpy(float)
        if not 3500 < labels[0] < 8500:
            continue
        flux = np.exp(maker.spectrum(labels[None]))[0]
        in_g = maker.extinction_in("g", flux)
        magnitudes = {}
        for band in bands:
            per_ebv = maker.extinction_in(band, flux)
            free = alike[band] - alike["g"] - (per_ebv - in_g) * alike["ebv"]
            magnitudes[band] = float(free.median()) if free.notna().sum() >= FEWEST else np.nan
        anchor = maker.of_magnitudes(survey, labels, magnitudes, str(cell))
        if anchor is not None:
            yield anchor


def read_anchors(folder: Path, maker: AnchorMaker, fitted: bool = True) -> list[Anchor]:
    """Read all anchors from the folder of real data: those to fit with the Sun, or the others."""
    anchors = [*read_libraries(folder, maker, fitted), *read_calspec(folder, maker, fitted)]
    anchors += read_photometry(folder, maker, fitted)
    if fitted:
        anchors += read_sun(maker, Path(str(files("pyphot") / "libs")))
    return anchors


def read_sun(maker: AnchorMaker, library: Path) -> Iterator[Anchor]:
    """The Sun's spectrum (Colina, Bohlin & Castelli 1996, in pyphot) and its magnitudes."""
    table: Any = fits.getdata(str(library / "sun_reference_stis_001.fits"))
    wave, flux = table["WAVELENGTH"] / 10.0, np.asarray(table["FLUX"], float)
    inside = (wave > 300) & (wave < 1070)
    labels = np.array(SOLAR)
    spectrum = maker.of_spectrum("sun", labels, wave[inside], flux[inside], "the Sun")
    magnitudes = maker.of_magnitudes("sun", labels, SUN, "the Sun's magnitudes")
    for anchor in (spectrum, magnitudes):
        assert anchor is not None
        yield anchor
