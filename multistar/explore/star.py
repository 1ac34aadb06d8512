"""What is known of single stars beyond the index: spectra, light curves, posteriors, draws."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch

from multistar.index.star_index import StarIndex
from multistar.inference.generate import drawn_coefficients
from multistar.inference.predict import predict
from multistar.inference.stream import encode_stars
from multistar.io.lookup import Lookup
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS, WAVELENGTH, flux_matrix
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.joining import match
from multistar.modalities.light_curve.tables import read_light_curve_table
from multistar.modalities.spectrum.read import FLUX
from multistar.model.checkpoint import Model, load_model
from multistar.stars import Scalar, Stars, read_stars

# Of the joint posterior.
SAMPLES = 1000
# Spectra that the model draws.
DRAWS = 24
# Results of each kind that are kept: 15 MB in all, light curves apart.
KEPT = 64
T = TypeVar("T")
# (lower, median, upper) of a label.
Interval = tuple[float, float, float]
NO_TABLE = "Measurements are needed for this: start with --data STARS.parquet."
# What a spectrum is drawn from -> what that is called.
CONTEXTS = {
    "photometry": "drawn from photometry and parallax",
    "bp": "BP drawn from RP and the rest",
    "rp": "RP drawn from BP and the rest",
    "labels": "drawn from G and the labels",
}
# Bands that the model does not see.
HIDDEN = {"photometry": ("bp", "rp"), "bp": ("bp",), "rp": ("rp",)}


@dataclass(frozen=True)
class Posterior:
    """What a model says of a star.

    Attributes
    ----------
    samples : dict of str to ndarray, shape (SAMPLES,)
        Joint draws of all labels.
    interval : dict of str to tuple
        (lower, median, upper) of each label.
    status : str
        Of the star, as `predict` gives it.
    """

    samples: dict[str, np.ndarray]
    interval: dict[str, Interval]
    status: str


class Measured:
    """Measurements of stars, looked up when they are needed, and what a model makes of them.

    All methods raise KeyError for a star that is not there, and ValueError where what they need is
    missing; both say so in words for the user. Results are kept for the KEPT last stars.

    Parameters
    ----------
    data : Lookup or None
        The table of measurements.
    model : Model or None
        The model of the index.
    curves : LightCurves, optional
        Light curves that take the place of those in the table.
    """

    def __init__(self, data: Lookup | None, model: Model | None, curves: LightCurves | None = None):
        self.data, self.model, self.curves = data, model, curves
        # The page asks from several threads, and a star should be worked out once.
        lock = threading.Lock()
        self.spectra = _cache(self._spectra, lock)
        self.posterior = _cache(self._posterior, lock)
        self.model_spectra = _cache(self._model_spectra, lock)
        self.light_curve = _cache(self._light_curve, lock)
        self.own_spectra = _cache(self._own_spectra, lock)

    @property
    def has_own_spectra(self) -> bool:
        """Whether a star may have a spectrum that is not Gaia's."""
        return self.data is not None and FLUX in self.data.columns

    @property
    def has_light_curves(self) -> bool:
        """Whether a star may have one."""
        if self.curves is not None:
            return True
        return self.data is not None and any(map(_is_time, self.data.columns))

    def _spectra(self, source_ids: tuple[int, ...]) -> np.ndarray:
        """(n, 343) flux [W m-2 nm-1] at WAVELENGTH.

        Rows are NaN for stars that are not there or lack a band.
        """
        stars = read_stars(self._table().rows(source_ids), labels=False)
        for band, orders in DR3_ORDERS.items():
            if band not in stars.xp or stars.xp[band].value.shape[1] != orders:
                raise ValueError(
                    f"No sampled spectra: these need BP and RP coefficients of {DR3_ORDERS} orders."
                )
        coefficients = np.hstack([stars.xp[band].value for band in DR3_ORDERS])
        flux = np.nan_to_num(coefficients) @ flux_matrix()
        for band in DR3_ORDERS:
            flux[~np.isfinite(stars.xp[band].value[:, 0])] = np.nan
        flux_of_star = dict(zip(stars.source_id.tolist(), flux, strict=True))
        unknown = np.full(len(WAVELENGTH), np.nan)
        rows = [flux_of_star.get(source_id, unknown) for source_id in source_ids]
        return np.array(rows).reshape(len(source_ids), len(WAVELENGTH))

    def _own_spectra(self, source_ids: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Wavelengths [nm] and flux (w,) of the star, which comes first, and of its neighbours.

        Pixels that were not observed are NaN; neighbours without a spectrum are left out.
        """
        stars = read_stars(self._table().rows(source_ids), labels=False)
        spectra: Any = stars.blocks.get("spectrum")
        if spectra is None or stars.source_id[0] != source_ids[0] or not spectra.has_any[0]:
            raise KeyError("This star has no spectrum but Gaia’s.")
        rows = np.flatnonzero(spectra.has_any)
        return [(spectra.grids[spectra.grid_of[row]], spectra.flux[row]) for row in rows]

    def _posterior(self, source_id: int) -> Posterior:
        stars, model = self._star(source_id), self._model()
        table = predict(model, stars, quiet=True, samples=SAMPLES)
        row = table.to_pylist()[0]
        samples, interval = {}, {}
        for name in model.vocabulary.labels:
            samples[name] = np.array(row[f"{name}_samples"], np.float64)
            interval[name] = (row[f"{name}_lower"], row[name], row[f"{name}_upper"])
        return Posterior(samples, interval, row["status"])

    def _model_spectra(self, source_id: int, context: str) -> np.ndarray:
        """(DRAWS, 343) joint draws of the noise-free spectrum [W m-2 nm-1].

        `context` is the part of what is known that they are drawn from, one of CONTEXTS. A band
        that is given stays as it was measured.
        """
        stars, model = self._star(source_id), self._model()
        g = stars.scalars["g"].value if "g" in stars.scalars else np.full(1, np.nan)
        stars = self._reduce_to_context(stars, context)
        generator = torch.Generator().manual_seed(0)
        (batch,) = encode_stars(model, stars, "draw", quiet=True, labels=context == "labels")
        _, drawn = drawn_coefficients(model, batch.memory, g, DRAWS, generator)
        coefficients = []
        for band, orders in DR3_ORDERS.items():
            if band in stars.xp and np.isfinite(stars.xp[band].value).any():
                measured = np.nan_to_num(stars.xp[band].value)
                of_band = np.repeat(measured, DRAWS, 0)
            else:
                of_band = drawn[band][0]
            if of_band.shape[1] != orders:
                raise ValueError(
                    f"No sampled spectra: these need a model and data of {DR3_ORDERS} orders."
                )
            coefficients.append(of_band)
        return np.hstack(coefficients) @ flux_matrix()

    def _reduce_to_context(self, stars: Stars, context: str) -> Stars:
        """The star without what a context hides."""
        if context == "labels":
            return self._as_labels(stars)
        shown = {band: xp for band, xp in stars.xp.items() if band not in HIDDEN[context]}
        return stars.with_blocks(xp=shown)

    def _as_labels(self, stars: Stars) -> Stars:
        """The star as G and labels with errors, those that its own posterior has."""
        posterior = self._posterior(int(stars.source_id[0]))
        scalars = {}
        for name, (lower, median, upper) in posterior.interval.items():
            scalars[name] = Scalar(np.array([median]), np.array([(upper - lower) / 2]))
        if "g" in stars.scalars:
            scalars["g"] = stars.scalars["g"]
        known = stars.with_blocks(xp=None, light_curve=None, scalars=scalars)
        return known.with_flags(np.zeros(1, np.uint16))

    def _light_curve(self, source_id: int) -> LightCurves:
        """The light curve of one star, which has at least one point."""
        if self.curves is not None:
            found = match(self.curves, np.array([source_id]))
        else:
            found = read_light_curve_table(self._table().rows([source_id])).of(0)
        if not len(found.time):
            raise KeyError("This star has no light curve.")
        return found

    def _star(self, source_id: int) -> Stars:
        table = self._table().rows([source_id])
        return read_stars(table, labels=False).select(slice(0, 1))

    def _table(self) -> Lookup:
        if self.data is None:
            raise ValueError(NO_TABLE)
        return self.data

    def _model(self) -> Model:
        if self.model is None:
            raise ValueError("Start with --model, the model of the index, to see this.")
        return self.model


def model_of(index: StarIndex, name: str) -> Model:
    """Load the model of this name; ValueError if the vectors of the index are not its own."""
    model = load_model(name)
    if model.hash != index.model_sha256:
        raise ValueError(
            f"the index is of the model {index.model_sha256[:12]}, {name} is {model.hash[:12]}; "
            "give --model its own"
        )
    return model


def _cache(function: Callable[..., T], lock: threading.Lock) -> Callable[..., T]:
    """Keep the last results of a function, which one thread at a time may call."""
    cached = lru_cache(KEPT)(function)

    def locked(*arguments: Hashable) -> T:
        with lock:
            return cached(*arguments)

    return locked


def _is_time(column: str) -> bool:
    return column.lower() == "time" or column.lower().endswith("_time")
