"""XP spectra as the archive samples them, in place of coefficients."""

import numpy as np
import pyarrow as pa

from multistar.io.write import to_arrow
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix

BANDS = ("bp", "rp")


def sample_spectra(value: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample spectra as the archive does, with errors that leave out correlations.

    Parameters
    ----------
    value, sigma : (n, 110) array
        Coefficients, BP then RP, and their errors, e-/s.

    Returns
    -------
    flux, error : (n, 343) array
        W m-2 nm-1.
    """
    matrix = flux_matrix()
    return value @ matrix, np.sqrt(sigma**2 @ matrix**2)


def with_sampled_spectra(part: pa.Table) -> pa.Table:
    """A table whose coefficients are replaced by `flux`, `flux_error` and `wavelength` [nm]."""
    names = [f"{band}_coefficient{ending}" for ending in ("s", "_errors") for band in BANDS]
    blocks = [np.stack(part[name].to_numpy()).astype(float) for name in names]
    flux, error = sample_spectra(np.hstack(blocks[:2]), np.hstack(blocks[2:]))
    columns = {
        "wavelength": np.tile(WAVELENGTH, (len(part), 1)),
        "flux": flux.astype(np.float32),
        "flux_error": error.astype(np.float32),
    }
    for name, values in zip(columns, to_arrow(columns, {}).columns, strict=True):
        part = part.append_column(name, values)
    return part.drop_columns(names)
