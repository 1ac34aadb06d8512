"""What GaiaXPy derives from XP coefficients, as matrices: G, BP, RP magnitudes and the sampled spectrum.

Both are linear in the coefficients, so running GaiaXPy once on unit vectors gives its own result for
any number of stars at the cost of a matrix product.
"""

import contextlib
import io
from collections.abc import Iterator
from functools import lru_cache
from unittest.mock import patch

import numpy as np
import pandas as pd

from multistar._compat import load_gaiaxpy
from multistar.modalities.gaia_xp.read import XP_BANDS, XPCoefficients, archive_columns

DR3_ORDERS = {"bp": 55, "rp": 55}  # the layout whose bases the installed GaiaXPy knows
WAVELENGTH = np.arange(336.0, 1021.0, 2.0)  # nm, the archive's sampling


def _unit_coefficients() -> pd.DataFrame:
    """One row per coefficient, equal to 1, the others 0, in the archive's columns."""
    n = sum(DR3_ORDERS.values())
    blocks = np.split(np.eye(n), [DR3_ORDERS["bp"]], axis=1)
    unit = {
        band: XPCoefficients(block, np.ones_like(block))
        for band, block in zip(XP_BANDS, blocks, strict=True)
    }
    columns = {"source_id": np.arange(n), "solution_id": np.zeros(n, int)} | archive_columns(unit)
    return pd.DataFrame({name: list(x) if x.ndim == 2 else x for name, x in columns.items()})


@contextlib.contextmanager
def _quiet_gaiaxpy() -> Iterator[None]:
    """GaiaXPy prints what it does and draws progress bars; neither makes sense for unit vectors."""
    load_gaiaxpy()
    import gaiaxpy.calibrator.calibrator
    import gaiaxpy.generator.multi_synthetic_photometry_generator

    modules = gaiaxpy.calibrator.calibrator, gaiaxpy.generator.multi_synthetic_photometry_generator
    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.enter_context(patch.object(module, "tqdm", lambda rows, **_: rows))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield


@lru_cache(maxsize=1)
def _photometry() -> tuple[np.ndarray, np.ndarray]:
    """Flux of unit coefficients in G, BP, RP (110, 3), and the zero points (3,) [mag]."""
    with _quiet_gaiaxpy():
        from gaiaxpy import PhotometricSystem, generate

        out = generate(
            _unit_coefficients(),
            photometric_system=PhotometricSystem.Gaia_DR3_Vega,
            save_file=False,
        )
    flux = np.stack(
        [out[f"GaiaDr3Vega_flux_{band}"].to_numpy(np.float64) for band in ("G", "BP", "RP")], -1
    )
    magnitude = np.stack(
        [out[f"GaiaDr3Vega_mag_{band}"].to_numpy(np.float64) for band in ("G", "BP", "RP")], -1
    )
    brightest = np.argmax(flux, axis=0), np.arange(3)
    return flux, magnitude[brightest] + 2.5 * np.log10(flux[brightest])


@lru_cache(maxsize=1)
def flux_matrix() -> np.ndarray:
    """(110, 343): BP then RP coefficients [e-/s] @ matrix = flux [W m-2 nm-1] at WAVELENGTH."""
    with _quiet_gaiaxpy():
        from gaiaxpy import calibrate

        spectra, _ = calibrate(
            _unit_coefficients(), sampling=WAVELENGTH, truncation=False, save_file=False
        )
    return np.stack(spectra["flux"].to_list())


def synthetic_magnitudes(xp: dict[str, XPCoefficients]) -> dict[str, np.ndarray]:
    """g, bp, rp magnitudes (n,) from XP coefficients; NaN where they cannot be derived.

    Needs both bands in the DR3 layout (55 + 55). Truncated orders count as zero, as the archive does.
    """
    n = len(next(iter(xp.values())).value)
    if any(
        band not in xp or xp[band].value.shape[1] != orders for band, orders in DR3_ORDERS.items()
    ):
        return {band: np.full(n, np.nan) for band in ("g", "bp", "rp")}
    weights, zero = _photometry()
    values = np.hstack([xp[band].value for band in XP_BANDS])
    flux = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) @ weights
    first_orders = np.isfinite(xp["bp"].value[:, 0]) & np.isfinite(xp["rp"].value[:, 0])
    usable = first_orders[:, None] & (flux > 0)
    magnitude = np.where(usable, zero - 2.5 * np.log10(np.where(usable, flux, 1.0)), np.nan)
    return {band: magnitude[:, i] for i, band in enumerate(("g", "bp", "rp"))}
