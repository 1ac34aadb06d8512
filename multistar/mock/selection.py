"""Which stars a survey takes: selection functions by name."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.population import Population
from multistar.mock.sed import BANDS

BLUEST_G_H = 0.9  # mag; no giant of ours has a smaller G-H


@dataclass(frozen=True)
class Selection:
    """Limits in apparent magnitude (bright, faint) by band, in reddening [mag] and in logg [dex]."""

    magnitude: dict[str, tuple[float, float]]
    max_ebv: float
    logg: tuple[float, float] = (-1.0, 9.0)

    @property
    def h_limit(self) -> float:
        """No selected star is fainter in H, so others need not be computed at all."""
        limits = [faint - (BLUEST_G_H if band == "g" else 0) for band, (_, faint) in self.magnitude.items()]
        return min(limits)

    def __call__(self, stars: Population, magnitudes: np.ndarray) -> np.ndarray:
        """(n,) True for the stars taken; magnitudes (n, n_band) in the order of BANDS."""
        keep = (stars.ebv < self.max_ebv) & (stars.logg > self.logg[0]) & (stars.logg < self.logg[1])
        for band, (bright, faint) in self.magnitude.items():
            value = magnitudes[:, BANDS.index(band)]
            keep &= (value > bright) & (value < faint)
        return keep


SELECTIONS = {
    "apogee-like": Selection({"g": (7.0, 17.6), "h": (0.0, 12.3)}, max_ebv=2.5),
    "kepler-like": Selection({"g": (8.0, 13.4)}, max_ebv=0.35, logg=(1.6, 3.4)),
    "all-sky": Selection({"g": (6.0, 17.6)}, max_ebv=2.5),
}
