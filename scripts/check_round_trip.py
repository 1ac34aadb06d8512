"""Error of the XP operator by wavelength band: spectrum -> coefficients -> GaiaXPy's calibration -> spectrum.

    python scripts/check_round_trip.py

Printed is the rms difference in % from the model spectrum smoothed to XP's resolution. What is left in the blue is
ringing of the deconvolution at the 395 nm break and at molecular bands; real XP spectra ring there, too.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from multistar.mock.sed import load_sed_table
from multistar.modalities.gaia_xp.instrument import xp_matrix
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix

MODELS = (
    (6800, 4.2, 0.0),
    (5772, 4.44, 0.0),
    (4750, 2.5, 0.0),
    (4750, 2.5, -2.0),
    (4200, 1.6, -0.5),
    (3850, 1.0, 0.0),
)
BANDS = ((336, 360), (360, 400), (400, 500), (500, 640), (640, 800), (800, 950), (950, 1020))  # nm
# Standard deviation of the line spread [nm] by wavelength, about that of XP (Montegriffo et al. 2023, fig. 10, roughly)
SPREAD = ([330, 400, 500, 640, 650, 800, 1000], np.array([3, 4, 7.5, 14, 7, 10, 14]) * 0.3)


def smoothed(wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """At WAVELENGTH, with XP's resolution."""
    fine = np.arange(300, 1100, 0.25)
    kernel = np.exp(
        -0.5 * ((fine - WAVELENGTH[:, None]) / np.interp(WAVELENGTH, *SPREAD)[:, None]) ** 2
    )
    return kernel @ np.interp(fine, wavelength, flux) / kernel.sum(1)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    table = load_sed_table()
    teff, logg, m_h = (np.array(x, float) for x in zip(*MODELS, strict=True))
    flux = np.exp(table.ln_flux(teff, logg, m_h, np.zeros(len(teff)), np.zeros(len(teff)))) * 1e-30
    back = flux @ xp_matrix(table.wavelength).T @ flux_matrix()
    out = Table(
        "Teff / logg / [M/H]",
        *(f"{low}-{high}" for low, high in BANDS),
        title="rms error [%] by nm",
    )
    for parameters, model, returned in zip(MODELS, flux, back, strict=True):
        error = 100 * (returned / smoothed(table.wavelength, model) - 1)
        inside = [(low <= WAVELENGTH) & (high > WAVELENGTH) for low, high in BANDS]
        out.add_row(
            " / ".join(f"{x:g}" for x in parameters),
            *(f"{np.sqrt(np.mean(error[i] ** 2)):.1f}" for i in inside),
        )
    Console(width=110).print(out)


if __name__ == "__main__":
    main()
