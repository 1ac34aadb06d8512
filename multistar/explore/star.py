"""What is known of single stars beyond the index: spectra, light curves, posteriors, what the model draws."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

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
from multistar.model.checkpoint import Model, load_model
from multistar.stars import Scalar, Stars, read_stars

SAMPLES = 1000  # of the joint posterior
DRAWS = 24  # spectra
KEPT = 64  # results of each kind that are kept: 15 MB in all, light curves apart
T = TypeVar("T")
NO_TABLE = "Measurements are needed for this: start with --data STARS.parquet."
# what a spectrum is drawn from -> how that is called
CONTEXTS = {
    "photometry": "drawn from photometry and parallax",
    "bp": "BP drawn from RP and the rest",
    "rp": "RP drawn from BP and the rest",
    "labels": "drawn from G and the labels",
}
HIDDEN = {"photometry": ("bp", "rp"), "bp": ("bp",), "rp": ("rp",)}


@dataclass(frozen=True)
class Posterior:
    """Joint draws of all labels (label -> (SAMPLES,)), their (lower, median, upper), and the status of the star."""

    samples: dict[str, np.ndarray]
    interval: dict[str, tuple[float, float, float]]
    status: str


class Measured:
    """Measurements of stars, looked up in a table (and light curves), and what a model makes of them.

    All methods raise KeyError for a star that is not there, and ValueError where what they need is missing; both say
    so in words for the user. Results are kept for the KEPT last stars.
    """

    def __init__(self, data: Lookup | None, model: Model | None, curves: LightCurves | None = None):
        self.data, self.model, self.curves = data, model, curves
        lock = (
            threading.Lock()
        )  # the page asks from several threads, and a star should be worked out once
        self.spectra = _kept(self._spectra, lock)
        self.posterior = _kept(self._posterior, lock)
        self.drawn = _kept(self._drawn, lock)
        self.light_curve = _kept(self._light_curve, lock)

    @property
    def has_light_curves(self) -> bool:
        """Whether a star may have one."""
        in_table = self.data is not None and any(_is_time(name) for name in self.data.columns)
        return self.curves is not None or in_table

    def _spectra(self, source_ids: tuple[int, ...]) -> np.ndarray:
        """(n, 343) flux [W m-2 nm-1] at WAVELENGTH; rows of NaN for stars that are not there or lack a band."""
        stars = read_stars(self._table().rows(source_ids), labels=False)
        out = np.full((len(source_ids), len(WAVELENGTH)), np.nan)
        if any(
            band not in stars.xp or stars.xp[band].value.shape[1] != n
            for band, n in DR3_ORDERS.items()
        ):
            raise ValueError(
                f"No sampled spectra: these need BP and RP coefficients of {DR3_ORDERS} orders."
            )
        coefficients = np.hstack([stars.xp[band].value for band in DR3_ORDERS])
        flux = np.nan_to_num(coefficients) @ flux_matrix()
        flux[~np.all([np.isfinite(stars.xp[band].value[:, 0]) for band in DR3_ORDERS], axis=0)] = (
            np.nan
        )
        of_star = dict(zip(stars.source_id.tolist(), flux, strict=True))
        for i, source_id in enumerate(source_ids):
            out[i] = of_star.get(source_id, np.nan)
        return out

    def _posterior(self, source_id: int) -> Posterior:
        stars, model = self._star(source_id), self._model()
        row = predict(model, stars, quiet=True, samples=SAMPLES).to_pylist()[0]
        names = model.vocabulary.labels
        samples = {name: np.array(row[f"{name}_samples"], np.float64) for name in names}
        interval = {name: (row[f"{name}_lower"], row[name], row[f"{name}_upper"]) for name in names}
        return Posterior(samples, interval, row["status"])

    def _drawn(self, source_id: int, context: str) -> np.ndarray:
        """(DRAWS, 343) joint draws of the noise-free spectrum [W m-2 nm-1] given a part of what is known: CONTEXTS.

        A band that is given stays as it was measured.
        """
        stars, model = self._star(source_id), self._model()
        g = stars.scalars["g"].value if "g" in stars.scalars else np.full(1, np.nan)
        if context == "labels":
            stars = self._as_labels(stars)
        else:
            given = {band: x for band, x in stars.xp.items() if band not in HIDDEN[context]}
            stars = stars.with_blocks(xp=given)
        generator = torch.Generator().manual_seed(0)
        (batch,) = encode_stars(model, stars, "draw", quiet=True, labels=context == "labels")
        _, xp = drawn_coefficients(model, batch.memory, g, DRAWS, generator)
        parts = []
        for band, orders in DR3_ORDERS.items():
            given = band in stars.xp and np.isfinite(stars.xp[band].value).any()
            parts.append(
                np.repeat(np.nan_to_num(stars.xp[band].value), DRAWS, 0) if given else xp[band][0]
            )
            if parts[-1].shape[1] != orders:
                raise ValueError(
                    f"No sampled spectra: these need a model and data of {DR3_ORDERS} orders."
                )
        return np.hstack(parts) @ flux_matrix()

    def _as_labels(self, stars: Stars) -> Stars:
        """The star as G and labels with errors, those that its own posterior has."""
        posterior = self._posterior(int(stars.source_id[0]))
        scalars = {
            name: Scalar(np.array([median]), np.array([(upper - lower) / 2]))
            for name, (lower, median, upper) in posterior.interval.items()
        }
        g = {name: x for name, x in stars.scalars.items() if name == "g"}
        known = stars.with_blocks(xp=None, light_curve=None, scalars=scalars | g)
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
        return read_stars(self._table().rows([source_id]), labels=False).select(slice(0, 1))

    def _table(self) -> Lookup:
        if self.data is None:
            raise ValueError(NO_TABLE)
        return self.data

    def _model(self) -> Model:
        if self.model is None:
            raise ValueError("Start with --model, the model of the index, to see this.")
        return self.model


def model_of(index: StarIndex, name: str) -> Model:
    """The model of this name; ValueError if the vectors of the index are not its own."""
    model = load_model(name)
    if model.hash != index.model_sha256:
        raise ValueError(
            f"the index is of the model {index.model_sha256[:12]}, {name} is {model.hash[:12]}; give --model its own"
        )
    return model


def _kept(function: Callable[..., T], lock: threading.Lock) -> Callable[..., T]:
    cached = lru_cache(KEPT)(function)

    def locked(*arguments: Hashable) -> T:
        with lock:
            return cached(*arguments)

    return locked


def _is_time(name: str) -> bool:
    return name.lower() == "time" or name.lower().endswith("_time")
