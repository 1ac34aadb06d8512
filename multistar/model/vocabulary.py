"""The slots of a star: every number that the model can read or be asked for has one index."""

from dataclasses import dataclass

import numpy as np

from multistar.data.gaia_xp import XP_BANDS
from multistar.data.stars import Stars
from multistar.quantities import LABELS, QUANTITIES


@dataclass(frozen=True)
class Vocabulary:
    """Slots in order: scalar measurements, labels, BP orders, RP orders."""

    measurements: tuple[str, ...]
    labels: tuple[str, ...]
    n_bp: int
    n_rp: int

    def __post_init__(self):
        unknown = sorted(set(self.scalars) - set(QUANTITIES))
        if unknown:
            raise ValueError(f"the model knows the quantities {unknown}, which this version of multistar does not")

    @property
    def scalars(self) -> tuple[str, ...]:
        return (*self.measurements, *self.labels)

    @property
    def n_scalars(self) -> int:
        return len(self.scalars)

    @property
    def n_slots(self) -> int:
        return self.n_scalars + self.n_bp + self.n_rp

    def slot(self, name: str) -> int:
        return self.scalars.index(name)

    @property
    def label_slots(self) -> range:
        return range(len(self.measurements), self.n_scalars)

    @property
    def xp_slots(self) -> range:
        return range(self.n_scalars, self.n_slots)

    @property
    def band_slots(self) -> dict[str, range]:
        middle = self.n_scalars + self.n_bp
        return {"bp": range(self.n_scalars, middle), "rp": range(middle, self.n_slots)}

    @classmethod
    def of(cls, stars: Stars) -> "Vocabulary":
        """The slots that are observed for at least one star."""
        present = [name for name, s in stars.scalars.items() if np.isfinite(s.value).any()]
        orders = {band: stars.xp[band].value.shape[1] if band in stars.xp else 0 for band in XP_BANDS}
        return cls(
            tuple(n for n in present if n not in LABELS),
            tuple(n for n in present if n in LABELS),
            orders["bp"],
            orders["rp"],
        )
