"""The light curve that a mission records of a star, made on the fly from the star's state."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.fft import next_fast_len

from multistar.mock.variability.close_binaries import close_binary_curve, is_close
from multistar.mock.variability.curves import variable_curve
from multistar.mock.variability.eclipses import PairGeometry, proximity_curve, visible_fractions
from multistar.mock.variability.missions import MISSIONS, OUTLIER_SCALE, Mission
from multistar.mock.variability.oscillations import granulation_variance, power_spectrum, synthesise
from multistar.mock.variability.pulsation import VARIABILITY_CLASSES
from multistar.mock.variability.rotation import spot_modulation

LIMB_DARKENING = 0.6
# Of an exposure; eclipses and pulsation are averaged over them.
SUB_EXPOSURES = np.array([-1 / 3, 0, 1 / 3])
TIME_ZERO = 2455197.5  # BJD at which the phases of orbits and pulsation are counted from
PPM = 1e-6
MICROHERTZ_DAYS = 0.0864  # muHz times d


@dataclass(frozen=True)
class StarParameters:
    """Physical state of a star, or of a pair that no mission resolves.

    NaN says that there is no such thing. Raises ValueError for states that contradict themselves.
    """

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
    companion_teff: float = np.nan  # K
    fill_out: float = np.nan  # of a contact binary, 0 (inner lobe) to 1 (outer lobe)
    variability_class: str = ""  # or a name in VARIABILITY_CLASSES
    pulsation_period: float = np.nan  # d
    pulsation_amplitude: float = 0.0  # peak to peak in G, mag
    helium_burning: bool = False  # a red-clump star: its dipole modes differ

    def __post_init__(self):
        if self.source_id < 0:
            raise ValueError(
                f"source_id seeds the random numbers and must not be negative, got {self.source_id}"
            )
        self._check_pulsation()
        self._check_orbit()

    def _check_pulsation(self) -> None:
        name = self.variability_class
        if not name:
            return
        if name not in VARIABILITY_CLASSES:
            known = ", ".join(VARIABILITY_CLASSES)
            raise ValueError(f"variability_class must be empty or one of {known}; got {name!r}")
        if not self.pulsation_period > 0:
            period = self.pulsation_period
            raise ValueError(f"a pulsating star needs pulsation_period > 0, got {period}")

    def _check_orbit(self) -> None:
        if not self.orbital_period > 0:
            return
        needed = (self.radius_ratio, self.scaled_axis, self.mass_ratio)
        if not all(value > 0 for value in needed):
            got = ", ".join(str(value) for value in needed)
            raise ValueError(
                f"a binary needs radius_ratio, scaled_axis and mass_ratio > 0; got {got}"
            )


@dataclass(frozen=True)
class LightCurve:
    """What a pipeline delivers: missing cadences removed, sorted in time; arrays are (n,) float64.

    Attributes
    ----------
    time : (n,) array
        Days since the epoch of MISSIONS[mission]: BKJD, BTJD, or days since 2010.0 (TCB) for Gaia.
    flux, flux_error : (n,) array
        Relative flux with median 1, and its error.
    mission : str
        A name in MISSIONS.
    """

    time: np.ndarray
    flux: np.ndarray
    flux_error: np.ndarray
    mission: str

    def to_lightkurve(self):
        """Make the same a lightkurve.LightCurve, with TDB times (TCB for Gaia).

        Its `to_fits` writes files that `lightkurve.read` reads, but for Gaia, whose epoch it has
        no place for.

        Raises
        ------
        ImportError
            If lightkurve is not installed.
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
    """Make one observed light curve.

    The companion's light is constant but for eclipses, and dilutes the primary's variability.
    Classical pulsators have no granulation. Oscillations are left out for Gaia, whose noise hides
    them, and granulation is constant within a visit.

    Parameters
    ----------
    star : StarParameters
        Physical state of the star.
    mission : str
        A name in MISSIONS.
    seed : int
        The same (star, mission, seed) gives the same curve, alone or in any batch. Phases of orbit
        and pulsation belong to (star, seed) and are the same for all missions; noise, sampling,
        spots and granulation are drawn anew for each.

    Raises
    ------
    ValueError
        For an unknown mission.
    """
    if mission not in MISSIONS:
        raise ValueError(f"unknown mission {mission!r}; known are {list(MISSIONS)}")
    setup = MISSIONS[mission]
    phase_rng = np.random.default_rng([seed, star.source_id])
    rng = np.random.default_rng([seed, star.source_id, list(MISSIONS).index(mission)])

    time, change = _sample_surface(star, setup, rng)
    flux = _flux_of_both(star, setup, time, 1 + change, phase_rng)
    flux = flux * (1 + setup.systematics(time, rng))

    scatter = np.exp(setup.noise_scatter * rng.standard_normal(len(time)))
    error = setup.noise(star.g_mag, star.rp_mag) * scatter
    flux = flux + np.hypot(error, setup.unquoted) * _draw_noise(setup, len(time), rng)
    middle = np.median(flux)
    return LightCurve(time, flux / middle, error / middle, mission)


def _draw_noise(setup: Mission, n: int, rng: np.random.Generator) -> np.ndarray:
    """Noise (n,) in units of the errors, with outliers where a mission has them."""
    noise = rng.standard_normal(n)
    if setup.outliers:
        noise[rng.random(n) < setup.outliers] *= OUTLIER_SCALE
    return noise


def _sample_surface(
    star: StarParameters, setup: Mission, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Times of a mission [d], and the change of flux by granulation, oscillations and spots."""
    if setup.visits is None:
        cadences = setup.observed(rng)
        time = setup.start + cadences * setup.cadence
        change = _granulation(star, setup, rng)[cadences]
    else:
        time = setup.visits(setup, rng)
        change = _granulation_by_visit(star, time, rng)
    if star.rotation_period > 0 and star.spot_amplitude > 0:
        amplitude = setup.band_factor * star.spot_amplitude
        spots = spot_modulation(time, star.rotation_period, amplitude, rng, star.inclination)
        change = change + spots
    return time, change


def _granulation(star: StarParameters, setup: Mission, rng: np.random.Generator) -> np.ndarray:
    """Granulation and oscillations on the mission's regular grid (n_cadences,) [relative flux]."""
    if star.variability_class:
        return np.zeros(setup.n_cadences)
    frequency = _frequencies(setup.n_cadences, setup.cadence)
    power = power_spectrum(
        frequency, star.mass, star.radius, star.teff, setup.exposure, star.helium_burning
    )
    change = synthesise(power, setup.n_cadences, rng)
    return PPM * setup.band_factor * change


def _granulation_by_visit(
    star: StarParameters, time: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Granulation (n,) [relative flux], one value for each visit of hours, which are weeks apart.

    Where granulation is strong enough for Gaia to see it (log g < 1.5) it takes days to change, but
    no weeks.
    """
    if star.variability_class:
        return np.zeros(len(time))
    new_visit = np.diff(time, prepend=time[0]) > 1
    visit = np.cumsum(new_visit)
    variance = granulation_variance(star.mass, star.radius, star.teff)
    rms = PPM * np.sqrt(variance)
    by_visit = rng.standard_normal(len(time))
    return rms * by_visit[visit]


@lru_cache(maxsize=8)
def _frequencies(n: int, cadence: float) -> np.ndarray:
    """Frequencies [muHz] of a period 1.3 times as long as the data, so that ends do not meet."""
    enough = int(0.65 * n) + 1
    half: int = next_fast_len(enough)  # type: ignore[assignment]
    return np.fft.rfftfreq(2 * half, MICROHERTZ_DAYS * cadence)


def _flux_of_both(
    star: StarParameters,
    setup: Mission,
    time: np.ndarray,
    surface: np.ndarray,
    phase_rng: np.random.Generator,
) -> np.ndarray:
    """Relative flux (n,) of the pair; `surface` is that of the spotted, granulated primary."""
    to_zero = setup.epoch - TIME_ZERO
    moments = time[:, None] + to_zero + setup.exposure * SUB_EXPOSURES
    primary = np.ones(moments.shape)
    companion = np.ones(moments.shape)
    proximity = 0.0
    if star.orbital_period > 0:
        pair = _pair_geometry(star, phase_rng)
        if is_close(pair, star.mass_ratio):
            teff_ratio = star.companion_teff / star.teff
            change = close_binary_curve(moments, pair, star.mass_ratio, teff_ratio, star.fill_out)
            return np.mean(change, axis=1) * surface
        primary, companion = visible_fractions(moments, pair, LIMB_DARKENING)
        proximity = proximity_curve(
            moments[:, 1], pair, star.mass_ratio, star.flux_ratio, LIMB_DARKENING
        )
    if star.variability_class:
        amplitude = setup.pulsation_factor * star.pulsation_amplitude
        magnitude = variable_curve(
            moments, star.variability_class, star.pulsation_period, amplitude, phase_rng
        )
        primary = primary * 10 ** (-0.4 * magnitude)
    primary_light = np.mean(primary, axis=1) * surface
    companion_light = star.flux_ratio * np.mean(companion, axis=1)
    flux = (primary_light + companion_light) / (1 + star.flux_ratio)
    return flux * (1 + proximity)


def _pair_geometry(star: StarParameters, phase_rng: np.random.Generator) -> PairGeometry:
    return PairGeometry(
        period=star.orbital_period,
        t0=star.orbital_period * phase_rng.random(),
        inclination=star.inclination,
        radius_1=1 / star.scaled_axis,
        radius_2=star.radius_ratio / star.scaled_axis,
    )
