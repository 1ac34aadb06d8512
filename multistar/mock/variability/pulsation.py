"""Light curves of pulsating stars: Fourier series with the shapes that each class has at each period.

A series is mag(t) = sum over k of A_k cos(k theta + phi_k); its shape is given by R_k1 = A_k / A_1 and
phi_k1 = phi_k - k phi_1 (cosines of magnitudes, as of Simon & Lee 1981).
"""

import numpy as np

VARIABILITY_CLASSES = ("rrab", "rrc", "cepheid", "delta_scuti", "lpv")
PHASES = np.linspace(0, 2 * np.pi, 200, endpoint=False)

# Period [d], R21, R31, phi21, phi31 of fundamental-mode Cepheids: the Hertzsprung progression. Up to 9 d measured on
# Gaia DR3 epoch photometry; beyond from memory, phi31 unwrapped through the resonance at 10 d.
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


def fourier_shape(
    variability_class: str, period: float, amplitude: float
) -> tuple[np.ndarray, np.ndarray]:
    """Amplitude ratios (1, R_21, ...) and phases (0, phi_21, ...) of a class at a period [d] and amplitude [mag].

    Those of RRab stars and the second harmonic of delta Scuti stars are medians over Gaia DR3 epoch photometry, from
    which single stars differ by 0.04 in R21 and 0.1 in phi21; those of RRc stars and LPVs are from memory.
    """
    if variability_class == "rrab":
        x = period - 0.55
        return np.array([1, 0.48, 0.34, 0.22, 0.14]), np.array(
            [0, 3.97 + 0.8 * x, 2.00 + 1.3 * x, 0.06 + 2 * x, 4.45 + 2.5 * x]
        )
    if variability_class == "rrc":
        return np.array([1, np.clip(0.14 - 0.8 * (period - 0.32), 0.03, 0.2), 0.06]), np.array(
            [0, 4.7, 3.0]
        )
    if variability_class == "cepheid":
        nodes = np.log(CEPHEIDS[:, 0])
        r21, r31, phi21, phi31 = (
            np.interp(np.log(period), nodes, column) for column in CEPHEIDS[:, 1:].T
        )
        return np.array([1, r21, r31]), np.array([0, phi21, phi31])
    if variability_class == "delta_scuti":
        return np.array([1, np.minimum(1.1 * amplitude, 0.35)]), np.array(
            [0, 3.74]
        )  # harmonics need amplitude
    if variability_class == "lpv":
        return np.array([1, 0.12]), np.array([0, 4.5])
    raise ValueError(
        f"unknown variability class {variability_class!r}; known are {VARIABILITY_CLASSES}"
    )


def _series(angle, ratios: np.ndarray, phases: np.ndarray) -> np.ndarray:
    terms = (ratio * np.cos((k + 1) * angle + phases[k]) for k, ratio in enumerate(ratios))
    return sum(terms, np.zeros(np.shape(angle)))


def template(angle, variability_class: str, period: float, amplitude: float) -> np.ndarray:
    """Magnitudes (mean 0, peak to peak `amplitude` [mag]) at phase `angle` [rad]: one strictly periodic mode."""
    ratios, phases = fourier_shape(variability_class, period, amplitude)
    return _series(angle, ratios, phases) * amplitude / np.ptp(_series(PHASES, ratios, phases))


def pulsation(
    time, variability_class: str, period: float, amplitude: float, rng: np.random.Generator
) -> np.ndarray:
    """Change of magnitude at `time` (any shape) [d] of a star of a class, a period [d] and an amplitude [mag].

    The phase is random, and a function of absolute time for a given state of `rng`. Delta Scuti stars have two to five
    further modes of at most 0.6 of the amplitude; LPVs wander in phase and amplitude and have a weaker first overtone.
    Blazhko modulation and double-mode stars are left out.
    """
    time = np.asarray(time, float)
    phase = rng.uniform(0, 2 * np.pi)
    angle = 2 * np.pi * time / period + phase
    if variability_class == "delta_scuti":
        extra = rng.integers(2, 6)
        ratio, share, start = (
            rng.uniform(0.85, 2.2, extra),
            rng.uniform(0.1, 0.6, extra),
            rng.uniform(0, 6.3, extra),
        )
        others = sum(share[i] * np.cos(ratio[i] * angle + start[i]) for i in range(extra))
        return template(angle, variability_class, period, amplitude) + amplitude / 2 * others
    if variability_class == "lpv":
        slow = rng.uniform(5, 12, 2) * period
        wander = rng.uniform(0, 2 * np.pi, 3)
        angle = angle + 0.4 * np.sin(2 * np.pi * time / slow[0] + wander[0])
        strength = 1 + 0.2 * np.sin(2 * np.pi * time / slow[1] + wander[1])
        overtone = rng.uniform(0.05, 0.3) * amplitude / 2 * np.cos(1.9 * angle + wander[2])
        return strength * template(angle, variability_class, period, amplitude) + overtone
    return template(angle, variability_class, period, amplitude)
