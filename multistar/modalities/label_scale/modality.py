"""Whose labels a row's labels are: surveys' pipelines differ, and one model learns from several.

A table says it in the column `label_scale`, by name or number. In training, the labels of a row are
asked together with its scale; later a table that names one scale gets all labels on it, also of
stars that only other surveys saw. Without it the model answers for a mixture of all scales.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from encoders import ENCODERS
from multistar.io.tables import Columns
from multistar.modalities.modality import Blocks, Found, Hiding, Modality, ReadOptions, draw_coins

COLUMN = "label_scale"
MOST_SCALES = 100
UNKNOWN = ""


@dataclass(frozen=True)
class LabelScaleHiding(Hiding):
    """What training hides of label scales: a tenth, so that tables without them can be asked."""

    absent: float = 0.1


@dataclass(frozen=True)
class LabelScale(Modality):
    """The names of the scales that a model knows.

    Attributes
    ----------
    scales : tuple of str
        In the order of the slots, of which a star has one.
    """

    scales: tuple[str, ...]

    name: ClassVar[str] = "label_scale"
    hiding: ClassVar[type[Hiding]] = LabelScaleHiding
    heavy_tailed: ClassVar[bool] = False

    @property
    def n_slots(self) -> int:
        return len(self.scales)

    @classmethod
    def read(cls, table: Columns, options: ReadOptions, flags: np.ndarray) -> np.ndarray | None:
        """Read the column label_scale, names or numbers, as text; "" where it is missing."""
        if COLUMN not in table:
            return None
        values = table[COLUMN]
        if values.ndim != 1 or values.dtype.kind not in "iuUSO":
            raise ValueError(
                f"{table.origin}: {COLUMN} must hold the name or number of one scale per star, "
                f"got {values.dtype} of shape {values.shape}"
            )
        table.used[COLUMN] = "whose labels a row's labels are"
        missing = np.array([value is None or value != value for value in values.tolist()])
        return np.where(missing, UNKNOWN, values.astype(str))

    @classmethod
    def select(cls, block: np.ndarray, rows: Any) -> np.ndarray:
        return block[rows]

    @classmethod
    def concatenate(cls, blocks: list[np.ndarray | None], lengths: list[int]) -> np.ndarray:
        parts = []
        for block, n in zip(blocks, lengths, strict=True):
            parts.append(np.full(n, UNKNOWN) if block is None else block)
        return np.concatenate(parts)

    @classmethod
    def known(cls, block: np.ndarray) -> np.ndarray:
        """Nothing of the star itself is known by it."""
        return np.zeros(len(block), bool)

    @classmethod
    def count(cls, block: np.ndarray) -> Found:
        has = block != UNKNOWN
        return {"label scale": (has, has)}

    @classmethod
    def of(cls, block: np.ndarray) -> Self | None:
        """All scales that are named; ValueError if they are too many to be surveys."""
        scales = sorted(set(block.tolist()) - {UNKNOWN})
        if len(scales) > MOST_SCALES:
            raise ValueError(
                f"{COLUMN} names {len(scales)} scales, at most {MOST_SCALES} are learnt; it tells "
                "whose labels those of a row are"
            )
        return cls(tuple(scales)) if scales else None

    def transform(
        self, blocks: Blocks, n: int, center: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """1 in the slot of the star's scale; ValueError for a scale that the model never saw."""
        value = np.full((n, self.n_slots), np.nan)
        block = blocks.get(self.name)
        if block is None:
            return value, np.full_like(value, np.nan)
        if unknown := sorted(set(block.tolist()) - {UNKNOWN, *self.scales}):
            raise ValueError(
                f"{COLUMN} {unknown[0]!r} is none that this model learnt; it knows "
                f"{list(self.scales)}"
            )
        for slot, scale in enumerate(self.scales):
            value[block == scale, slot] = 1.0
        return value, np.where(np.isfinite(value), 0.01, np.nan)

    def askable(self) -> np.ndarray:
        """Whose labels they are is a question, not an answer."""
        return np.zeros(self.n_slots, bool)

    def describe(self) -> str:
        return f"label scales {', '.join(self.scales)}"

    def draw_shown(self, keep: Tensor, hiding: Hiding, generator: torch.Generator) -> Tensor:
        """Whole or not at all: see draw_available."""
        return torch.ones(len(keep), self.n_slots, dtype=torch.bool)

    def draw_available(
        self, batch: int, sky: Tensor, hiding: Hiding, generator: torch.Generator
    ) -> Tensor:
        return ~draw_coins(batch, hiding.absent, generator)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        return cls(tuple(row["scales"]))

    def encoder(self, config: Any) -> nn.Module:
        """One token for all slots, of which a star has one."""
        return ENCODERS["scalars"](self.n_slots, config.width, [0] * self.n_slots)
