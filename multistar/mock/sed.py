"""Stellar spectra from a compact table: (Teff, logg, [M/H], [alpha/M], [C/N]) -> ln F_lambda.

The table holds principal components of a grid of spectra with its first derivatives in [alpha/M]
and [C/N]: plane-parallel LTE models, fluxes of Kurucz (1993) for hot stars, and a correction that
real stars of known labels show (scripts/build_sed_grid.py). Node values are interpolated with cubic
splines.
"""

from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import map_coordinates, spline_filter

# The passbands that a mock star is observed in.
GAIA, TWO_MASS, WISE = ("g", "bp", "rp"), ("j", "h", "ks"), ("w1", "w2")
PAN_STARRS = ("ps1_g", "ps1_r", "ps1_i", "ps1_z", "ps1_y")
BANDS = (*GAIA, *TWO_MASS, *WISE, *PAN_STARRS)
CALIBRATION = (
    "forest",
    "solar_ratio",
    "colour_correction",
    "colour_slope",
    "sky_centres",
    "sky_weights",
)
AXES = ("teff", "logg", "m_h")


class _Components(NamedTuple):
    """Principal components of spectra (or of a derivative of them) on the grid."""

    mean: np.ndarray  # (n_wave,)
    vectors: np.ndarray  # (n_component, n_wave)
    splines: np.ndarray  # (n_component, n_teff, n_logg, n_m_h) coefficients of cubic splines

    def interpolate(self, position: np.ndarray) -> np.ndarray:
        """(n, n_wave) at positions (3, n) in units of grid steps."""
        scores = np.empty((position.shape[1], len(self.splines)), np.float32)
        for i, spline in enumerate(self.splines):
            scores[:, i] = map_coordinates(
                spline, position, order=3, prefilter=False, mode="nearest"
            )
        mean = torch.from_numpy(self.mean)
        vectors = torch.from_numpy(self.vectors)
        return torch.addmm(mean, torch.from_numpy(scores), vectors).numpy()


def _read_components(table: dict[str, np.ndarray], name: str) -> _Components:
    mean = table[f"{name}_mean"]
    vectors = table[f"{name}_vectors"].astype(np.float32)
    scores = table[f"{name}_scores"].astype(np.float32)
    splines = []
    for score in np.moveaxis(scores, -1, 0):
        splines.append(spline_filter(score, order=3))
    return _Components(mean, vectors, np.stack(splines).astype(np.float32))


class SEDTable:
    """Spectra and passbands on one wavelength grid.

    Parameters
    ----------
    table : dict of str to array
        What scripts/build_sed_grid.py writes.

    Attributes
    ----------
    wavelength : (n_wave,) array
        280-5600 nm.
    passband : (n_band, n_wave) array
        Photon rate per unit F_lambda [W m-2 nm-1], arbitrary normalisation.
    zero_point : (n_band,) array
        Magnitude (Vega, of Pan-STARRS1 AB) = zero_point - 2.5 log10(passband @ F_lambda).
    nodes : dict of str to array
        The grid's axes: teff [K], logg [dex], m_h [dex].
    limits : dict of str to tuple
        Smallest and largest value of each axis.
    calibration : dict of str to array
        What went into the models, so that a node can be computed again.
    """

    def __init__(self, table: dict[str, np.ndarray]):
        stored = list(table["bands"])
        rows = [stored.index(band) for band in BANDS]
        self.wavelength = table["wavelength"].astype(np.float64)
        self.passband = table["passband"][rows]
        self.zero_point = table["zero_point"][rows]
        self.nodes = {name: table[name] for name in AXES}
        self.limits = {name: (x.min(), x.max()) for name, x in self.nodes.items()}
        self.calibration = {name: table[name] for name in CALIBRATION if name in table}
        self._to_position = [
            _position_on(np.log(self.nodes["teff"])),
            _position_on(self.nodes["logg"]),
            _position_on(self.nodes["m_h"]),
        ]
        self._flux = _read_components(table, "flux")
        self._alpha_derivative = _read_components(table, "alpha")
        self._c_n_derivative = _read_components(table, "cn")

    def ln_flux(
        self,
        teff: np.ndarray,
        logg: np.ndarray,
        m_h: np.ndarray,
        alpha_m: np.ndarray,
        c_n: np.ndarray,
    ) -> np.ndarray:
        """Interpolate ln of the flux at the stellar surface.

        Parameters
        ----------
        teff, logg, m_h : (n,) array
            Teff [K], surface gravity [cgs dex] and [M/H] [dex], clipped to the grid's limits.
        alpha_m, c_n : (n,) array
            [alpha/M] and [C/N], dex; linear.

        Returns
        -------
        (n, n_wave) array
            ln F_lambda, with F_lambda in erg s-1 cm-2 cm-1.
        """
        ln_teff = np.log(np.clip(teff, *self.limits["teff"]))
        logg = np.clip(logg, *self.limits["logg"])
        m_h = np.clip(m_h, *self.limits["m_h"])
        coordinates = zip(self._to_position, (ln_teff, logg, m_h), strict=True)
        position = np.array([to_position(x) for to_position, x in coordinates])
        flux = self._flux.interpolate(position)
        per_alpha = self._alpha_derivative.interpolate(position)
        per_c_n = self._c_n_derivative.interpolate(position)
        return flux + per_alpha * _float32_column(alpha_m) + per_c_n * _float32_column(c_n)


def _position_on(nodes: np.ndarray) -> PchipInterpolator:
    """Map from a coordinate to a position in units of grid steps."""
    return PchipInterpolator(nodes, np.arange(len(nodes)))


def _float32_column(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float32)
    return values[:, None]


@lru_cache(maxsize=1)
def load_sed_table() -> SEDTable:
    """Load the table of spectra that comes with the package."""
    path = files("multistar.mock") / "sed.npz"
    with path.open("rb") as stream:
        table = dict(np.load(stream, allow_pickle=False))
    return SEDTable(table)
