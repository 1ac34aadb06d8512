"""Stellar spectra from a compact table: (Teff, logg, [M/H], [alpha/M], [C/N]) -> ln F_lambda.

The table holds principal components of a grid of plane-parallel LTE models, with its first
derivatives in [alpha/M] and [C/N] (scripts/build_sed_grid.py). Node values are interpolated with cubic splines.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import map_coordinates, spline_filter

BANDS = (
    "g",
    "bp",
    "rp",
    "j",
    "h",
    "ks",
    "w1",
    "w2",
)  # the passbands that a mock star is observed in
CALIBRATION = ("forest", "solar_ratio", "colour_correction", "colour_slope")


class SEDTable:
    """Spectra and passbands on one wavelength grid.

    wavelength  (n_wave,)           nm, 280-5600
    passband    (n_band, n_wave)    photon rate per unit F_lambda [W m-2 nm-1], arbitrary normalisation
    zero_point  (n_band,)           Vega magnitude = zero_point - 2.5 log10(passband @ F_lambda)
    nodes       the grid's axes: teff [K], logg [dex], m_h [dex]
    calibration what went into the models, so that a node can be computed again
    """

    def __init__(self, table: dict[str, np.ndarray]):
        self.wavelength = table["wavelength"].astype(np.float64)
        stored = list(table["bands"])
        rows = [stored.index(band) for band in BANDS]
        self.passband = table["passband"][rows]
        self.zero_point = table["zero_point"][rows]
        self.nodes = {name: table[name] for name in ("teff", "logg", "m_h")}
        self.limits = {name: (x.min(), x.max()) for name, x in self.nodes.items()}
        self.calibration = {name: table[name] for name in CALIBRATION}
        nodes = np.log(table["teff"]), table["logg"], table["m_h"]
        self._axes = [PchipInterpolator(x, np.arange(len(x))) for x in nodes]
        self._parts = [self._part(table, name) for name in ("flux", "alpha", "cn")]

    @staticmethod
    def _part(table: dict[str, np.ndarray], name: str):
        scores = np.moveaxis(table[f"{name}_scores"].astype(np.float32), -1, 0)
        splines = np.stack([spline_filter(score, order=3) for score in scores]).astype(np.float32)
        return table[f"{name}_mean"], table[f"{name}_vectors"].astype(np.float32), splines

    def ln_flux(self, teff, logg, m_h, alpha_m, c_n) -> np.ndarray:
        """ln of the flux at the stellar surface, (n, n_wave), F_lambda in erg s-1 cm-2 cm-1.

        Teff [K], logg [cgs dex] and [M/H] [dex] are clipped to the grid's limits; all are (n,).
        """
        clipped = [
            np.clip(x, *self.limits[k]) for k, x in (("teff", teff), ("logg", logg), ("m_h", m_h))
        ]
        clipped[0] = np.log(clipped[0])
        where = np.array([axis(x) for axis, x in zip(self._axes, clipped, strict=True)])
        flux, d_alpha, d_cn = (self._interpolate(part, where) for part in self._parts)
        alpha, carbon = (np.asarray(x, np.float32)[:, None] for x in (alpha_m, c_n))
        return flux + d_alpha * alpha + d_cn * carbon

    @staticmethod
    def _interpolate(part, where: np.ndarray) -> np.ndarray:
        mean, vectors, splines = part
        scores = np.empty((where.shape[1], len(splines)), np.float32)
        for i, spline in enumerate(splines):
            scores[:, i] = map_coordinates(spline, where, order=3, prefilter=False, mode="nearest")
        return torch.addmm(
            torch.from_numpy(mean), torch.from_numpy(scores), torch.from_numpy(vectors)
        ).numpy()


@lru_cache(maxsize=1)
def load_sed_table() -> SEDTable:
    with (files("multistar.mock") / "sed.npz").open("rb") as stream:
        return SEDTable(dict(np.load(stream, allow_pickle=False)))
