"""When each mission looks at a star and how well: sampling, gaps, noise and slow trends."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LOST = 0.01  # fraction of cadences lost at random: cosmic rays, momentum dumps, failed reductions
GAIA_VISIT_GAP = (
    [0, 0.05, 0.16, 0.30, 0.50, 0.70, 0.84, 0.95, 1],
    [5, 11.3, 18.5, 25.6, 33.4, 41.2, 55.3, 115, 200],
)
GAIA_VISIT_TRANSITS = [
    0.33,
    0.49,
    0.065,
    0.055,
    0.015,
    0.015,
    0.01,
    0.02,
]  # probability of 1, 2, ... transits
GAIA_LATE_START = 0.35  # fraction of visits that begin with the following field of view
GAIA_FIELD_SEPARATION = (
    106.5 / 1440,
    253.5 / 1440,
)  # d: to the following field of view, and to the preceding one again


def kepler_noise(g_mag, rp_mag) -> np.ndarray:
    """White noise of a 29.4-min cadence, 30 of Jenkins et al. (2010)'s 1-min ones [relative flux]; G stands for Kp."""
    electrons = 1.28e7 * 10 ** (0.4 * (12 - np.asarray(g_mag, float)))
    return np.sqrt(electrons + 9.5e5 * (14 / np.asarray(g_mag)) ** 5) / electrons / np.sqrt(30)


def tess_noise(g_mag, rp_mag) -> np.ndarray:
    """White noise of a 10-min cadence [relative flux], with RP for the TESS magnitude (they differ by 0.05 mag).

    Photons, zodiacal light and read-out over the pixels of the aperture, and 60 ppm per root hour that photon noise
    cannot explain: the model of Sullivan et al. (2015). A fifth of the exposure goes to the mitigation of cosmic rays.
    """
    mag = np.asarray(rp_mag, float)
    exposures = 0.8 * 600 / 2  # of 2 s
    electrons = 2 * exposures * 10 ** (-0.4 * (mag - 20.54))
    pixels = np.clip(30 - 27 / 7 * (mag - 7), 3, 200)
    background = (
        pixels * exposures * (10.0**2 + 13.0**2)
    )  # read-out and zodiacal light at middle latitudes, e- rms
    return np.hypot(np.sqrt(electrons + background) / electrons, 60e-6 * np.sqrt(6))


def gaia_noise(g_mag, rp_mag) -> np.ndarray:
    """Typical error of a G transit [relative flux].

    Medians of the errors quoted in DR3 epoch photometry, and 3 mmag that they leave out: transits of slow variables
    106.5 min apart differ by more than their errors say (6-8 mmag rms in crowded red giants, which is an upper limit).
    """
    g = [8.5, 9.5, 10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.5, 17.5, 18.5, 20.5]
    quoted = [2.3, 2.3, 1.7, 1.4, 1.0, 1.2, 1.5, 2.2, 3.5, 5.6, 9.0, 35.0]  # mmag
    mmag = np.hypot(np.exp(np.interp(g_mag, g, np.log(quoted))), 3.0)
    return 1e-3 * mmag / 1.086


@dataclass(frozen=True)
class Mission:
    """How a mission samples: times in days since its reference epoch, everything else in days and relative flux."""

    telescope: str
    epoch: float  # BJD of time 0: BKJD, BTJD, Gaia's TCB since 2010
    time_format: str  # of astropy.time, as lightkurve registers them; "jd" for Gaia
    start: float
    span: float
    cadence: float  # 0: irregular
    exposure: float
    noise: Callable[..., np.ndarray]  # (G, RP) -> white noise per cadence
    noise_scatter: float = 0.0  # natural log, from cadence to cadence
    gap_every: float = np.inf
    gap_length: float = 0.0
    trend: float = 0.0  # typical size of slow trends
    trend_length: float = np.inf  # a trend starts afresh after this time
    roll: float = 0.0  # typical size of the sawtooth by K2's thruster firings
    band_factor: float = (
        1.0  # amplitudes of granulation, oscillations, spots relative to Kepler's band
    )
    pulsation_factor: float = 1.0  # amplitudes of classical pulsation relative to G

    @property
    def n_cadences(self) -> int:
        return round(self.span / self.cadence)

    def observed(self, rng: np.random.Generator) -> np.ndarray:
        """Indices of the cadences of the regular grid that reach the ground, sorted."""
        since = np.arange(self.n_cadences) * self.cadence
        in_gap = (since % self.gap_every < self.gap_length) & (since >= self.gap_every)
        return np.flatnonzero(~in_gap & (rng.random(len(since)) >= LOST))

    def systematics(self, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Slow trends and K2's six-hour sawtooth at sorted times (n,) [relative flux], mean about 0."""
        length = min(self.trend_length, self.span)
        piece = (time - self.start) / length
        number = piece.astype(int)
        x = 2 * (piece - number) - 1
        strength = self.trend * rng.lognormal(0, 0.5)
        slope, bend, twist = strength * rng.standard_normal((3, number[-1] + 1))[:, number]
        flux = x * (slope + x * (bend + x * twist)) - bend / 3
        if self.roll:
            drift = ((time - self.start) / ROLL_PERIOD + rng.random()) % 1
            flux += (
                self.roll
                * rng.lognormal(0, 0.5)
                * (1 + 0.5 * x * rng.standard_normal())
                * (drift - 0.5)
            )
        return flux


LONG_CADENCE = 29.4244 / 1440
ROLL_PERIOD = 5.88 / 24
TEN_MINUTES = 10 / 1440
_KEPLER = {
    "telescope": "Kepler",
    "epoch": 2454833.0,
    "time_format": "bkjd",
    "cadence": LONG_CADENCE,
    "exposure": LONG_CADENCE,
    "noise": kepler_noise,
}

# Trends are what the pipelines' corrections leave, sizes from memory. Starts: Kepler Q2 and Q1, K2 C5, TESS sector 27.
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
        "TESS",
        2457000.0,
        "btjd",
        2036.3,
        27.4,
        TEN_MINUTES,
        TEN_MINUTES,
        tess_noise,
        gap_every=13.7,
        gap_length=1.2,
        trend=2e-4,
        trend_length=13.7,
        band_factor=0.85,
        pulsation_factor=0.70,
    ),
    "gaia": Mission(
        "Gaia", 2455197.5, "jd", 1666.5, 1037.0, 0.0, 40 / 86400, gaia_noise, noise_scatter=0.35
    ),
}


def gaia_transits(mission: Mission, rng: np.random.Generator) -> np.ndarray:
    """Times (n,) [d] of a star's transits: visits some weeks apart, each of one to a few transits.

    Gaps and visits are drawn as they are distributed in the epoch photometry of 2,011 DR3 variables (25 visits, 52
    transits), no matter where on the sky a star is.
    """
    count = int(mission.span / 15)
    visits = (
        mission.start + np.cumsum(np.interp(rng.random(count), *GAIA_VISIT_GAP)) - 30 * rng.random()
    )
    most = len(GAIA_VISIT_TRANSITS)
    transits = rng.choice(most, count, p=GAIA_VISIT_TRANSITS) + 1
    passes = np.cumsum(np.r_[0, np.resize(GAIA_FIELD_SEPARATION, most)])
    number = np.arange(most) + (rng.random(count) < GAIA_LATE_START)[:, None]
    time = (visits[:, None] + passes[number] - passes[number[:, :1]])[
        np.arange(most) < transits[:, None]
    ]
    return time[(time >= mission.start) & (time <= mission.start + mission.span)]
