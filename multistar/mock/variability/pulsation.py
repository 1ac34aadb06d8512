"""Light curves of pulsating stars: Fourier series with the shapes of each class at each period.

A series is mag(t) = sum over k of A_k cos(k theta + phi_k); its shape is given by R_k1 = A_k / A_1
and phi_k1 = phi_k - k phi_1 (cosines of magnitudes, as of Simon & Lee 1981).
"""

import numpy as np

BL_HERCULIS = 4.0  # d, the longest period of these type II Cepheids
PHASES = np.linspace(0, 2 * np.pi, 200, endpoint=False)

# Period [d], R21, R31, phi21, phi31 of fundamental-mode Cepheids: the Hertzsprung progression. Up
# to 9 d measured on Gaia DR3 epoch photometry; beyond from memory, phi31 unwrapped through the
# resonance at 10 d.
CEPHEIDS = np.array(
    [
        (2.0, 0.42, 0.25, 4.20, 2.45),
        (3.0, 0.42, 0.22, 4.33, 2.47),
        (4.2, 0.39, 0.17, 4.45, 2.68),
        (5.7, 0.39, 0.14, 4.67, 2.88),
        (7.2, 0.36, 0.16, 5.04, 3.08),
        (8.7, 0.20, 0.14, 5.15, 4.20),
        (10.0, 0.11, 0.10, 5.20, 5.50),
        (12.0, 0.15, 0.10, 4.60, 7.90),
        (16.0, 0.25, 0.15, 4.60, 8.00),
        (25.0, 0.38, 0.22, 4.75, 8.30),
        (50.0, 0.42, 0.25, 4.90, 8.60),
    ]
)


def _rrab_shape(period: float, amplitude: float) -> tuple[list, list]:
    x = period - 0.55
    phases = [0, 3.97 + 0.8 * x, 2.00 + 1.3 * x, 0.06 + 2 * x, 4.45 + 2.5 * x]
    return [1, 0.48, 0.34, 0.22, 0.14], phases


def _rrc_shape(period: float, amplitude: float) -> tuple[list, list]:
    r21 = 0.14 - 0.8 * (period - 0.32)
    r21 = np.clip(r21, 0.03, 0.2)
    return [1, r21, 0.06], [0, 4.7, 3.0]


def _cepheid_shape(period: float, amplitude: float) -> tuple[list, list]:
    periods, *columns = CEPHEIDS.T
    log_periods = np.log(periods)
    log_period = np.log(period)
    r21, r31, phi21, phi31 = (np.interp(log_period, log_periods, x) for x in columns)
    return [1, r21, r31], [0, phi21, phi31]


def _delta_scuti_shape(period: float, amplitude: float) -> tuple[list, list]:
    r21 = np.minimum(1.1 * amplitude, 0.35)  # harmonics need amplitude
    return [1, r21], [0, 3.74]


def _overtone_cepheid_shape(period: float, amplitude: float) -> tuple[list, list]:
    return [1, np.clip(0.25 - 0.05 * period, 0.04, 0.2), 0.04], [0, 4.5, 2.9]


def _old_cepheid_shape(period: float, amplitude: float) -> tuple[list, list]:
    return ([1, 0.3, 0.12], [0, 4.6, 2.4]) if period < BL_HERCULIS else ([1, 0.15], [0, 4.9])


def _lpv_shape(period: float, amplitude: float) -> tuple[list, list]:
    return [1, 0.12], [0, 4.5]


def _mira_shape(period: float, amplitude: float) -> tuple[list, list]:
    return [1, 0.16, 0.05], [0, 4.7, 2.5]  # rises are steeper than declines


def _sine_shape(period: float, amplitude: float) -> tuple[list, list]:
    return [1], [0]


SHAPES = {
    "rrab": _rrab_shape,
    "rrc": _rrc_shape,
    "cepheid": _cepheid_shape,
    "delta_scuti": _delta_scuti_shape,
    "lpv": _lpv_shape,
    "rrd": _rrc_shape,
    "cepheid_1o": _overtone_cepheid_shape,
    "cepheid_ii": _old_cepheid_shape,
    "sx_phe": _delta_scuti_shape,
    "hads": _delta_scuti_shape,
    "gamma_dor": _sine_shape,
    "spb": _sine_shape,
    "beta_cep": _sine_shape,
    "osarg": _sine_shape,
    "mira": _mira_shape,
    "alpha2_cvn": _sine_shape,
    "flare_star": _sine_shape,
    "be": _sine_shape,
}
VARIABILITY_CLASSES = tuple(SHAPES)


def fourier_shape(
    variability_class: str, period: float, amplitude: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shape of the light curves of a class.

    Parameters
    ----------
    variability_class : str
        A name in VARIABILITY_CLASSES.
    period, amplitude : float
        Period [d] and amplitude [mag].

    Returns
    -------
    ratios, phases : (n_harmonic,) array
        Amplitude ratios (1, R_21, ...) and phases (0, phi_21, ...).

    Raises
    ------
    ValueError
        For an unknown class.

    Notes
    -----
    The shapes of RRab stars and the second harmonic of delta Scuti stars are medians over Gaia DR3
    epoch photometry, from which single stars differ by 0.04 in R21 and 0.1 in phi21; all others are
    from memory.
    """
    if variability_class not in SHAPES:
        raise ValueError(
            f"unknown variability class {variability_class!r}; known are {VARIABILITY_CLASSES}"
        )
    ratios, phases = SHAPES[variability_class](period, amplitude)
    return np.array(ratios), np.array(phases)


def _sum_series(angle: np.ndarray, ratios: np.ndarray, phases: np.ndarray) -> np.ndarray:
    total = np.zeros(np.shape(angle))
    for k, (ratio, phase) in enumerate(zip(ratios, phases, strict=True), start=1):
        harmonic = k * angle + phase
        total = total + ratio * np.cos(harmonic)
    return total


def template(
    angle: np.ndarray, variability_class: str, period: float, amplitude: float
) -> np.ndarray:
    """Magnitudes of one strictly periodic mode.

    Parameters
    ----------
    angle : array
        Phase, rad.
    variability_class : str
        A name in VARIABILITY_CLASSES.
    period, amplitude : float
        Period [d] and peak-to-peak amplitude [mag].

    Returns
    -------
    array
        Magnitudes with mean 0, with the shape of `angle`.
    """
    ratios, phases = fourier_shape(variability_class, period, amplitude)
    one_cycle = _sum_series(PHASES, ratios, phases)
    curve = _sum_series(angle, ratios, phases)
    return curve * amplitude / np.ptp(one_cycle)
