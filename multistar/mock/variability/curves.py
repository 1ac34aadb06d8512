"""Magnitudes of variable stars in time: one mode, many modes, spots, flares and outbursts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from multistar.mock.variability.drawn import log_uniform
from multistar.mock.variability.pulsation import template

RRD_RATIO = 0.745  # period of the first overtone over that of the fundamental mode
HADS_RATIO = 0.772  # the same of delta Scuti stars
RV_TAURI = 20.0  # d, beyond which minima of type II Cepheids alternate
# Frequencies of other modes of semiregular variables over that of the main one: overtones, beats,
# long secondary periods.
OTHER_MODES = (0.12, 0.3, 0.55, 0.8, 1.25, 1.9, 2.3)
FLARES_PER_DAY = (0.1, 2.0)
FLARE_MINUTES = (5.0, 40.0)  # of decay
TYPICAL_FLARE, FLARE_SCATTER = 0.03, 1.0  # mag; in ln


def variable_curve(
    time: np.ndarray,
    variability_class: str,
    period: float,
    amplitude: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Change of magnitude of a variable star.

    Blazhko modulation is left out.

    Parameters
    ----------
    time : array of any shape
        Time, d.
    variability_class : str
        A name in `pulsation.VARIABILITY_CLASSES`.
    period, amplitude : float
        Period [d] and peak-to-peak amplitude [mag].
    rng : numpy.random.Generator
        The phase is random, and a function of absolute time for a given state of `rng`; flares and
        outbursts are drawn for the times asked.

    Returns
    -------
    array
        Magnitudes, with the shape of `time`.
    """
    time = np.asarray(time, float)
    start = rng.uniform(0, 2 * np.pi)
    angle = 2 * np.pi * time / period + start
    draw = CURVES.get(variability_class)
    if draw is None:
        return template(angle, variability_class, period, amplitude)
    return draw(Cycle(time, angle, period, amplitude), rng)


@dataclass(frozen=True)
class Cycle:
    """What a curve is made of; time and angle (the phase in rad) have any shape."""

    time: np.ndarray
    angle: np.ndarray
    period: float
    amplitude: float

    def template(self, variability_class: str) -> np.ndarray:
        """Magnitudes of one strictly periodic mode of this period and amplitude."""
        return template(self.angle, variability_class, self.period, self.amplitude)


def _further_modes(
    cycle: Cycle,
    rng: np.random.Generator,
    number: tuple[int, int],
    frequency: tuple[float, float],
    share: tuple[float, float],
) -> np.ndarray:
    """Sinusoids whose frequencies and amplitudes are in units of the strongest mode's."""
    n_modes = rng.integers(number[0], number[1] + 1)
    ratios = rng.uniform(*frequency, n_modes)
    shares = rng.uniform(*share, n_modes)
    phases = rng.uniform(0, 6.3, n_modes)
    total = np.zeros(np.shape(cycle.angle))
    for ratio, size, phase in zip(ratios, shares, phases, strict=True):
        mode_angle = ratio * cycle.angle + phase
        total = total + size * np.cos(mode_angle)
    return cycle.amplitude / 2 * total


def _multi_mode(
    cycle: Cycle,
    rng: np.random.Generator,
    variability_class: str,
    number: tuple[int, int],
    frequency: tuple[float, float],
    share: tuple[float, float],
) -> np.ndarray:
    main = cycle.template(variability_class)
    return main + _further_modes(cycle, rng, number, frequency, share)


def _double_mode(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """The first overtone, a weaker fundamental mode, and the sum of their frequencies."""
    share = rng.uniform(0.25, 0.9)
    phases = rng.uniform(0, 2 * np.pi, 2)
    fundamental = RRD_RATIO * cycle.angle + phases[0]
    mix = cycle.angle + fundamental + phases[1]
    other = share * np.cos(fundamental) + 0.2 * share * np.cos(mix)
    return cycle.template("rrd") + cycle.amplitude / 2 * other


def _radial_modes(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """The fundamental mode, and in a third of the stars a weaker first overtone."""
    main = cycle.template("hads")
    if rng.random() > 1 / 3:
        return main
    overtone = cycle.angle / HADS_RATIO + rng.uniform(0, 2 * np.pi)
    return main + rng.uniform(0.05, 0.5) * cycle.amplitude / 2 * np.cos(overtone)


def _old_cepheid(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """Beyond 20 d minima alternate and cycles wander."""
    if cycle.period < RV_TAURI:
        return cycle.template("cepheid_ii")
    wandering = _wander(cycle, rng, 0.3)
    alternating = rng.uniform(0.15, 0.45) * np.cos(wandering.angle / 2)
    return wandering.template("cepheid_ii") + cycle.amplitude / 2 * alternating


def _wander(cycle: Cycle, rng: np.random.Generator, size: float) -> Cycle:
    """Let the phase run early and late by up to `size` rad, over 5 to 12 periods."""
    slow = rng.uniform(5, 12) * cycle.period
    start = rng.uniform(0, 2 * np.pi)
    angle = cycle.angle + size * np.sin(2 * np.pi * cycle.time / slow + start)
    return Cycle(cycle.time, angle, cycle.period, cycle.amplitude)


def _semiregular(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """Long-period variables wander in phase, and other modes come and go beside the main one.

    How much beside the main mode is drawn from none to as much again, as Gaia's long-period
    variables have it: a sinusoid explains a half to two thirds of their variance in the median.
    """
    wandering = _wander(cycle, rng, 0.5)
    main = wandering.template("lpv")
    irregularity = rng.uniform(0, 1)
    others = np.zeros(np.shape(cycle.angle))
    for ratio in rng.choice(OTHER_MODES, 3, replace=False):
        slow = rng.uniform(2, 6) * cycle.period
        start, phase = rng.uniform(0, 2 * np.pi, 2)
        strength = 0.5 + 0.5 * np.cos(2 * np.pi * cycle.time / slow + start)
        others = others + strength * np.cos(ratio * wandering.angle + phase)
    return main + irregularity * cycle.amplitude / 2 * others


def _mira(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """Maxima differ by a fifth of the amplitude from cycle to cycle."""
    wandering = _wander(cycle, rng, 0.25)
    slow = rng.uniform(2, 6) * cycle.period
    start = rng.uniform(0, 2 * np.pi)
    strength = 1 + 0.15 * np.sin(2 * np.pi * cycle.time / slow + start)
    return strength * wandering.template("mira")


def _small_red_giant(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """Neighbouring overtones, and in a third of the stars a long secondary period."""
    curve = _multi_mode(cycle, rng, "osarg", (2, 3), (0.55, 1.6), (0.4, 1.0))
    if rng.random() > 1 / 3:
        return curve
    long_angle = cycle.angle / rng.uniform(8, 13) + rng.uniform(0, 2 * np.pi)
    return curve + rng.uniform(0.5, 2) * cycle.amplitude / 2 * np.cos(long_angle)


def _spotted_surface(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """Stable spots: the rotation and its first harmonic."""
    share = rng.uniform(0.05, 1.0)
    phase = rng.uniform(0, 2 * np.pi)
    return cycle.amplitude / 2 * (np.cos(cycle.angle) + share * np.cos(2 * cycle.angle + phase))


def _flaring(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """Spots, and flares that rise at once and decay exponentially."""
    first, last = cycle.time.min(), cycle.time.max()
    rate = log_uniform(FLARES_PER_DAY, 1, rng)[0]
    number = rng.poisson(rate * (last - first))
    begun = np.sort(rng.uniform(first, last, number))
    size = rng.lognormal(np.log(TYPICAL_FLARE), FLARE_SCATTER, number)
    decay = rng.uniform(*FLARE_MINUTES, number) / 1440
    flares = np.zeros(cycle.time.shape)
    if number:
        latest = np.searchsorted(begun, cycle.time, side="right") - 1
        since = np.maximum(cycle.time - begun[latest], 0)
        lit = latest >= 0
        flares[lit] = (size[latest] * np.exp(-since / decay[latest]))[lit]
    return _spotted_surface(cycle, rng) - flares


def _outbursts(cycle: Cycle, rng: np.random.Generator) -> np.ndarray:
    """Be stars: discs that brighten them within weeks and fade slowly, and g modes of hours."""
    first = cycle.time.min() - 3 * cycle.period
    number = 1 + rng.poisson((cycle.time.max() - first) / cycle.period)
    begun = rng.uniform(first, cycle.time.max(), number)
    size = cycle.amplitude * rng.lognormal(-0.3, 0.4, number)
    rise = rng.uniform(3, 20, number)
    fall = rng.uniform(0.15, 0.7, number) * cycle.period
    curve = np.zeros(cycle.time.shape)
    for start, height, up, down in zip(begun, size, rise, fall, strict=True):
        since = np.maximum(cycle.time - start, 0)
        curve -= height * (1 - np.exp(-since / up)) * np.exp(-since / down)
    fast = 2 * np.pi * cycle.time / rng.uniform(0.3, 1.2) + rng.uniform(0, 2 * np.pi)
    return curve + 0.05 * cycle.amplitude * np.cos(fast)


# Of classes that are more than one strictly periodic mode.
CURVES: dict[str, Callable[[Cycle, np.random.Generator], np.ndarray]] = {
    "delta_scuti": partial(
        _multi_mode,
        variability_class="delta_scuti",
        number=(2, 5),
        frequency=(0.85, 2.2),
        share=(0.1, 0.6),
    ),
    "gamma_dor": partial(
        _multi_mode,
        variability_class="gamma_dor",
        number=(3, 7),
        frequency=(0.6, 1.5),
        share=(0.2, 0.9),
    ),
    "spb": partial(
        _multi_mode, variability_class="spb", number=(2, 6), frequency=(0.6, 1.5), share=(0.2, 0.9)
    ),
    "beta_cep": partial(
        _multi_mode,
        variability_class="beta_cep",
        number=(0, 3),
        frequency=(0.9, 1.15),
        share=(0.1, 0.7),
    ),
    "hads": _radial_modes,
    "rrd": _double_mode,
    "cepheid_ii": _old_cepheid,
    "lpv": _semiregular,
    "osarg": _small_red_giant,
    "mira": _mira,
    "alpha2_cvn": _spotted_surface,
    "flare_star": _flaring,
    "be": _outbursts,
}
