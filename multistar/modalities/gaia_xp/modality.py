"""Gaia XP coefficients, relative to the star's G flux: the orders of BP, then those of RP."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from encoders import ENCODERS, Measurement
from multistar import status
from multistar.io.tables import Columns
from multistar.modalities.gaia_xp.bright import BRIGHT, correct_bright, is_bright
from multistar.modalities.gaia_xp.mismatch import widen_spectrum
from multistar.modalities.gaia_xp.read import XP_BANDS, XPCoefficients, check_xp, read_xp
from multistar.modalities.gaia_xp.sampled import FLUX, read_sampled
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS, synthetic_magnitudes
from multistar.modalities.modality import (
    Blocks,
    Found,
    Hiding,
    Modality,
    ReadOptions,
    draw_coins,
)
from multistar.modalities.scalars.read import Scalar

G_ZERO_POINT = 25.6873668671  # mag, Gaia DR3 G of 1 e-/s (Riello et al. 2021)
RUN = 5  # orders that drop out together
FEWEST_ORDERS = 4  # that are left of a band which is cut off


def g_flux(g: np.ndarray) -> np.ndarray:
    """Flux [e-/s] of stars of magnitude g, by which XP coefficients are divided."""
    return 10 ** (0.4 * (G_ZERO_POINT - g))


@dataclass(frozen=True)
class XPHiding(Hiding):
    """What training hides of XP spectra."""

    absent: float = 0.12  # share of the batches without XP
    no_band: float = 0.15  # share of the stars without one of BP and RP
    # the same for stars without labels, which teach nothing but spectra
    no_band_sky: float = 0.5
    truncate: float = 0.5  # share of the batches with the first orders only
    # Share of the stars, each with the first orders of its own, as `n_relevant_bases` of the archive
    # leaves them: half of the field stars of DR3 have at most 6 in BP and 4 in RP, some have all.
    relevant: float = 0.5


@dataclass(frozen=True)
class GaiaXP(Modality):
    """How many coefficients of BP and RP there are: 55 and 55 in Gaia DR3, 51 and 55 in DR4."""

    n_bp: int = 0
    n_rp: int = 0

    name: ClassVar[str] = "xp"
    hiding: ClassVar[type[Hiding]] = XPHiding
    needs_g: ClassVar[bool] = True
    in_sequences: ClassVar[bool] = True

    @property
    def n_slots(self) -> int:
        return self.n_bp + self.n_rp

    @property
    def bands(self) -> dict[str, range]:
        """The slots of each band, counted from the first of this modality."""
        return {"bp": range(self.n_bp), "rp": range(self.n_bp, self.n_slots)}

    @classmethod
    def read(
        cls, table: Columns, options: ReadOptions, flags: np.ndarray
    ) -> dict[str, XPCoefficients] | None:
        xp = read_xp(table, options.all_orders)
        if not xp and FLUX in table:
            xp = read_sampled(table) or {}
        check_xp(xp, flags)
        return xp or None

    @classmethod
    def select(cls, block: dict[str, XPCoefficients], rows: Any) -> dict[str, XPCoefficients]:
        return {b: XPCoefficients(x.value[rows], x.sigma[rows]) for b, x in block.items()}

    @classmethod
    def concatenate(
        cls, blocks: list[dict[str, XPCoefficients] | None], lengths: list[int]
    ) -> dict[str, XPCoefficients]:
        joined = {}
        for band in XP_BANDS:
            found = [block[band] for block in blocks if block and band in block]
            if not found:
                continue
            orders = {x.value.shape[1] for x in found}
            if len(orders) > 1:
                raise ValueError(
                    f"tables with {sorted(orders)} {band} coefficients cannot be joined"
                )
            width = orders.pop()
            parts = []
            for block, n in zip(blocks, lengths, strict=True):
                missing = np.full((n, width), np.nan)
                parts.append((block or {}).get(band) or XPCoefficients(missing, missing))
            value = np.concatenate([part.value for part in parts])
            sigma = np.concatenate([part.sigma for part in parts])
            joined[band] = XPCoefficients(value, sigma)
        return joined

    @classmethod
    def known(cls, block: dict[str, XPCoefficients]) -> np.ndarray:
        return np.any([np.isfinite(x.value).any(1) for x in block.values()], axis=0)

    @classmethod
    def count(cls, block: dict[str, XPCoefficients]) -> Found:
        found = {}
        for band, xp in block.items():
            observed = np.isfinite(xp.value)
            with_error = (observed & np.isfinite(xp.sigma)).any(1)
            found[f"XP {band}"] = observed.any(1), with_error
        return found

    @classmethod
    def complete(cls, blocks: dict[str, Any], flags: np.ndarray) -> None:
        """Fill in G from XP where it is missing.

        XP that then has no G cannot be normalised and is dropped.
        """
        xp = blocks.get(cls.name)
        if not xp:
            return
        missing = np.full(len(flags), np.nan)
        scalars = blocks.setdefault("scalars", {})
        g = scalars.get("g") or Scalar(missing, missing)
        derived = synthetic_magnitudes(xp)["g"]
        fill = np.isnan(g.value) & np.isfinite(derived)
        value = np.where(fill, derived, g.value)
        scalars["g"] = Scalar(value, np.where(fill, np.nan, g.sigma))
        flags[fill] |= status.BIT["g_from_xp"]
        lost = cls.known(xp) & np.isnan(value)
        flags[lost] |= status.BIT["no_g"]
        for band in xp.values():
            band.value[lost] = np.nan

    @classmethod
    def correct(cls, blocks: dict[str, Any]) -> None:
        """Bring bright stars to the calibration of faint ones."""
        if xp := blocks.get(cls.name):
            correct_bright(xp, blocks["scalars"]["g"].value)

    @classmethod
    def describe_correction(cls, blocks: Blocks) -> list[str]:
        xp = blocks.get(cls.name)
        if not xp:
            return []
        n = int((is_bright(xp, blocks["scalars"]["g"].value)).sum())
        if not n:
            return []
        of_stars = "1 star" if n == 1 else f"{n:,} stars"
        return [f"XP of {of_stars} of G < {BRIGHT} is brought to the calibration of fainter ones"]

    @classmethod
    def flag_missing(cls, block: dict[str, XPCoefficients] | None, flags: np.ndarray) -> None:
        has_xp, has_error = np.zeros((2, len(flags)), bool)
        for band in (block or {}).values():
            observed = np.isfinite(band.value)
            has_xp |= observed.any(1)
            has_error |= (observed & np.isfinite(band.sigma)).any(1)
        flags[~has_xp] |= status.BIT["no_xp"]
        flags[has_xp & ~has_error] |= status.BIT["no_xp_error"]

    @classmethod
    def of(cls, block: dict[str, XPCoefficients]) -> Self | None:
        orders = {band: x.value.shape[1] for band, x in block.items()}
        if not sum(orders.values()):
            return None
        return cls(orders.get("bp", 0), orders.get("rp", 0))

    def transform(
        self, blocks: Blocks, n: int, center: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients over the G flux. ValueError for more orders than the model has."""
        value, sigma = np.full((2, n, self.n_slots), np.nan)
        for band, slots in self.bands.items():
            xp = blocks.get(self.name, {}).get(band)
            if xp is None or not len(slots):
                continue
            orders = xp.value.shape[1]
            if orders > len(slots):
                raise ValueError(
                    f"the table has {orders} {band} coefficients per star, the model was trained "
                    f"on {len(slots)}; train a model on stars of the new layout (multistar "
                    "pretrain)"
                )
            flux = g_flux(blocks["scalars"]["g"].value)[:, None]
            here = slice(slots.start, slots.start + orders)
            value[:, here], sigma[:, here] = xp.value / flux, xp.sigma / flux
        return value, sigma

    def describe(self) -> str:
        return f"{self.n_bp} BP and {self.n_rp} RP coefficients"

    def state_mismatch(
        self, m: Measurement, center: Tensor, scale: Tensor, size: Tensor
    ) -> Measurement:
        return self._widen(m, center, scale, size, None)

    def draw_mismatch(
        self,
        m: Measurement,
        center: Tensor,
        scale: Tensor,
        size: Tensor,
        generator: torch.Generator,
    ) -> Measurement:
        return self._widen(m, center, scale, size, generator)

    def _widen(
        self,
        m: Measurement,
        center: Tensor,
        scale: Tensor,
        size: Tensor,
        generator: torch.Generator | None,
    ) -> Measurement:
        """Bands whose bases are unknown (other layouts than DR3's) are left as they are."""
        parts = []
        for band, slots in self.bands.items():
            part = m.slots(slots.start, slots.stop)
            if len(slots) == DR3_ORDERS[band]:
                here = slice(slots.start, slots.stop)
                part = widen_spectrum(part, center[here], scale[here], band, size, generator)
            parts.append(part)
        value, sigma = (torch.cat([getattr(p, f) for p in parts], 1) for f in ("value", "sigma"))
        return Measurement(value, sigma, m.observed)

    def draw_shown(self, keep: Tensor, hiding: XPHiding, generator: torch.Generator) -> Tensor:
        """Single orders drop out in half of the stars, runs of five in the others."""
        single = torch.rand(len(keep), self.n_slots, generator=generator) < keep
        runs = torch.rand(len(keep), -(-self.n_slots // RUN), generator=generator) < keep
        runs = runs.repeat_interleave(RUN, dim=1)[:, : self.n_slots]
        return torch.where(draw_coins(len(keep), 0.5, generator), single, runs)

    def draw_available(
        self, batch: int, sky: Tensor, hiding: XPHiding, generator: torch.Generator
    ) -> Tensor:
        kept = self._draw_truncation(hiding, generator)
        kept = kept & ~draw_coins(1, hiding.absent, generator)
        kept = kept & self._draw_relevant(batch, hiding, generator)
        return kept & self._draw_bands(batch, sky, hiding, generator)

    def _draw_truncation(self, hiding: XPHiding, generator: torch.Generator) -> Tensor:
        """(1, N) the first orders of each band, for the whole batch.

        What all lack costs no time.
        """
        kept = []
        for slots in self.bands.values():
            limit = FEWEST_ORDERS + torch.rand(1, 1, generator=generator) ** 1.5 * len(slots)
            whole = ~draw_coins(1, hiding.truncate, generator)
            kept.append((torch.arange(len(slots)) < limit) | whole)
        return torch.cat(kept, dim=1)

    def _draw_relevant(self, batch: int, hiding: XPHiding, generator: torch.Generator) -> Tensor:
        """(B, N) the first orders of each band and star; log-uniform in number."""
        kept = []
        for slots in self.bands.values():
            n = len(slots)
            number = (n + 1) ** torch.rand(batch, 1, generator=generator)
            kept.append(torch.arange(n) < number.floor())
        return torch.cat(kept, dim=1) | ~draw_coins(batch, hiding.relevant, generator)

    def _draw_bands(
        self, batch: int, sky: Tensor, hiding: XPHiding, generator: torch.Generator
    ) -> Tensor:
        """(B, N) False in the one band that a star lacks, if it does."""
        odds = torch.where(sky, hiding.no_band_sky, hiding.no_band)
        is_bp = torch.arange(self.n_slots) < self.n_bp
        lacking = torch.where(draw_coins(batch, 0.5, generator), is_bp, ~is_bp)
        lacks = torch.rand(batch, generator=generator) < odds
        return ~(lacking & lacks[:, None])

    def encoder(self, config: Any) -> nn.Module:
        if config.xp_components:
            components = ENCODERS["xp_components"]
            return components(self.n_slots, config.xp_components, config.xp_patch, config.width)
        return ENCODERS["xp"](self.n_bp, self.n_rp, config.xp_patch, config.width)
