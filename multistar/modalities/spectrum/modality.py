"""Any spectrum: lines, shape and resolution on one grid (see features.py)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from encoders import ENCODERS, Measurement
from multistar.io.tables import Columns
from multistar.modalities.modality import (
    Blocks,
    Found,
    Hiding,
    Modality,
    ReadOptions,
    draw_coins,
)
from multistar.modalities.spectrum.features import compute_features, find_parts
from multistar.modalities.spectrum.grid import PIXELS_PER_FWHM, Grid
from multistar.modalities.spectrum.read import read_spectra
from multistar.modalities.spectrum.spectra import Spectra, concatenate_spectra, empty_spectra

MOST_PIXELS = 3000  # of a model's grid: a token for every 24
# Of the finest spectra's resolving power, that of a model's grid: smoothing to it takes a kernel that
# samples of half a resolution element can carry, so that the finest and finer ones look the same.
COARSER = 0.7
DEPTH = 2  # blocks of the encoder's own
RUN = 16  # pixels that are shown or hidden together
NARROWEST = 0.1  # share of the grid that a window shows, at least
# Relative errors of the mock's spectra, beside those that the mock itself draws.
LINE_MISMATCH, SHAPE_MISMATCH = 0.004, 0.01


@dataclass(frozen=True)
class SpectrumHiding(Hiding):
    """What training hides of spectra."""

    absent: float = 0.3
    alone: float = 0.15
    window: float = 0.5  # share of the stars of which one range of wavelengths is shown
    normalised: float = 0.25  # share of the stars of which the shape is hidden


@dataclass(frozen=True)
class Spectrum(Modality):
    """The grid of a model: that of the spectra it was trained on, as far as it pays."""

    low: float
    high: float
    resolving_power: float

    name: ClassVar[str] = "spectrum"
    hiding: ClassVar[type[Hiding]] = SpectrumHiding

    @cached_property
    def grid(self) -> Grid:
        return Grid(self.low, self.high, self.resolving_power)

    @cached_property
    def slots_of(self) -> dict[str, slice]:
        """Where lines, shape and resolution stand."""
        return find_parts(self.grid)

    @property
    def n_slots(self) -> int:
        return self.slots_of["resolution"].stop

    @classmethod
    def read(cls, table: Columns, options: ReadOptions, flags: np.ndarray) -> Spectra | None:
        """Read columns spectrum_flux, spectrum_flux_error, spectrum_wavelength: see read.py."""
        return read_spectra(table, flags)

    @classmethod
    def select(cls, block: Spectra, rows: Any) -> Spectra:
        return block.select(rows)

    @classmethod
    def concatenate(cls, blocks: list[Spectra | None], lengths: list[int]) -> Spectra:
        parts = [block or empty_spectra(n) for block, n in zip(blocks, lengths, strict=True)]
        return concatenate_spectra(parts)

    @classmethod
    def known(cls, block: Spectra) -> np.ndarray:
        return block.has_any

    @classmethod
    def count(cls, block: Spectra) -> Found:
        observed = np.isfinite(block.flux)
        with_error = np.any(observed & np.isfinite(block.sigma), axis=1)
        return {"spectrum": (block.has_any, with_error)}

    @classmethod
    def of(cls, block: Spectra) -> Self | None:
        """The range that any star covers, at COARSER times the resolution of the finest."""
        if not block.has_any.any():
            return None
        grids = block.grids[np.unique(block.grid_of[block.has_any])]
        spacing = float(np.nanmedian(np.diff(np.log(grids), axis=1)))
        known = block.resolving_power[np.isfinite(block.resolving_power)]
        power = float(known.max()) if len(known) else 1 / (PIXELS_PER_FWHM * spacing)
        low, high = float(np.nanmin(grids)), float(np.nanmax(grids))
        affordable = MOST_PIXELS / (PIXELS_PER_FWHM * np.log(high / low))
        return cls(round(low, 2), round(high, 2), round(min(COARSER * power, affordable), 1))

    def transform(
        self, blocks: Blocks, n: int, center: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        block = blocks.get(self.name)
        if block is None:
            nothing = np.broadcast_to(np.nan, (n, self.n_slots))
            return nothing, nothing
        return compute_features(block, self.grid)

    def askable(self) -> np.ndarray:
        """The resolution is the instrument's, not the star's."""
        askable = np.ones(self.n_slots, bool)
        askable[self.slots_of["resolution"]] = False
        return askable

    def describe(self) -> str:
        return f"spectra ({self.low:.0f}-{self.high:.0f} nm, R = {self.resolving_power:.0f})"

    def state_mismatch(
        self, m: Measurement, center: Tensor, scale: Tensor, size: Tensor
    ) -> Measurement:
        return self._widen(m, scale, size, None)

    def draw_mismatch(
        self,
        m: Measurement,
        center: Tensor,
        scale: Tensor,
        size: Tensor,
        generator: torch.Generator,
    ) -> Measurement:
        return self._widen(m, scale, size, generator)

    def _widen(
        self, m: Measurement, scale: Tensor, size: Tensor, generator: torch.Generator | None
    ) -> Measurement:
        """Errors that hold the mismatch, in the standardised arcsinh of the values."""
        error = torch.zeros(self.n_slots)
        error[self.slots_of["lines"]] = LINE_MISMATCH
        error[self.slots_of["shape"]] = SHAPE_MISMATCH
        change = error / scale * size
        linear, width = m.value.sinh(), m.sigma * m.value.cosh()
        if generator is not None:
            linear = linear + change * torch.randn(m.value.shape, generator=generator)
        sigma = torch.hypot(width, change) / (1 + linear**2).sqrt()
        return Measurement(torch.where(m.observed, linear.asinh(), m.value), sigma, m.observed)

    def draw_shown(
        self, keep: Tensor, hiding: SpectrumHiding, generator: torch.Generator
    ) -> Tensor:
        """Runs of neighbouring pixels drop out."""
        runs = torch.rand(len(keep), -(-self.n_slots // RUN), generator=generator) < keep
        return runs.repeat_interleave(RUN, dim=1)[:, : self.n_slots]

    def draw_available(
        self, batch: int, sky: Tensor, hiding: SpectrumHiding, generator: torch.Generator
    ) -> Tensor:
        """Some stars were seen in one range of wavelengths only, or without their shape."""
        present = ~draw_coins(batch, hiding.absent, generator)
        width = NARROWEST + (1 - NARROWEST) * torch.rand(batch, 1, generator=generator)
        start = torch.rand(batch, 1, generator=generator) * (1 - width)
        whole = ~draw_coins(batch, hiding.window, generator)
        pixel = torch.arange(self.grid.pixels) / self.grid.pixels
        band = torch.arange(self.grid.bands - 1) / self.grid.bands
        shown = torch.ones(batch, self.n_slots, dtype=torch.bool)
        shown[:, self.slots_of["lines"]] = (pixel >= start) & (pixel <= start + width) | whole
        shape = (band >= start) & (band <= start + width) | whole
        shown[:, self.slots_of["shape"]] = shape & ~draw_coins(batch, hiding.normalised, generator)
        return shown & present

    def encoder(self, config: Any) -> nn.Module:
        sizes = [part.stop - part.start for part in self.slots_of.values()]
        return ENCODERS["spectrum"](sizes, config.width, DEPTH, config.heads)
