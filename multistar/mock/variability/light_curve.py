"""The light curve that a mission records of a star, made on the fly from the star's physical state."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.fft import next_fast_len

from multistar.mock.variability.eclipses import proximity_curve, visible_fractions
from multistar.mock.variability.missions import MISSIONS, Mission, gaia_transits
from multistar.mock.variability.oscillations import granulation_variance, power_spectrum, synthesise
from multistar.mock.variability.pulsation import VARIABILITY_CLASSES, pulsation
from multistar.mock.variability.rotation import spot_modulation

LIMB_DARKENING = 0.6
SUB_EXPOSURES = np.array(
    [-1 / 3, 0, 1 / 3]
)  # of an exposure; eclipses and pulsation are averaged over them
TIME_ZERO = 2455197.5  # BJD at which the phases of orbits and pulsation are counted from


@dataclass(frozen=True)
class StarParameters:
    """The physical state of a star, or of a pair that no mission resolves. NaN: there is no such thing."""

    source_id: int
    mass: float  # Msun
    radius: float  # Rsun
    teff: float  # K
    g_mag: float  # of the pair
    rp_mag: float
    rotation_period: float = np.nan  # d; NaN: no spots
    spot_amplitude: float = 0.0  # range of the flux seen equator-on
    orbital_period: float = np.nan  # d; NaN: single
    inclination: float = 90.0  # deg, of the orbit and of the spin
    radius_ratio: float = np.nan  # R2 / R1
    scaled_axis: float = np.nan  # a / R1
    flux_ratio: float = 0.0  # F2 / F1 in the observed band; also of a wide, unresolved companion
    mass_ratio: float = np.nan  # M2 / M1
    variability_class: str = ""  # or a name in VARIABILITY_CLASSES
    pulsation_period: float = np.nan  # d
    pulsation_amplitude: float = 0.0  # peak to peak in G, mag
    helium_burning: bool = False  # a red-clump star: its dipole modes differ

    def __post_init__(self):
        if self.variability_class not in ("", *VARIABILITY_CLASSES):
            known = ", ".join(VARIABILITY_CLASSES)
            raise ValueError(
                f"variability_class must be empty or one of {known}; got {self.variability_class!r}"
            )
        if self.variability_class and not self.pulsation_period > 0:
            raise ValueError(
                f"a pulsating star needs pulsation_period > 0, got {self.pulsation_period}"
            )
        if self.orbital_period > 0 and not (
            self.radius_ratio > 0 and self.scaled_axis > 0 and self.mass_ratio > 0
        ):
            got = f"{self.radius_ratio}, {self.scaled_axis}, {self.mass_ratio}"
            raise ValueError(
                f"a binary needs radius_ratio, scaled_axis and mass_ratio > 0; got {got}"
            )
        if self.source_id < 0:
            raise ValueError(
                f"source_id seeds the random numbers and must not be negative, got {self.source_id}"
            )


@dataclass(frozen=True)
class LightCurve:
    """What a pipeline delivers: missing cadences removed, sorted in time; the three arrays are (n,) float64."""

    time: (
        np.ndarray
    )  # d since the epoch of MISSIONS[mission]: BKJD, BTJD, or days since 2010.0 (TCB) for Gaia
    flux: np.ndarray  # relative, median 1
    flux_error: np.ndarray  # relative
    mission: str

    def to_lightkurve(self):
        """The same as a lightkurve.LightCurve, with TDB times (TCB for Gaia).

        Its `to_fits` writes files that `lightkurve.read` reads, but for Gaia, whose epoch it has no place for.
        Raises ImportError if lightkurve is not installed.
        """
        try:
            from lightkurve.lightcurve import LightCurve as LightkurveCurve
        except ImportError as error:
            raise ImportError(
                "lightkurve is not installed: pip install 'multistar[lightcurves]'"
            ) from error
        from astropy.time import Time

        mission = MISSIONS[self.mission]
        if mission.time_format == "jd":
            time = Time(mission.epoch, self.time, format="jd", scale="tcb")
        else:
            time = Time(self.time, format=mission.time_format, scale="tdb")
        meta = {"MISSION": self.mission, "TELESCOP": mission.telescope}
        return LightkurveCurve(time=time, flux=self.flux, flux_err=self.flux_error, meta=meta)


def light_curve(star: StarParameters, mission: str, seed: int) -> LightCurve:
    """One observed light curve; the same (star, mission, seed) gives the same curve, alone or in any batch.

    mission: a name in MISSIONS, else ValueError. Phases of orbit and pulsation belong to (star, seed) and are the same
    for all missions; noise, sampling, spots and granulation are drawn anew for each. The companion's light is constant
    but for eclipses, and dilutes the primary's variability. Classical pulsators have no granulation. Oscillations are
    left out for Gaia, whose noise hides them, and granulation is constant within a visit.
    """
    if mission not in MISSIONS:
        raise ValueError(f"unknown mission {mission!r}; known are {list(MISSIONS)}")
    setup = MISSIONS[mission]
    physics = np.random.default_rng([seed, star.source_id])
    rng = np.random.default_rng([seed, star.source_id, list(MISSIONS).index(mission)])
    if setup.cadence:
        cadences = setup.observed(rng)
        time = setup.start + cadences * setup.cadence
        stochastic = _granulation(star, setup, rng)[cadences]
    else:
        time = gaia_transits(setup, rng)
        stochastic = _granulation_by_visit(star, time, rng)
    if star.rotation_period > 0 and star.spot_amplitude > 0:
        amplitude = setup.band_factor * star.spot_amplitude
        stochastic = stochastic + spot_modulation(
            time, star.rotation_period, amplitude, rng, star.inclination
        )
    flux = _flux_of_both(star, setup, time, 1 + stochastic, physics) * (
        1 + setup.systematics(time, rng)
    )
    error = setup.noise(star.g_mag, star.rp_mag) * np.exp(
        setup.noise_scatter * rng.standard_normal(len(time))
    )
    flux = flux + error * rng.standard_normal(len(time))
    middle = np.median(flux)
    return LightCurve(time, flux / middle, error / middle, mission)


def _granulation(star: StarParameters, setup: Mission, rng: np.random.Generator) -> np.ndarray:
    """Granulation and oscillations on the mission's regular grid (n_cadences,) [relative flux]."""
    if star.variability_class:
        return np.zeros(setup.n_cadences)
    grid = _frequencies(setup.n_cadences, setup.cadence)
    power = power_spectrum(
        grid, star.mass, star.radius, star.teff, setup.exposure, star.helium_burning
    )
    return 1e-6 * setup.band_factor * synthesise(power, setup.n_cadences, rng)


def _granulation_by_visit(
    star: StarParameters, time: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Granulation (n,) [relative flux] at times that come in visits of hours, weeks apart: one value for each visit.

    Where granulation is strong enough for Gaia to see it (log g < 1.5) it takes days to change, but no weeks.
    """
    if star.variability_class:
        return np.zeros(len(time))
    visit = np.cumsum(np.diff(time, prepend=time[0]) > 1)
    rms = 1e-6 * np.sqrt(granulation_variance(star.mass, star.radius, star.teff))
    return rms * rng.standard_normal(len(time))[visit]


@lru_cache(maxsize=8)
def _frequencies(n: int, cadence: float) -> np.ndarray:
    """Frequencies [muHz] of a period 1.3 times as long as the data, so that their ends do not meet."""
    length = 2 * next_fast_len(int(0.65 * n) + 1)  # type: ignore[operator]
    return np.fft.rfftfreq(length, 0.0864 * cadence)


def _flux_of_both(
    star: StarParameters, setup: Mission, time, primary, physics: np.random.Generator
) -> np.ndarray:
    """Relative flux (n,) of the pair, where `primary` is that of the spotted, granulated first star alone."""
    absolute = time[:, None] + (setup.epoch - TIME_ZERO) + setup.exposure * SUB_EXPOSURES
    seen_1, seen_2, close = 1.0, 1.0, 0.0
    if star.orbital_period > 0:
        orbit = star.orbital_period, star.orbital_period * physics.random(), star.inclination
        radii = 1 / star.scaled_axis, star.radius_ratio / star.scaled_axis
        seen_1, seen_2 = visible_fractions(absolute, *orbit, *radii, LIMB_DARKENING)
        close = proximity_curve(
            absolute[:, 1], *orbit, *radii, star.mass_ratio, star.flux_ratio, LIMB_DARKENING
        )
    if star.variability_class:
        amplitude = setup.pulsation_factor * star.pulsation_amplitude
        change = pulsation(
            absolute, star.variability_class, star.pulsation_period, amplitude, physics
        )
        seen_1 = seen_1 * 10 ** (-0.4 * change)
    one, two = (np.mean(seen, axis=1) if np.ndim(seen) else seen for seen in (seen_1, seen_2))
    return (one * primary + star.flux_ratio * two) / (1 + star.flux_ratio) * (1 + close)
