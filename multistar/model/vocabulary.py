"""The slots of a star: every number that the model can read or be asked for has one index."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from multistar.modalities import MODALITIES, GaiaXP, LightCurve, Modality, Scalars
from multistar.quantities import Quantity

RESERVED = {"encoders", "alignment", "fusion", "from_embedding", "head"}


@dataclass(frozen=True)
class Vocabulary:
    """What a model reads and is asked for: the slots of its modalities, one after the other.

    Attributes
    ----------
    modalities : tuple of Modality
        In the order of MODALITIES. The first are always the scalars, measurements before labels.
    """

    modalities: tuple[Modality, ...]

    def __post_init__(self):
        names = [modality.name for modality in self.modalities]
        if taken := sorted(set(names) & RESERVED):
            raise ValueError(f"no modality can be called {taken}: parts of the network are")
        in_order = [name for name in MODALITIES if name in names]
        if names != in_order or names[:1] != ["scalars"]:
            raise ValueError(
                f"the modalities of a model must be in the order of {list(MODALITIES)} and begin "
                f"with scalars, got {names}"
            )

    def __contains__(self, modality: str) -> bool:
        return any(own.name == modality for own in self.modalities)

    def __getitem__(self, modality: str) -> Modality:
        """The modality of this name; KeyError if the model does not have it."""
        for own in self.modalities:
            if own.name == modality:
                return own
        raise KeyError(modality)

    def slots(self, modality: str) -> range:
        """The slots of a modality; empty for one that the model does not have."""
        start = 0
        for own in self.modalities:
            if own.name == modality:
                return range(start, start + own.n_slots)
            start += own.n_slots
        return range(start, start)

    @property
    def places(self) -> dict[str, slice]:
        """Modality -> its slots, for slicing."""
        ranges = {own.name: self.slots(own.name) for own in self.modalities}
        return {name: slice(slots.start, slots.stop) for name, slots in ranges.items()}

    @property
    def n_slots(self) -> int:
        """How many numbers a star has at most."""
        return sum(own.n_slots for own in self.modalities)

    @property
    def askable(self) -> list[int]:
        """Slots that can be predicted."""
        askable = np.concatenate([own.askable() for own in self.modalities])
        return [int(slot) for slot in np.flatnonzero(askable)]

    def pools(self) -> np.ndarray:
        """(n_slots,) int: slots of one number share their location and scale."""
        starts = [self.slots(own.name).start for own in self.modalities]
        pools = [own.pools() + start for own, start in zip(self.modalities, starts, strict=True)]
        return np.concatenate(pools)

    def heavy_tailed(self) -> np.ndarray:
        """(n_slots,) bool: slots whose standardised values go through arcsinh."""
        return np.concatenate([np.full(own.n_slots, own.heavy_tailed) for own in self.modalities])

    # --- scalars

    @property
    def scalar_part(self) -> Scalars:
        """The modality of photometry, parallax and labels."""
        part = self.modalities[0]
        assert isinstance(part, Scalars)
        return part

    @property
    def measurements(self) -> tuple[str, ...]:
        """Names of the quantities that are measured."""
        return self.scalar_part.measurements

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the quantities that are predicted."""
        return self.scalar_part.labels

    @property
    def scalars(self) -> tuple[str, ...]:
        """Measurements and labels, in the order of their slots."""
        return self.scalar_part.names

    @property
    def n_scalars(self) -> int:
        """Number of measurements and labels."""
        return len(self.scalars)

    @property
    def label_slots(self) -> range:
        """Slots of the labels."""
        return range(len(self.measurements), self.n_scalars)

    def slot(self, name: str) -> int:
        """Of a quantity; ValueError if the model does not have it."""
        return self.scalars.index(name)

    @property
    def declared(self) -> tuple[Quantity, ...]:
        """Quantities of the model's own, which are not in the table of quantities."""
        return self.scalar_part.declared

    def quantity(self, name: str) -> Quantity:
        """The row of the table of quantities, or the one that was declared."""
        return self.scalar_part.quantity(name)

    # --- spectra and light curves, for the tasks that are about them

    @property
    def band_slots(self) -> dict[str, range]:
        """The slots of BP and of RP; empty for a model without XP."""
        if "xp" not in self:
            return {"bp": range(0), "rp": range(0)}
        part, start = self["xp"], self.slots("xp").start
        assert isinstance(part, GaiaXP)
        return {b: range(s.start + start, s.stop + start) for b, s in part.bands.items()}

    # --- making one, and on disk

    @classmethod
    def of(cls, blocks: Mapping[str, Any]) -> Self:
        """The slots that are observed for at least one of the stars with these blocks."""
        parts: list[Modality] = []
        for name, modality in MODALITIES.items():
            part = modality.of(blocks[name]) if name in blocks else None
            if part is not None:
                parts.append(part)
            elif name == "scalars":
                parts.append(Scalars())
        return cls(tuple(parts))

    def with_scalars(self, scalars: Scalars) -> Self:
        """The same with other scalars."""
        return type(self)((scalars, *self.modalities[1:]))

    def with_modality(self, modality: Modality) -> Self:
        """The same with one more modality, in its place. ValueError if it is there already."""
        if modality.name in self:
            raise ValueError(f"the model has the modality {modality.name} already")
        parts = {own.name: own for own in (*self.modalities, modality)}
        return type(self)(tuple(parts[name] for name in MODALITIES if name in parts))

    def to_json(self) -> dict[str, Any]:
        """Modality -> its sizes."""
        return {own.name: own.to_json() for own in self.modalities}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The way back from `to_json`; also reads what format 1 of model folders wrote.

        Raises
        ------
        ValueError
            For a modality or a quantity that this version does not know.
        """
        if "measurements" in row:
            row = _from_format_1(row)
        if unknown := sorted(set(row) - set(MODALITIES)):
            raise ValueError(
                f"the model reads {unknown}, which this version of multistar does not know"
            )
        return cls(tuple(MODALITIES[name].from_json(sizes) for name, sizes in row.items()))


def _from_format_1(row: Mapping[str, Any]) -> dict[str, Any]:
    """{measurements, labels, n_bp, n_rp, light_curve, declared} by modality."""
    scalars = {key: row[key] for key in ("measurements", "labels")}
    found: dict[str, Any] = {"scalars": scalars | {"declared": row.get("declared", ())}}
    if row["n_bp"] or row["n_rp"]:
        found[GaiaXP.name] = {"n_bp": row["n_bp"], "n_rp": row["n_rp"]}
    if row.get("light_curve"):
        found[LightCurve.name] = {"layout": row["light_curve"]}
    return found
