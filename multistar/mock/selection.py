"""Which stars a survey takes: selection functions by name."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.phases import Stratum
from multistar.mock.population import PAIR, ROUGHNESS, Population, absolute_magnitudes
from multistar.mock.sed import BANDS
from multistar.mock.variability.pulsators import CLASSES

GIANTS = Stratum(giants=True)
# Dwarfs, subgiants and hot giants: bright ones from the whole sector, faint ones from where G < 17.6 sees even pairs.
BRIGHT, MIDDLE, FAINT = (0.0, 9.0), (-0.7, 0.0), (-9.0, -0.7)
NOT_GIANTS = (
    Stratum(giants=False, log_luminosity=BRIGHT),
    Stratum(giants=False, log_luminosity=MIDDLE, reach=5.4),
    Stratum(giants=False, log_luminosity=FAINT, reach=2.4),
)
# The same for G < 11.5: the more luminous, the farther out.
NEAR_ENOUGH = (
    *(
        Stratum(True, limits, reach)
        for limits, reach in (((2.3, 9.0), None), ((1.7, 2.3), 5.5), ((-9.0, 1.7), 2.8))
    ),
    *(
        Stratum(False, limits, reach)
        for limits, reach in (
            ((2.0, 9.0), None),
            ((1.0, 2.0), 3.9),
            ((0.0, 1.0), 1.3),
            ((-9.0, 0.0), 0.4),
        )
    ),
)
# The least and the most that dust can dim a star, in units of E(B-V): cool and hot stars, low and high R_V.
EXTINCTION = {"g": (1.2, 3.8), "h": (0.3, 0.8)}
MARGIN = {band: rough + PAIR for band, rough in ROUGHNESS.items()}
VOLUME_RADIUS = 0.2  # kpc
PULSATORS = tuple(Stratum(variability=name) for name in CLASSES)


@dataclass(frozen=True)
class Selection:
    """What stars are drawn at all (strata), limits in apparent magnitude (bright, faint) by band, in
    reddening [mag] and in logg [dex]."""

    description: str
    strata: tuple[Stratum, ...]
    magnitude: dict[str, tuple[float, float]]
    max_ebv: float = np.inf
    logg: tuple[float, float] = (-1.0, 9.0)

    @property
    def faintest(self) -> dict[str, float]:
        return {band: faint for band, (_, faint) in self.magnitude.items()}

    def may_take(self, stars: Population) -> np.ndarray:
        """(n,) False for stars that this selection surely leaves out: no spectrum needs to be computed for them."""
        logg = stars.star.logg
        keep = (stars.ebv < self.max_ebv) & (logg > self.logg[0]) & (logg < self.logg[1])
        absolute = absolute_magnitudes(stars.star.luminosity, stars.star.teff)
        for band, (bright, faint) in self.magnitude.items():
            dust = np.multiply.outer(EXTINCTION[band], stars.ebv)
            apparent = absolute[band] + 5 * np.log10(stars.distance * 100) + dust
            keep &= (apparent[0] < faint + MARGIN[band]) & (apparent[1] > bright - ROUGHNESS[band])
        return keep

    def __call__(self, stars: Population, magnitudes: np.ndarray) -> np.ndarray:
        """(n,) True for the stars taken; magnitudes (n, n_band) in the order of BANDS."""
        logg = stars.star.logg
        keep = (stars.ebv < self.max_ebv) & (logg > self.logg[0]) & (logg < self.logg[1])
        for band, (bright, faint) in self.magnitude.items():
            value = magnitudes[:, BANDS.index(band)]
            keep &= (value > bright) & (value < faint)
        return keep


SELECTIONS = {
    "apogee-like": Selection(
        "giants, H < 12.3, E(B-V) < 2.5",
        (GIANTS,),
        {"g": (7.0, 17.6), "h": (0.0, 12.3)},
        max_ebv=2.5,
    ),
    "kepler-like": Selection(
        "giants, 8 < G < 13.4, E(B-V) < 0.35, 1.6 < logg < 3.4",
        (GIANTS,),
        {"g": (8.0, 13.4)},
        0.35,
        (1.6, 3.4),
    ),
    "all-sky": Selection(
        "giants, subgiants and dwarfs, 6 < G < 17.6, E(B-V) < 2.5",
        (GIANTS, *NOT_GIANTS),
        {"g": (6.0, 17.6)},
        2.5,
    ),
    "bright": Selection(
        "giants, subgiants and dwarfs, 4 < G < 11.5, E(B-V) < 2.5",
        NEAR_ENOUGH,
        {"g": (4.0, 11.5)},
        2.5,
    ),
    "volume": Selection(
        f"all stars within {VOLUME_RADIUS * 1000:.0f} pc, G < 17.6",
        (Stratum(reach=VOLUME_RADIUS),),
        {"g": (-9.0, 17.6)},
    ),
    "pulsators": Selection(
        "RR Lyrae (ab, c), Cepheids, delta Scuti and long-period variables in equal parts before 6 < G < 17.6",
        PULSATORS,
        {"g": (6.0, 17.6)},
        2.5,
    ),
}
