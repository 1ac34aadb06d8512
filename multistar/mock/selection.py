"""Which stars a survey takes: selection functions by name."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.phases import Stratum
from multistar.mock.population import (
    PAIR,
    ROUGHNESS,
    Population,
    absolute_magnitudes,
    distance_modulus,
)
from multistar.mock.sed import BANDS
from multistar.mock.variability.pulsators import CLASSES

GIANTS = Stratum(giants=True)

# Dwarfs, subgiants and hot giants: bright ones from the whole sector, faint ones from where
# G < 17.6 sees even pairs.
NOT_GIANTS = (
    Stratum(giants=False, log_luminosity=(0.0, 9.0)),
    Stratum(giants=False, log_luminosity=(-0.35, 0.0), reach=5.4),
    Stratum(giants=False, log_luminosity=(-0.7, -0.35), reach=3.8),
    Stratum(giants=False, log_luminosity=(-1.2, -0.7), reach=2.4),
    Stratum(giants=False, log_luminosity=(-1.7, -1.2), reach=1.3),
    Stratum(giants=False, log_luminosity=(-9.0, -1.7), reach=0.7),
    Stratum(giants=False, log_luminosity=(1.0, 9.0), born="newborn"),
    Stratum(giants=False, log_luminosity=(-0.7, 1.0), reach=5.4, born="newborn"),
    Stratum(giants=False, log_luminosity=(-9.0, -0.7), reach=2.4, born="newborn"),
)
# Stars for G < 11.5, likewise: the more luminous, the farther out.
NEAR_ENOUGH = (
    Stratum(giants=True, log_luminosity=(2.3, 9.0)),
    Stratum(giants=True, log_luminosity=(1.7, 2.3), reach=5.5),
    Stratum(giants=True, log_luminosity=(-9.0, 1.7), reach=2.8),
    Stratum(giants=False, log_luminosity=(2.0, 9.0)),
    Stratum(giants=False, log_luminosity=(1.0, 2.0), reach=3.9),
    Stratum(giants=False, log_luminosity=(0.0, 1.0), reach=1.3),
    Stratum(giants=False, log_luminosity=(-1.0, 0.0), reach=0.4),
    Stratum(giants=False, log_luminosity=(-9.0, -1.0), reach=0.15),
    Stratum(giants=False, log_luminosity=(1.0, 9.0), reach=3.9, born="newborn"),
    Stratum(giants=False, log_luminosity=(-9.0, 1.0), reach=0.8, born="newborn"),
)
VOLUME_RADIUS = 0.2  # kpc
# Shells around the Sun, so that the nearest stars are as many as far ones.
NEARBY = (
    *(Stratum(giants=False, reach=reach) for reach in (0.012, 0.03, 0.08, 0.2)),
    *(Stratum(giants=True, reach=reach) for reach in (0.05, 0.15, 0.4)),
)
# Ranges of luminosity, and how far they are seen, for stars of equally many per factor in age.
BY_LUMINOSITY = (((1.5, 9.0), 4.0), ((0.5, 1.5), 3.0), ((-0.5, 0.5), 1.5), ((-1.7, -0.5), 0.8))
YOUNG, IN_CLUSTERS = (
    tuple(
        Stratum(log_luminosity=luminosity, reach=reach, born=born)
        for luminosity, reach in BY_LUMINOSITY
    )
    for born in ("young", "clusters")
)
OLD_DISC_AND_HALO = (0.0, 0.6, 0.4)
METAL_POOR = (
    Stratum(giants=True, fractions=OLD_DISC_AND_HALO),
    Stratum(giants=False, log_luminosity=(0.0, 9.0), fractions=OLD_DISC_AND_HALO),
    Stratum(giants=False, log_luminosity=(-9.0, 0.0), reach=2.0, fractions=OLD_DISC_AND_HALO),
)
PULSATORS = tuple(Stratum(variability=name, reach=own.reach) for name, own in CLASSES.items())
CLOSE_BINARIES = (
    Stratum(pairs="contact", reach=2.0),
    Stratum(pairs="contact", reach=0.6),
    Stratum(pairs="semidetached"),
    Stratum(pairs="semidetached", reach=3.0),
    Stratum(pairs="detached", giants=False, log_luminosity=(0.7, 9.0), reach=4.0),
    Stratum(pairs="detached", giants=False, log_luminosity=(-1.0, 0.7), reach=1.0),
    Stratum(pairs="detached", giants=False, log_luminosity=(0.7, 9.0), reach=4.0, born="young"),
    Stratum(pairs="detached", giants=True, reach=4.0),
)

# The least and the most that dust can dim a star, in units of E(B-V): cool and hot stars, low and
# high R_V.
EXTINCTION = {"g": (1.2, 3.8), "h": (0.3, 0.8)}
# How much brighter than its rough magnitude a system can be: a bad fit, and a companion.
MARGIN = {band: rough + PAIR for band, rough in ROUGHNESS.items()}


@dataclass(frozen=True)
class Selection:
    """What a survey draws, and the limits of what it takes.

    Attributes
    ----------
    description : str
        The selection in words.
    strata : tuple of Stratum
        What stars are drawn at all.
    magnitude : dict of str to tuple of float
        Limits in apparent magnitude (bright, faint) by band.
    max_ebv : float
        Largest reddening E(B-V), mag.
    logg : tuple of float
        Limits in surface gravity, cgs dex.
    latitude : float
        Smallest distance from the Galactic plane as seen from the Sun, degrees.
    even : bool
        As many candidates from each stratum, instead of as many as the Galaxy has.
    """

    description: str
    strata: tuple[Stratum, ...]
    magnitude: dict[str, tuple[float, float]]
    max_ebv: float = np.inf
    logg: tuple[float, float] = (-1.0, 9.0)
    latitude: float = 0.0
    even: bool = False

    @property
    def faintest(self) -> dict[str, float]:
        """The faint limit of each band, mag."""
        return {band: faint for band, (_, faint) in self.magnitude.items()}

    def may_take(self, stars: Population) -> np.ndarray:
        """(n,) False for stars that this selection surely leaves out.

        No spectrum needs to be computed for them.
        """
        keep = self._within_limits(stars)
        absolute = absolute_magnitudes(stars.star.luminosity, stars.star.teff)
        modulus = distance_modulus(stars.distance)
        for band, (bright, faint) in self.magnitude.items():
            least_dust, most_dust = EXTINCTION[band]
            undimmed = absolute[band] + modulus
            keep &= undimmed + least_dust * stars.ebv < faint + MARGIN[band]
            keep &= undimmed + most_dust * stars.ebv > bright - ROUGHNESS[band]
        return keep

    def __call__(self, stars: Population, magnitudes: np.ndarray) -> np.ndarray:
        """(n,) True for the stars taken; magnitudes (n, n_band) in the order of BANDS."""
        keep = self._within_limits(stars)
        for band, (bright, faint) in self.magnitude.items():
            value = magnitudes[:, BANDS.index(band)]
            keep &= (value > bright) & (value < faint)
        return keep

    def _within_limits(self, stars: Population) -> np.ndarray:
        """(n,) True for stars within the limits of latitude, reddening and gravity."""
        lowest, highest = self.logg
        logg = stars.star.logg
        inside = (logg > lowest) & (logg < highest)
        inside &= np.abs(stars.b) >= np.radians(self.latitude)
        return inside & (stars.ebv < self.max_ebv)


SELECTIONS = {
    "apogee-like": Selection(
        description="giants, H < 12.3, E(B-V) < 2.5",
        strata=(GIANTS,),
        magnitude={"g": (7.0, 17.6), "h": (0.0, 12.3)},
        max_ebv=2.5,
    ),
    "kepler-like": Selection(
        description="giants, 8 < G < 13.4, E(B-V) < 0.35, 1.6 < logg < 3.4",
        strata=(GIANTS,),
        magnitude={"g": (8.0, 13.4)},
        max_ebv=0.35,
        logg=(1.6, 3.4),
    ),
    "all-sky": Selection(
        description="giants, subgiants and dwarfs, 6 < G < 17.6, E(B-V) < 2.5",
        strata=(GIANTS, *NOT_GIANTS),
        magnitude={"g": (6.0, 17.6)},
        max_ebv=2.5,
    ),
    "bright": Selection(
        description="giants, subgiants and dwarfs, 4 < G < 11.5, E(B-V) < 2.5",
        strata=NEAR_ENOUGH,
        magnitude={"g": (4.0, 11.5)},
        max_ebv=2.5,
    ),
    "everything": Selection(
        description="a magnitude-limited sky: all stars with -2 < G < 17.6, E(B-V) < 2.5",
        strata=(GIANTS, *NOT_GIANTS),
        magnitude={"g": (-2.0, 17.6)},
        max_ebv=2.5,
    ),
    "high-latitude": Selection(
        description="all stars with |b| > 20 deg, 6 < G < 17.6, as surveys of spectra take them",
        strata=(GIANTS, *NOT_GIANTS),
        magnitude={"g": (6.0, 17.6)},
        latitude=20.0,
    ),
    "nearby": Selection(
        description="stars within 12, 30, 80 and 200 pc in equal parts, giants within 50, 150 and "
        "400 pc, -2 < G < 13",
        strata=NEARBY,
        magnitude={"g": (-2.0, 13.0)},
        even=True,
    ),
    "young": Selection(
        description="the thin disc at 1 Myr to 1 Gyr, equally many per factor in age, "
        "4 < G < 17.6, E(B-V) < 2.5",
        strata=YOUNG,
        magnitude={"g": (4.0, 17.6)},
        max_ebv=2.5,
        even=True,
    ),
    "clusters": Selection(
        description="the thin disc at 1 Myr to 10 Gyr, equally many per factor in age, as members "
        "of open clusters are, 4 < G < 17.6, E(B-V) < 2.5",
        strata=IN_CLUSTERS,
        magnitude={"g": (4.0, 17.6)},
        max_ebv=2.5,
        even=True,
    ),
    "halo": Selection(
        description="thick disc (60 % of the stars formed) and halo, 6 < G < 17.6, E(B-V) < 2.5",
        strata=METAL_POOR,
        magnitude={"g": (6.0, 17.6)},
        max_ebv=2.5,
        even=True,
    ),
    "volume": Selection(
        description=f"all stars within {VOLUME_RADIUS * 1000:.0f} pc, G < 17.6",
        strata=(Stratum(reach=VOLUME_RADIUS),),
        magnitude={"g": (-9.0, 17.6)},
    ),
    "pulsators": Selection(
        description="RR Lyrae stars (ab, c, d), Cepheids (classical in two modes, type II), delta "
        "Scuti, SX Phoenicis, gamma Doradus, slowly pulsating B and beta Cephei stars, red giants "
        "of small amplitude, semiregular variables, Miras, magnetic A stars, flaring M dwarfs and "
        "Be stars in equal parts before 6 < G < 17.6",
        strata=PULSATORS,
        magnitude={"g": (6.0, 17.6)},
        max_ebv=2.5,
    ),
    "bright-variables": Selection(
        description="pulsators and close-binaries, as small telescopes see them: 6 < G < 13.2",
        strata=(*PULSATORS, *CLOSE_BINARIES),
        magnitude={"g": (6.0, 13.2)},
        max_ebv=2.5,
    ),
    "close-binaries": Selection(
        description="contact, semi-detached and short-period detached pairs, most of them "
        "eclipsing, 6 < G < 17.6",
        strata=CLOSE_BINARIES,
        magnitude={"g": (6.0, 17.6)},
        max_ebv=2.5,
    ),
}
