"""When each mission looks at a star and how well: sampling, gaps, noise and slow trends."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LOST = 0.01  # fraction of cadences lost at random: cosmic rays, momentum dumps, failed reductions
OUTLIER_SCALE = 8.0
TREND_SCATTER = 0.5  # in ln, of the size of trends and of K2's sawtooth from star to star
LONG_CADENCE = 29.4244 / 1440  # d
TEN_MINUTES = 10 / 1440  # d
ROLL_PERIOD = 5.88 / 24  # d, between K2's thruster firings

# Gaia: cumulative probability of the gap between visits [d].
GAIA_VISIT_GAP = (
    [0, 0.05, 0.16, 0.30, 0.50, 0.70, 0.84, 0.95, 1],
    [5, 11.3, 18.5, 25.6, 33.4, 41.2, 55.3, 115, 200],
)
# Probability of 1, 2, ... transits in a visit.
GAIA_VISIT_TRANSITS = [0.33, 0.49, 0.065, 0.055, 0.015, 0.015, 0.01, 0.02]
GAIA_LATE_START = 0.35  # fraction of visits that begin with the following field of view
# d: to the following field of view, and to the preceding one again.
GAIA_FIELD_SEPARATION = (106.5 / 1440, 253.5 / 1440)
# G and the median error quoted in DR3 epoch photometry [mmag].
GAIA_QUOTED_ERROR = (
    [8.5, 9.5, 10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.5, 17.5, 18.5, 20.5],
    [2.3, 2.3, 1.7, 1.4, 1.0, 1.2, 1.5, 2.2, 3.5, 5.6, 9.0, 35.0],
)
# Relative flux, that quoted errors leave out: transits of slow variables 106.5 min apart differ by
# more than their errors say (6-8 mmag rms in crowded red giants, which is an upper limit).
GAIA_UNQUOTED = 3.0e-3 / 1.086

SIDEREAL_DAY, YEAR = 0.99727, 365.25  # d
SEASON = (180, 290)  # d of a year in which a star is up at night, by its place on the sky
NIGHT = 0.12  # d, scatter of the time of night at which a star is observed
# Magnitude and the typical error of a point [mag]: V of ASAS-3, whose quoted errors of 900 variables
# are 0.033, and r of ZTF; faint ends from memory of Pojmanski (2002) and Masci et al. (2019).
ASAS_ERROR = ([7, 8, 11, 12, 13, 14, 16], [0.05, 0.034, 0.033, 0.036, 0.05, 0.12, 0.5])
ZTF_ERROR = ([11, 13, 15, 17, 18, 19, 20, 21], [0.03, 0.012, 0.011, 0.015, 0.022, 0.04, 0.08, 0.2])


def kepler_noise(g_mag: np.ndarray, rp_mag: np.ndarray) -> np.ndarray:
    """White noise of a 29.4-min cadence [relative flux]; G stands for Kp.

    References
    ----------
    30 of the 1-min cadences of Jenkins et al. (2010).
    """
    g_mag = np.asarray(g_mag, float)
    brighter = 0.4 * (12 - g_mag)
    electrons = 1.28e7 * 10**brighter
    background = 9.5e5 * (14 / g_mag) ** 5
    one_minute = np.sqrt(electrons + background) / electrons
    return one_minute / np.sqrt(30)


def tess_noise(g_mag: np.ndarray, rp_mag: np.ndarray) -> np.ndarray:
    """White noise of a 10-min cadence [relative flux].

    RP stands for the TESS magnitude (they differ by 0.05 mag). A fifth of the exposure goes to the
    mitigation of cosmic rays.

    References
    ----------
    The model of Sullivan et al. (2015): photons, zodiacal light and read-out over the pixels of the
    aperture, and 60 ppm per root hour that photon noise cannot explain.
    """
    mag = np.asarray(rp_mag, float)
    exposures = 0.8 * 600 / 2  # of 2 s
    electrons = 2 * exposures * 10 ** (-0.4 * (mag - 20.54))
    pixels = np.clip(30 - 27 / 7 * (mag - 7), 3, 200)
    # Read-out and zodiacal light at middle latitudes, e- rms per pixel and exposure.
    background = pixels * exposures * (10.0**2 + 13.0**2)
    photon_noise = np.sqrt(electrons + background) / electrons
    return np.hypot(photon_noise, 60e-6 * np.sqrt(6))


def gaia_noise(g_mag: np.ndarray, rp_mag: np.ndarray) -> np.ndarray:
    """Typical quoted error of a G transit [relative flux]: medians of DR3 epoch photometry."""
    magnitudes, errors = GAIA_QUOTED_ERROR
    quoted = np.exp(np.interp(g_mag, magnitudes, np.log(errors)))
    return 1e-3 * quoted / 1.086


def asas_noise(g_mag: np.ndarray, rp_mag: np.ndarray) -> np.ndarray:
    """Typical error of a point of ASAS [relative flux]; G stands for V."""
    magnitudes, errors = ASAS_ERROR
    return np.interp(g_mag, magnitudes, errors) / 1.086


def ztf_noise(g_mag: np.ndarray, rp_mag: np.ndarray) -> np.ndarray:
    """Typical error of a point of ZTF [relative flux]; G stands for r."""
    magnitudes, errors = ZTF_ERROR
    return np.interp(g_mag, magnitudes, errors) / 1.086


@dataclass(frozen=True)
class Mission:
    """How a mission samples; times and lengths in days, noise and trends in relative flux."""

    telescope: str
    epoch: float  # BJD of time 0: BKJD, BTJD, Gaia's TCB since 2010
    time_format: str  # of astropy.time, as lightkurve registers them; "jd" for Gaia
    start: float  # since the epoch
    span: float
    cadence: float  # 0: irregular, and `visits` draws the times
    exposure: float
    noise: Callable[..., np.ndarray]  # (G, RP) -> white noise per cadence
    noise_scatter: float = 0.0  # natural log, from cadence to cadence
    gap_every: float = np.inf
    gap_length: float = 0.0
    trend: float = 0.0  # typical size of slow trends
    trend_length: float = np.inf  # a trend starts afresh after this time
    roll: float = 0.0  # typical size of the sawtooth by K2's thruster firings
    # Amplitudes of granulation, oscillations and spots relative to Kepler's band.
    band_factor: float = 1.0
    pulsation_factor: float = 1.0  # amplitudes of classical pulsation relative to G
    visits: Callable[["Mission", np.random.Generator], np.ndarray] | None = None
    between_visits: float = 0.0  # d, of observations from the ground
    unquoted: float = 0.0  # noise that quoted errors leave out, relative flux
    outliers: float = 0.0  # share of points whose errors are OUTLIER_SCALE times what is quoted

    @property
    def n_cadences(self) -> int:
        """Number of cadences of the regular grid, observed or not."""
        return round(self.span / self.cadence)

    def observed(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the cadences that reach the ground: sorted indices into the regular grid."""
        cadences = np.arange(self.n_cadences)
        since_start = cadences * self.cadence
        since_gap = since_start % self.gap_every
        in_gap = since_gap < self.gap_length
        in_gap &= since_start >= self.gap_every
        lost = rng.random(len(since_start)) < LOST
        return np.flatnonzero(~in_gap & ~lost)

    def systematics(self, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw slow trends and K2's six-hour sawtooth.

        Parameters
        ----------
        time : (n,) array
            Sorted times since the epoch, d.
        rng : numpy.random.Generator
            Source of all random numbers.

        Returns
        -------
        (n,) array
            Relative flux, mean about 0.
        """
        since_start = time - self.start
        piece = since_start / min(self.trend_length, self.span)
        number = piece.astype(int)
        x = 2 * (piece - number) - 1
        size = self.trend * rng.lognormal(0, TREND_SCATTER)
        n_pieces = number[-1] + 1
        coefficients = size * rng.standard_normal((3, n_pieces))
        slope, bend, twist = coefficients[:, number]
        flux = x * (slope + x * (bend + x * twist)) - bend / 3
        if self.roll:
            drift = (since_start / ROLL_PERIOD + rng.random()) % 1 - 0.5
            roll = self.roll * rng.lognormal(0, TREND_SCATTER)
            change = 1 + 0.5 * x * rng.standard_normal()
            flux += roll * change * drift
        return flux


_KEPLER = {
    "telescope": "Kepler",
    "epoch": 2454833.0,
    "time_format": "bkjd",
    "cadence": LONG_CADENCE,
    "exposure": LONG_CADENCE,
    "noise": kepler_noise,
}


def gaia_transits(mission: Mission, rng: np.random.Generator) -> np.ndarray:
    """Draw the times of a star's transits: visits some weeks apart, each of one to a few transits.

    Gaps and visits are drawn as they are distributed in the epoch photometry of 2,011 DR3 variables
    (25 visits, 52 transits), no matter where on the sky a star is.

    Parameters
    ----------
    mission : Mission
        Gaia, of which start and span count.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    (n,) array
        Sorted times since the epoch, d.
    """
    n_visits = int(mission.span / 15)
    gaps = np.interp(rng.random(n_visits), *GAIA_VISIT_GAP)
    visits = mission.start + np.cumsum(gaps) - 30 * rng.random()

    most = len(GAIA_VISIT_TRANSITS)
    n_transits = rng.choice(most, n_visits, p=GAIA_VISIT_TRANSITS) + 1
    late = rng.random(n_visits) < GAIA_LATE_START
    separations = np.resize(GAIA_FIELD_SEPARATION, most)
    passes = np.cumsum(np.r_[0, separations])  # of both fields of view over the star
    number = np.arange(most) + late[:, None]
    times = visits[:, None] + passes[number] - passes[number[:, :1]]
    happens = np.arange(most) < n_transits[:, None]
    time = times[happens]
    end = mission.start + mission.span
    return time[(time >= mission.start) & (time <= end)]


def nights_on_the_ground(mission: Mission, rng: np.random.Generator) -> np.ndarray:
    """Draw the times at which a telescope on the ground sees a star.

    One or two points every few nights in the season of the year in which the star is up, at about
    the same time of night: periods near a day have aliases, as they do in the sky.

    Parameters
    ----------
    mission : Mission
        With `between_visits`.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    (n,) array
        Sorted times since the epoch, d.
    """
    n_nights = int(mission.span / SIDEREAL_DAY)
    night = np.arange(n_nights) * SIDEREAL_DAY
    season, opposition = rng.uniform(*SEASON), YEAR * rng.random()
    from_opposition = (night - opposition + YEAR / 2) % YEAR - YEAR / 2
    up = np.abs(from_opposition) < season / 2
    rate = 1 / (mission.between_visits * rng.lognormal(0, 0.3))
    # the star culminates four minutes earlier every night
    of_night = -from_opposition / YEAR * 0.5
    number = rng.poisson(np.where(up, rate, 0))
    time = np.repeat(night + of_night, number)
    time = time + NIGHT * rng.standard_normal(len(time))
    return mission.start + np.sort(np.clip(time, 0, mission.span))


_ON_THE_GROUND = {
    "epoch": 2450000.0,
    "time_format": "jd",
    "cadence": 0.0,
    "visits": nights_on_the_ground,
}

# Trends are what the pipelines' corrections leave, sizes from memory. Starts: Kepler Q2 and Q1, K2
# C5, TESS sector 27.
MISSIONS: dict[str, Mission] = {
    "kepler": Mission(
        **_KEPLER, start=169.5, span=90.0, gap_every=30.0, gap_length=0.9, trend=1e-4
    ),
    "kepler-long": Mission(
        **_KEPLER,
        start=131.5,
        span=1460.0,
        gap_every=30.0,
        gap_length=0.9,
        trend=1e-4,
        trend_length=90.0,
    ),
    "k2": Mission(**_KEPLER, start=2306.6, span=80.0, trend=5e-4, roll=2e-4),
    "tess": Mission(
        telescope="TESS",
        epoch=2457000.0,
        time_format="btjd",
        start=2036.3,
        span=27.4,
        cadence=TEN_MINUTES,
        exposure=TEN_MINUTES,
        noise=tess_noise,
        gap_every=13.7,
        gap_length=1.2,
        trend=2e-4,
        trend_length=13.7,
        band_factor=0.85,
        pulsation_factor=0.70,
    ),
    "gaia": Mission(
        telescope="Gaia",
        epoch=2455197.5,
        time_format="jd",
        start=1666.5,
        span=1037.0,
        cadence=0.0,
        exposure=40 / 86400,
        noise=gaia_noise,
        noise_scatter=0.35,
        unquoted=GAIA_UNQUOTED,
        visits=gaia_transits,
    ),
    "asas": Mission(
        **_ON_THE_GROUND,
        telescope="ASAS",
        start=1870.0,
        span=2720.0,
        exposure=180 / 86400,
        noise=asas_noise,
        noise_scatter=0.25,
        trend=0.008,
        band_factor=1.15,
        pulsation_factor=1.15,
        between_visits=4.5,
        outliers=0.01,
    ),
    "ztf": Mission(
        **_ON_THE_GROUND,
        telescope="ZTF",
        start=8194.0,
        span=2000.0,
        exposure=30 / 86400,
        noise=ztf_noise,
        noise_scatter=0.2,
        trend=0.003,
        between_visits=2.5,
        outliers=0.005,
    ),
}
