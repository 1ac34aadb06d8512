"""An XP spectrum of a result, with its errors."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from multistar.io.columns import Columns
from multistar.io.tables import read_columns
from multistar.modalities.gaia_xp.read import XP_BANDS
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix
from multistar.plots.rows import pick_row
from multistar.plots.style import DRAWS, INK, new_figure, styled

SIGMAS = (1, 2)  # bands of errors that are drawn
# nm: outside, errors are larger than the flux and would set the scale of the axis
WELL_MEASURED = (420, 950)
SCALE = 1e-17  # W m-2 nm-1, for readable numbers along the axis


def plot_spectrum(result: Any, source_id: int | None = None, measured: Any = None) -> Figure:
    """Draw the spectrum of one star, its errors as bands.

    Parameters
    ----------
    result : path, Arrow table or DataFrame
        With bp_coefficients, rp_coefficients and their errors, as `generate` and `inpaint` give
        them and the archive does; in DR3's layout.
    source_id : int, optional
        The star; the first one of the table without it.
    measured : path, Arrow table or DataFrame, optional
        Another such table, whose spectrum of the same star is drawn as a line beside.

    Returns
    -------
    Figure

    Raises
    ------
    KeyError
        If a table lacks the star.
    ValueError
        If there are no coefficients of both bands, or of another layout than 55 + 55.
    """
    table = read_columns(result)
    row = pick_row(table, source_id)
    flux, error = _sample(table, row)
    with styled():
        picture = new_figure(7.2, 3.6)
        axis = picture.subplots()
        for sigma in SIGMAS:
            axis.fill_between(
                WAVELENGTH,
                (flux - sigma * error) / SCALE,
                (flux + sigma * error) / SCALE,
                color=DRAWS,
                alpha=0.25,
                lw=0,
            )
        axis.plot(WAVELENGTH, flux / SCALE, color=DRAWS, lw=1.3, label="result, 1 and 2 sigma")
        if measured is not None:
            beside = read_columns(measured)
            star = int(table["source_id"][row])
            seen, _ = _sample(beside, pick_row(beside, star))
            axis.plot(WAVELENGTH, seen / SCALE, color=INK, lw=0.9, label="measured")
        well = (WELL_MEASURED[0] < WAVELENGTH) & (WELL_MEASURED[1] > WAVELENGTH)
        highest = float((flux + error)[well].max()) / SCALE
        axis.set(
            ylim=(-0.2 * highest, 1.3 * highest),
            xlabel="wavelength [nm]",
            ylabel="flux [1e-17 W m-2 nm-1]",
            xlim=(WAVELENGTH[0], WAVELENGTH[-1]),
        )
        axis.legend()
    return picture


def _sample(table: Columns, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Flux and its error [W m-2 nm-1] at WAVELENGTH; correlations of coefficients are left out."""
    value, sigma = _coefficients(table, row)
    matrix = flux_matrix()
    return value @ matrix, np.sqrt(sigma**2 @ matrix**2)


def _coefficients(table: Columns, row: int) -> tuple[np.ndarray, np.ndarray]:
    """BP and RP coefficients of one star and their errors, zero where unknown."""
    parts = []
    for ending in ("_coefficients", "_coefficient_errors"):
        columns = [band + ending for band in XP_BANDS]
        if absent := [name for name in columns if name not in table]:
            raise ValueError(
                f"{table.origin}: no column {absent}; expected XP coefficients, as generate and "
                "inpaint write them"
            )
        values = [np.asarray(table[name][row], float) for name in columns]
        parts.append(np.nan_to_num(np.concatenate(values)))
    if len(parts[0]) != len(flux_matrix()):
        raise ValueError(
            f"{table.origin}: {len(parts[0])} coefficients a star; spectra are drawn in DR3's "
            f"layout, {len(flux_matrix())}"
        )
    return parts[0], parts[1]
