"""Photometry, parallax and labels: one slot per quantity."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from encoders import ENCODERS, Measurement
from multistar.io.tables import Columns
from multistar.modalities.modality import Blocks, Found, Hiding, Modality, ReadOptions, draw_coins
from multistar.modalities.scalars.mismatch import widen_colours
from multistar.modalities.scalars.read import Scalar, read_scalars
from multistar.modalities.scalars.transforms import slope_of_scale, to_even_scale
from multistar.quantities import LABELS, QUANTITIES, Quantity, quantity_from


@dataclass(frozen=True)
class ScalarHiding(Hiding):
    """What training hides of catalogue numbers; labels and generation are in `MaskingConfig`."""

    absent: float = 0.2  # share, of the stars that are shown in part, without any photometry
    no_astrometry: float = 0.4  # share of all stars without parallax
    # Share of all stars that were matched with few surveys: each survey but that of G is then missing
    # in half of them, with all of its bands. Otherwise "Gaia alone" would hardly ever be shown.
    few_surveys: float = 0.4


@dataclass(frozen=True)
class Scalars(Modality):
    """Quantities in order: measurements, then labels.

    Attributes
    ----------
    measurements, labels : tuple of str
        Names of quantities.
    declared : tuple of Quantity
        Quantities of this model alone, beside those of `quantities.py`.
    """

    measurements: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    declared: tuple[Quantity, ...] = ()

    name: ClassVar[str] = "scalars"
    hiding: ClassVar[type[Hiding]] = ScalarHiding
    heavy_tailed: ClassVar[bool] = False
    in_sequences: ClassVar[bool] = True

    def __post_init__(self):
        known = set(QUANTITIES) | {q.name for q in self.declared}
        if unknown := sorted(set(self.names) - known):
            raise ValueError(
                f"the model knows the quantities {unknown}, which this version of multistar "
                "does not"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """All quantities, in the order of their slots."""
        return (*self.measurements, *self.labels)

    @property
    def n_slots(self) -> int:
        return len(self.names)

    def quantity(self, name: str) -> Quantity:
        """The row of the table of quantities, or the declared one; KeyError for another name."""
        for quantity in self.declared:
            if quantity.name == name:
                return quantity
        return QUANTITIES[name]

    def slots_of_kind(self, kind: str) -> list[int]:
        """Slots of the measurements of one kind ("magnitude", "astrometry", "other")."""
        kinds = [self.quantity(name).kind for name in self.measurements]
        return [slot for slot, own in enumerate(kinds) if own == kind]

    @property
    def g(self) -> int | None:
        """Slot of the magnitude G, to which colours and XP coefficients are relative."""
        return self.measurements.index("g") if "g" in self.measurements else None

    @property
    def colours(self) -> list[int]:
        """Slots of the magnitudes other than G."""
        return [slot for slot in self.slots_of_kind("magnitude") if slot != self.g]

    @classmethod
    def read(
        cls, table: Columns, options: ReadOptions, flags: np.ndarray
    ) -> dict[str, Scalar] | None:
        return read_scalars(table, options, flags) or None

    @classmethod
    def select(cls, block: dict[str, Scalar], rows: Any) -> dict[str, Scalar]:
        return {name: Scalar(s.value[rows], s.sigma[rows]) for name, s in block.items()}

    @classmethod
    def concatenate(
        cls, blocks: list[dict[str, Scalar] | None], lengths: list[int]
    ) -> dict[str, Scalar]:
        names = dict.fromkeys(name for block in blocks for name in block or {})
        joined = {}
        for name in names:
            parts = []
            for block, n in zip(blocks, lengths, strict=True):
                missing = np.full(n, np.nan)
                parts.append((block or {}).get(name) or Scalar(missing, missing))
            value = np.concatenate([part.value for part in parts])
            sigma = np.concatenate([part.sigma for part in parts])
            joined[name] = Scalar(value, sigma)
        return joined

    @classmethod
    def known(cls, block: dict[str, Scalar]) -> np.ndarray:
        measured = [s.value for name, s in block.items() if name not in LABELS]
        if not measured:
            n = len(next(iter(block.values())).value) if block else 0
            return np.zeros(n, bool)
        return np.asarray(np.isfinite(np.stack(measured)).any(axis=0))

    @classmethod
    def count(cls, block: dict[str, Scalar]) -> Found:
        found = {}
        for name, scalar in block.items():
            has_value = np.isfinite(scalar.value)
            found[name] = has_value, has_value & np.isfinite(scalar.sigma)
        return found

    @classmethod
    def of(cls, block: dict[str, Scalar]) -> Self | None:
        present = [name for name, s in block.items() if np.isfinite(s.value).any()]
        measurements = tuple(name for name in present if name not in LABELS)
        return cls(measurements, tuple(name for name in present if name in LABELS))

    def transform(
        self, blocks: Blocks, n: int, center: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values on even scales; magnitudes other than G become colours."""
        block = blocks.get(self.name, {})
        value, sigma = np.full((2, n, self.n_slots), np.nan)
        for slot, name in enumerate(self.names):
            if name in block:
                quantity, scalar = self.quantity(name), block[name]
                with np.errstate(divide="ignore", invalid="ignore"):
                    value[:, slot] = to_even_scale(quantity, scalar.value)
                    slope = slope_of_scale(quantity, scalar.value)
                    sigma[:, slot] = scalar.sigma * np.abs(slope)
        self._to_colours(value, center)
        return value, sigma

    def _to_colours(self, value: np.ndarray, center: np.ndarray) -> None:
        """Take magnitudes relative to G, or to the mean of the bands where G is missing.

        In place.
        """
        bands = self.colours
        if not bands:
            return
        typical = center[bands]  # the typical band - G of the training stars
        level = value[:, bands] - typical
        n_observed = np.isfinite(level).sum(1)
        reference = np.nansum(level, axis=1) / np.maximum(n_observed, 1)
        if self.g is not None:
            g = value[:, self.g]
            reference = np.where(np.isfinite(g), g, reference)
        value[:, bands] -= reference[:, None]

    def describe(self) -> str:
        return ", ".join(self.measurements)

    def parts(self) -> dict[str, list[int]]:
        photometry = self.slots_of_kind("magnitude")
        return {"photometry": photometry, "parallax": self.slots_of_kind("astrometry")}

    def state_mismatch(
        self, m: Measurement, center: Tensor, scale: Tensor, size: Tensor
    ) -> Measurement:
        return widen_colours(m, scale, self.colours, size, None)

    def draw_mismatch(
        self,
        m: Measurement,
        center: Tensor,
        scale: Tensor,
        size: Tensor,
        generator: torch.Generator,
    ) -> Measurement:
        return widen_colours(m, scale, self.colours, size, generator)

    def draw_shown(self, keep: Tensor, hiding: ScalarHiding, generator: torch.Generator) -> Tensor:
        shown = super().draw_shown(keep, hiding, generator)
        magnitudes = self.slots_of_kind("magnitude")
        shown[:, magnitudes] &= ~draw_coins(len(keep), hiding.absent, generator)
        return shown

    def draw_available(
        self, batch: int, sky: Tensor, hiding: ScalarHiding, generator: torch.Generator
    ) -> Tensor:
        available = torch.ones(batch, self.n_slots, dtype=torch.bool)
        astrometry = self.slots_of_kind("astrometry")
        available[:, astrometry] = ~draw_coins(batch, hiding.no_astrometry, generator)
        few = draw_coins(batch, hiding.few_surveys, generator)
        for slots in self._slots_by_survey():
            available[:, slots] &= ~(few & draw_coins(batch, 0.5, generator))
        return available

    def _slots_by_survey(self) -> list[list[int]]:
        """Slots of the magnitudes of each survey but that of G."""
        slots: dict[str, list[int]] = {}
        for slot in self.slots_of_kind("magnitude"):
            slots.setdefault(self.quantity(self.names[slot]).survey, []).append(slot)
        own = "" if self.g is None else self.quantity(self.names[self.g]).survey
        return [found for survey, found in slots.items() if survey and survey != own]

    def encoder(self, config: Any) -> nn.Module:
        groups = self.groups() if config.group_surveys else None
        return ENCODERS["scalars"](self.n_slots, config.width, groups)

    def groups(self) -> list[int]:
        """Number the magnitudes by survey; every other quantity has a number of its own."""
        numbers: dict[str, int] = {}
        groups = []
        for name in self.names:
            quantity = self.quantity(name)
            key = quantity.survey if quantity.kind == "magnitude" and quantity.survey else name
            groups.append(numbers.setdefault(key, len(numbers)))
        return groups

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        declared = tuple(map(quantity_from, row.get("declared", ())))
        return cls(tuple(row["measurements"]), tuple(row["labels"]), declared)

    def with_quantities(self, inputs: tuple[Quantity, ...], labels: tuple[Quantity, ...]) -> Self:
        """Add slots of more quantities after the measurements and after the labels."""
        new = [q for q in (*inputs, *labels) if q.name not in QUANTITIES]
        return dataclasses.replace(
            self,
            measurements=(*self.measurements, *(q.name for q in inputs)),
            labels=(*self.labels, *(q.name for q in labels)),
            declared=(*self.declared, *new),
        )
