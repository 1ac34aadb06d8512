"""Stars that Gaia and HST observed: XP beside what the instrument model makes of their flux.

46 stars of CALSPEC (Bohlin, Gordon & Tremblay 2014), from white dwarfs to M dwarfs, G = 4-16. No
model of a star is needed to compare them. Gaia's are sampled spectra, which say nothing of BP beyond
660 nm and of RP below 625 nm. So they are not read as coefficients of their own: those of the flux of
HST are multiplied by the response that gives the sampled flux, where it says anything. Of five stars
the coefficients are at hand, too; they say all.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multistar.checks.fitting.sky_anchors import is_fitted
from multistar.mock.xp_response import DWARF_LOGG, describe_star
from multistar.modalities.gaia_xp.bright import BRIGHT
from multistar.modalities.gaia_xp.instrument import load_band, resampling_matrix, xp_matrix
from multistar.modalities.gaia_xp.response import KNOTS, change_by_knot
from multistar.modalities.gaia_xp.sampled import solve_coefficients
from multistar.modalities.gaia_xp.synthesis import (
    DR3_ORDERS,
    WAVELENGTH,
    flux_matrix,
    synthetic_magnitudes,
)
from multistar.stars import read_stars

PAIRS_FILE = Path("xp", "calspec_pairs_sampled.parquet")
COEFFICIENTS_FILE = Path("xp", "gaia_dr3_xp_continuous_calspec10.csv")
ALIKE = 5e-4  # relative rms difference of two sampled spectra that are of one star
FINE_NM = np.arange(330.0, 1030.01, 0.5)
MIDST = 24.0, 36.0  # pixels, where the scale of a pair is taken; it is a level alone
# Of a sampled spectrum, as a share of it and of its highest value.
FLUX_ERROR, FLUX_FLOOR = 0.002, 0.0001
# Of the response, at a knot between these pixels and at one beyond, where there is little light.
WELL_LIT = {"bp": (12.0, 40.0), "rp": (10.0, 49.0)}
RESPONSE_SIZE, END_SIZE = 0.1, 1.0
TO_MAGNITUDE = 5.0  # mag: fluxes of the file are in units of 1e-2 W m-2 nm-1
# Teff of main-sequence stars and white dwarfs by BP-RP (Pecaut & Mamajek 2013, rounded).
COLOURS = (-0.5, -0.35, -0.2, 0.0, 0.1, 0.25, 0.4, 0.6, 0.82, 1.0, 1.4, 2.0, 2.8, 4.0)
TEFF = (35e3, 25e3, 15e3, 9700, 8800, 8000, 7200, 6400, 5772, 5200, 4400, 3700, 3150, 2600)


@dataclass(frozen=True)
class HSTPairs:
    """n stars as Gaia sees them, and as the instrument model would.

    Attributes
    ----------
    name : (n,) array of str
    teff : (n,) array
        K, by colour.
    bright : (n,) bool array
        Brighter than BRIGHT.
    whole : (n,) bool
        Those whose coefficients Gaia published and not only the sampled spectrum.
    gaia, model : (n, 110) array
        Coefficients, BP then RP.
    """

    name: np.ndarray
    teff: np.ndarray
    bright: np.ndarray
    whole: np.ndarray
    gaia: np.ndarray
    model: np.ndarray

    def describe(self) -> np.ndarray:
        """(n, n_teff) see mock/xp_response.py; but for one all are dwarfs or hotter than giants."""
        return describe_star(self.teff, np.full(len(self.teff), DWARF_LOGG[1]))

    def mean_spectra(self, band: str, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, n_sample) of Gaia and of the model, which is brought to the level of Gaia's."""
        split = DR3_ORDERS["bp"]
        columns = slice(None, split) if band == "bp" else slice(split, None)
        basis = load_band(band).internal_basis(samples)
        gaia, model = self.gaia[:, columns] @ basis, self.model[:, columns] @ basis
        midst = (samples > MIDST[0]) & (samples < MIDST[1])
        level = np.median((gaia / model)[:, midst], axis=1, keepdims=True)
        return gaia, model * level


def read_hst_pairs(folder: Path, fitted: bool) -> HSTPairs:
    """Read the pairs of a folder of real data: those that are fitted to, or the others.

    16 Cyg B is always one of the others: it judges the model.
    """
    frame: Any = pd.read_parquet(folder / PAIRS_FILE)
    is_known = frame["star_name"].map(lambda name: is_fitted(name) and name != "16 CYG B")
    frame = frame[is_known == fitted]
    matrix = xp_matrix(FINE_NM).T
    published = _read_coefficients(folder)
    gaia, model, whole, g, colour = [], [], [], [], []
    for wavelength, of_gaia, of_hst in zip(
        frame["wavelength"], frame["gaia_spectrum"], frame["calspec_spectrum"], strict=True
    ):
        grid = np.round(np.asarray(wavelength, float)[: len(of_gaia)], 3)
        flux = np.asarray(of_gaia, float)
        solved = solve_coefficients(flux[None], np.full((1, len(flux)), np.nan), grid)
        magnitudes = synthetic_magnitudes(solved)
        g.append(magnitudes["g"][0] + TO_MAGNITUDE)
        colour.append(magnitudes["bp"][0] - magnitudes["rp"][0])
        hst = np.asarray(of_hst, float)
        seen = np.isfinite(hst) & (hst > 0)
        model.append(np.interp(FINE_NM, grid[seen], hst[seen]) @ matrix)
        sampling = flux_matrix() @ resampling_matrix(WAVELENGTH, grid).T
        own = _find(flux, published, sampling)
        whole.append(own is not None)
        gaia.append(_follow(flux, model[-1], sampling) if own is None else own)
    return HSTPairs(
        frame["star_name"].to_numpy(str),
        np.interp(colour, COLOURS, TEFF),
        np.array(g) < BRIGHT,
        np.array(whole),
        np.array(gaia),
        np.array(model),
    )


def _read_coefficients(folder: Path) -> np.ndarray:
    """(m, 110) of stars of CALSPEC, as the archive has them."""
    stars = read_stars(folder / COEFFICIENTS_FILE, all_orders=True, origin="mock")
    return np.hstack([np.nan_to_num(band.value) for band in stars.xp.values()])


def _find(flux: np.ndarray, published: np.ndarray, sampling: np.ndarray) -> np.ndarray | None:
    """The coefficients of (m, 110) that make the sampled flux (w,), in its unit; or None."""
    for coefficients in published:
        ratio = flux / (coefficients @ sampling)
        if ratio.std() < ALIKE * abs(ratio.mean()):
            return coefficients * ratio.mean()
    return None


def _follow(flux: np.ndarray, model: np.ndarray, sampling: np.ndarray) -> np.ndarray:
    """(110,) coefficients of the model, times the response with which they give the flux (w,).

    Of all such responses it is the one of least size at KNOTS (ridge regression), where it is held
    to be small.
    """
    model = model * np.median(flux / (model @ sampling))
    split = DR3_ORDERS["bp"]
    changes = np.zeros((2, len(KNOTS), len(model)))
    for i, (band, columns) in enumerate({"bp": slice(split), "rp": slice(split, None)}.items()):
        low, high = WELL_LIT[band]
        size = np.where((low < KNOTS) & (high > KNOTS), RESPONSE_SIZE, END_SIZE)
        changes[i, :, columns] = size[:, None] * (model[columns] @ change_by_knot(band))
    changes = changes.reshape(-1, len(model))
    error = np.hypot(FLUX_ERROR * flux, FLUX_FLOOR * flux.max())
    design = changes @ sampling / error
    off = (flux - model @ sampling) / error
    response = np.linalg.solve(design @ design.T + np.eye(len(changes)), design @ off)
    return model + response @ changes
