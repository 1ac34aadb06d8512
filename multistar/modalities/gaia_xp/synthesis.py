"""What GaiaXPy derives from XP coefficients, as matrices: magnitudes and the sampled spectrum.

Both are linear in the coefficients, so running GaiaXPy once on unit vectors gives its own result
for any number of stars at the cost of a matrix product.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from unittest.mock import patch

import numpy as np
import pandas as pd

from multistar._compat import load_gaiaxpy
from multistar.modalities.gaia_xp.read import XP_BANDS, XPCoefficients, archive_columns

DR3_ORDERS = {"bp": 55, "rp": 55}  # the layout whose bases the installed GaiaXPy knows
WAVELENGTH = np.arange(336.0, 1021.0, 2.0)  # nm, the archive's sampling
MAGNITUDES = ("g", "bp", "rp")


def _unit_coefficients() -> pd.DataFrame:
    """One row per coefficient, equal to 1, the others 0, in the archive's columns."""
    n = sum(DR3_ORDERS.values())
    blocks = np.split(np.eye(n), [DR3_ORDERS["bp"]], axis=1)
    unit = {}
    for band, block in zip(XP_BANDS, blocks, strict=True):
        unit[band] = XPCoefficients(block, np.ones_like(block))
    columns = {"source_id": np.arange(n), "solution_id": np.zeros(n, int)}
    columns |= archive_columns(unit)
    for name, values in columns.items():
        if values.ndim == 2:
            columns[name] = list(values)  # one vector per row
    return pd.DataFrame(columns)


def _without_bar(rows: Iterable, **_) -> Iterable:
    """Stand in for tqdm."""
    return rows


@contextlib.contextmanager
def _quiet_gaiaxpy() -> Iterator[None]:
    """Silence what GaiaXPy prints and its progress bars, which make no sense for unit vectors."""
    load_gaiaxpy()
    import gaiaxpy.calibrator.calibrator as calibrator
    import gaiaxpy.generator.multi_synthetic_photometry_generator as generator

    with (
        patch.object(calibrator, "tqdm", _without_bar),
        patch.object(generator, "tqdm", _without_bar),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield


@lru_cache(maxsize=1)
def photometry_matrix() -> tuple[np.ndarray, np.ndarray]:
    """Give what GaiaXPy does to coefficients to get magnitudes of the DR3 system.

    Returns
    -------
    flux : (110, 3) array
        Flux of unit coefficients, BP then RP, in G, BP and RP.
    zero_point : (3,) array
        Magnitude = zero_point - 2.5 log10(coefficients @ flux), Vega mag.
    """
    with _quiet_gaiaxpy():
        from gaiaxpy import PhotometricSystem, generate

        table = generate(
            _unit_coefficients(),
            photometric_system=PhotometricSystem.Gaia_DR3_Vega,
            save_file=False,
        )
    bands = [band.upper() for band in MAGNITUDES]
    flux = table[[f"GaiaDr3Vega_flux_{band}" for band in bands]].to_numpy(np.float64)
    magnitude = table[[f"GaiaDr3Vega_mag_{band}" for band in bands]].to_numpy(np.float64)
    brightest = np.argmax(flux, axis=0), np.arange(len(bands))
    zero_point = magnitude[brightest] + 2.5 * np.log10(flux[brightest])
    return np.ascontiguousarray(flux), zero_point


@lru_cache(maxsize=1)
def flux_matrix() -> np.ndarray:
    """Matrix from coefficients to the sampled spectrum.

    Returns
    -------
    (110, 343) array
        BP then RP coefficients [e-/s] @ matrix = flux [W m-2 nm-1] at WAVELENGTH.
    """
    with _quiet_gaiaxpy():
        from gaiaxpy import calibrate

        spectra, _ = calibrate(
            _unit_coefficients(), sampling=WAVELENGTH, truncation=False, save_file=False
        )
    return np.stack(spectra["flux"].to_list())


def synthetic_magnitudes(xp: Mapping[str, XPCoefficients]) -> dict[str, np.ndarray]:
    """G, BP and RP magnitudes from XP coefficients.

    Both bands are needed in the DR3 layout (55 + 55). Truncated orders count as zero, as in the
    archive.

    Parameters
    ----------
    xp : dict of str to XPCoefficients
        Coefficients of n stars by band.

    Returns
    -------
    dict of str to (n,) array
        Magnitudes "g", "bp", "rp"; NaN where they cannot be derived.
    """
    n = len(next(iter(xp.values())).value)
    if not _has_dr3_layout(xp):
        return {name: np.full(n, np.nan) for name in MAGNITUDES}
    weights, zero_point = photometry_matrix()
    values = np.hstack([xp[band].value for band in XP_BANDS])
    flux = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) @ weights
    has_bp = np.isfinite(xp["bp"].value[:, 0])
    has_rp = np.isfinite(xp["rp"].value[:, 0])
    usable = (has_bp & has_rp)[:, None] & (flux > 0)
    instrumental = -2.5 * np.log10(np.where(usable, flux, 1.0))
    magnitude = np.where(usable, zero_point + instrumental, np.nan)
    return {name: magnitude[:, i] for i, name in enumerate(MAGNITUDES)}


def synthetic_fluxes(
    xp: Mapping[str, XPCoefficients],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Fluxes in G, BP and RP from XP coefficients, relative to a star of magnitude 0.

    Parameters
    ----------
    xp : dict of str to XPCoefficients
        As of `synthetic_magnitudes`; unknown errors count as zero.

    Returns
    -------
    flux, error : dict of str to (n,) array
        "g", "bp", "rp"; NaN where a band is missing. Errors leave out correlations.
    """
    n = len(next(iter(xp.values())).value)
    if not _has_dr3_layout(xp):
        unknown = {name: np.full(n, np.nan) for name in MAGNITUDES}
        return unknown, unknown
    weights, zero_point = photometry_matrix()
    values = np.hstack([xp[band].value for band in XP_BANDS])
    observed = np.isfinite(values)
    sigma = np.where(observed, np.nan_to_num(np.hstack([xp[band].sigma for band in XP_BANDS])), 0)
    of_zero = 10 ** (0.4 * zero_point)
    flux = (np.where(observed, values, 0) @ weights) / of_zero
    error = np.sqrt(sigma**2 @ weights**2) / of_zero
    missing = ~(observed[:, 0] & observed[:, DR3_ORDERS["bp"]])
    flux[missing] = error[missing] = np.nan
    fluxes = {name: flux[:, i] for i, name in enumerate(MAGNITUDES)}
    return fluxes, {name: error[:, i] for i, name in enumerate(MAGNITUDES)}


def _has_dr3_layout(xp: Mapping[str, XPCoefficients]) -> bool:
    found = {band: coefficients.value.shape[1] for band, coefficients in xp.items()}
    return found == DR3_ORDERS
