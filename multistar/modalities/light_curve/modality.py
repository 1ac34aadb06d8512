"""A light curve: the slots of its features (see features.py)."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from encoders import ENCODERS, LightCurveLayout
from multistar import status
from multistar.io.tables import Columns
from multistar.modalities.light_curve.features import (
    LAYOUT,
    N_SLOTS,
    LightCurveFeatures,
    assign_pools,
    mark_physical,
    read_features,
)
from multistar.modalities.modality import Blocks, Found, Hiding, Modality, ReadOptions

RUN = 16  # slots that are shown or hidden together


@dataclass(frozen=True)
class LightCurveHiding(Hiding):
    """What training hides of light curves."""

    absent: float = 0.3
    alone: float = 0.15


@dataclass(frozen=True)
class LightCurve(Modality):
    """The sizes of a LightCurveLayout."""

    layout: LightCurveLayout = LAYOUT

    name: ClassVar[str] = "light_curve"
    hiding: ClassVar[type[Hiding]] = LightCurveHiding

    @property
    def n_slots(self) -> int:
        """Number of features."""
        return self.layout.n_slots

    @classmethod
    def read(
        cls, table: Columns, options: ReadOptions, flags: np.ndarray
    ) -> LightCurveFeatures | None:
        """Columns light_curve_value and light_curve_sigma, as `multistar view` writes them."""
        return read_features(table)

    @classmethod
    def select(cls, block: LightCurveFeatures, rows: Any) -> LightCurveFeatures:
        """Return the features of the given stars (slice, indices or mask)."""
        return LightCurveFeatures(block.value[rows], block.sigma[rows])

    @classmethod
    def concatenate(
        cls, blocks: list[LightCurveFeatures | None], lengths: list[int]
    ) -> LightCurveFeatures:
        """Put features one after the other; NaN for parts of the list that have none."""
        parts = []
        for block, n in zip(blocks, lengths, strict=True):
            missing = np.full((n, N_SLOTS), np.nan, np.float32)
            parts.append(block or LightCurveFeatures(missing, missing))
        value = np.concatenate([part.value for part in parts])
        return LightCurveFeatures(value, np.concatenate([part.sigma for part in parts]))

    @classmethod
    def known(cls, block: LightCurveFeatures) -> np.ndarray:
        """Return (n,) True for stars with a light curve."""
        return np.asarray(np.isfinite(block.value).any(1))

    @classmethod
    def count(cls, block: LightCurveFeatures) -> Found:
        """Say how many light curves there are."""
        with_error = np.any(np.isfinite(block.value) & np.isfinite(block.sigma), axis=1)
        return {"light curve": (cls.known(block), with_error)}

    @classmethod
    def flag_missing(cls, block: LightCurveFeatures | None, flags: np.ndarray) -> None:
        """Only where light curves were given at all does the lack of one mean something."""
        if block is not None:
            flags[~cls.known(block)] |= status.BIT["no_light_curve"]

    @classmethod
    def of(cls, block: LightCurveFeatures) -> Self | None:
        """Return the modality of these features, which all have the one layout."""
        return cls()

    def transform(
        self, blocks: Blocks, n: int, center: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return value and sigma (n, n_slots), NaN without a block of light curves."""
        block = blocks.get(self.name)
        if block is None:
            return np.full((n, self.n_slots), np.nan), np.full((n, self.n_slots), np.nan)
        return block.value, block.sigma

    def pools(self) -> np.ndarray:
        """Return (n_slots,) int: features of one number are standardised together."""
        return assign_pools()

    def askable(self) -> np.ndarray:
        """Return (n_slots,) True for features of the star, not of how it was observed."""
        return mark_physical()

    def describe(self) -> str:
        """Return the words for messages."""
        return "light curves"

    def draw_shown(
        self, keep: Tensor, hiding: LightCurveHiding, generator: torch.Generator
    ) -> Tensor:
        """Runs of neighbouring slots drop out."""
        runs = torch.rand(len(keep), -(-self.n_slots // RUN), generator=generator) < keep
        return runs.repeat_interleave(RUN, dim=1)[:, : self.n_slots]

    def encoder(self, config: Any) -> nn.Module:
        """Build the encoder with the sizes of a model's config."""
        encoder = ENCODERS["lightcurve"]
        return encoder(self.layout, config.width, config.light_curve_depth, config.heads)

    def to_json(self) -> dict[str, Any]:
        """Return the sizes of the layout."""
        return {"layout": list(dataclasses.astuple(self.layout))}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Make the modality of what `to_json` gave."""
        return cls(LightCurveLayout(*row["layout"]))
