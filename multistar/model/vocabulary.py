"""The slots of a star: every number that the model can read or be asked for has one index."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from encoders import LightCurveLayout
from multistar.modalities.gaia_xp.read import XP_BANDS
from multistar.modalities.light_curve.features import LAYOUT, physical
from multistar.quantities import LABELS, QUANTITIES, Quantity
from multistar.stars import Stars


@dataclass(frozen=True)
class Vocabulary:
    """Slots in order: scalar measurements, labels, BP orders, RP orders, light curve.

    light_curve: the sizes of a LightCurveLayout, or () for a model without light curves.
    declared: quantities of this model alone, beside those of quantities.py.
    """

    measurements: tuple[str, ...]
    labels: tuple[str, ...]
    n_bp: int
    n_rp: int
    light_curve: tuple[int, ...] = ()
    declared: tuple[Quantity, ...] = ()

    def __post_init__(self):
        unknown = sorted(set(self.scalars) - set(QUANTITIES) - {q.name for q in self.declared})
        if unknown:
            raise ValueError(
                f"the model knows the quantities {unknown}, which this version of multistar does not"
            )

    @property
    def scalars(self) -> tuple[str, ...]:
        return (*self.measurements, *self.labels)

    @property
    def n_scalars(self) -> int:
        return len(self.scalars)

    @property
    def n_slots(self) -> int:
        return self.xp_slots.stop + (self.layout.n_slots if self.layout else 0)

    @property
    def layout(self) -> LightCurveLayout | None:
        return LightCurveLayout(*self.light_curve) if self.light_curve else None

    def quantity(self, name: str) -> Quantity:
        return next((q for q in self.declared if q.name == name), None) or QUANTITIES[name]

    def slot(self, name: str) -> int:
        return self.scalars.index(name)

    @property
    def label_slots(self) -> range:
        return range(len(self.measurements), self.n_scalars)

    @property
    def xp_slots(self) -> range:
        return range(self.n_scalars, self.n_scalars + self.n_bp + self.n_rp)

    @property
    def band_slots(self) -> dict[str, range]:
        middle = self.n_scalars + self.n_bp
        return {"bp": range(self.n_scalars, middle), "rp": range(middle, self.xp_slots.stop)}

    @property
    def light_curve_slots(self) -> range:
        return range(self.xp_slots.stop, self.n_slots)

    @property
    def askable(self) -> list[int]:
        """Slots that can be predicted: all but those that tell how a light curve was sampled, which is no physics."""
        curve = (
            np.flatnonzero(physical()) + self.light_curve_slots.start if self.light_curve else []
        )
        return [*range(self.light_curve_slots.start), *map(int, curve)]

    @classmethod
    def of(cls, stars: Stars) -> "Vocabulary":
        """The slots that are observed for at least one star."""
        present = [name for name, s in stars.scalars.items() if np.isfinite(s.value).any()]
        orders = {
            band: stars.xp[band].value.shape[1] if band in stars.xp else 0 for band in XP_BANDS
        }
        return cls(
            tuple(n for n in present if n not in LABELS),
            tuple(n for n in present if n in LABELS),
            orders["bp"],
            orders["rp"],
            dataclasses.astuple(LAYOUT) if stars.light_curve is not None else (),
        )
