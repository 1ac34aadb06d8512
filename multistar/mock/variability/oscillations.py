"""Granulation and solar-like oscillations: scaling relations, power spectrum, and time series with that spectrum.

Frequencies are in microhertz, powers in ppm^2 (one-sided, so that their sum is the variance of the light curve).
"""

import numpy as np

NUMAX_SUN, DELTA_NU_SUN, TEFF_SUN = 3090.0, 135.1, 5777.0  # muHz, muHz, K: Huber et al. (2011)
VISIBILITY = (
    1.0,
    1.54,
    0.58,
)  # power of l = 0, 1, 2 relative to l = 0, Kepler's band: Mosser et al. (2012), from memory
HOT_LIMIT, HOT_WIDTH = 6700.0, 100.0  # K: where convection becomes too weak to be seen
MIXED_RANGE = (
    5.0,
    500.0,
)  # muHz: numax of stars with mixed dipole modes; above it dwarfs, below it too dense to matter


def numax(mass, radius, teff):
    """Frequency of maximum oscillation power [muHz]; mass and radius in solar units, Teff in K."""
    return NUMAX_SUN * mass * radius**-2.0 * (teff / TEFF_SUN) ** -0.5


def delta_nu(mass, radius):
    """Large frequency separation [muHz]: the square root of the mean density."""
    return DELTA_NU_SUN * np.sqrt(mass / radius**3.0)


def granulation_variance(mass, radius, teff):
    """Variance of granulation [ppm^2] over all frequencies, Kepler's band, half of it in each of two components.

    Kallinger et al. (2014, Table 2); the relation that has the mass in it is from memory.
    """
    return 2 * (3710 * numax(mass, radius, teff) ** -0.613 * mass**-0.26 * _convection(teff)) ** 2


def granulation_density(frequency, mass, radius, teff) -> np.ndarray:
    """Power density of granulation [ppm^2/muHz] at `frequency` [muHz], Kepler's band.

    Two super-Lorentzians, Kallinger et al. (2014, Table 2).
    """
    peak = numax(mass, radius, teff)
    variance = granulation_variance(mass, radius, teff) / 2
    density = np.zeros(np.shape(frequency))
    for width in (0.317 * peak**0.970, 0.948 * peak**0.992):
        density += 2 * np.sqrt(2) / np.pi * variance / width / (1 + (frequency / width) ** 4)
    return density


def _convection(teff: float) -> float:
    """Amplitude factor: 1 for cool stars, 0 for stars without a convective envelope (our own smooth step)."""
    return 1 / (1 + np.exp(np.clip((teff - HOT_LIMIT) / HOT_WIDTH, -50, 50)))


def oscillation_modes(mass: float, radius: float, teff: float, helium_burning: bool = False):
    """Frequency [muHz], power [ppm^2] and line width [muHz, FWHM] of every mode of l = 0, 1, 2 in Kepler's band.

    Frequencies: the pattern of Mosser et al. (2011), the offset epsilon of Corsaro et al. (2012) held at 1.45 for
    dwarfs. Power: Gaussian envelope of height 2.03e7 numax^-2.38 and width 0.66 numax^0.88 (Mosser et al. 2012), which
    is shared among the modes of each order by their visibility. Radial line widths: Corsaro et al. (2012), at
    most a tenth of the separation (hot supergiants lie outside their relation).
    Rotational splitting and depressed dipole modes are left out.
    """
    peak, spacing = numax(mass, radius, teff), delta_nu(mass, radius)
    envelope_width = 0.66 * peak**0.88
    offset = min(0.601 + 0.632 * np.log10(spacing), 1.45)
    order_of_peak = peak / spacing - offset
    reach = 1.3 * envelope_width / spacing
    orders = np.arange(max(np.floor(order_of_peak - reach), 1), np.ceil(order_of_peak + reach) + 1)
    curvature = 0.0075 * spacing**-0.32 * (orders - order_of_peak) ** 2
    radial = (orders + offset + curvature) * spacing
    quadrupole = radial - _small_separation(spacing) * spacing
    dipole = radial + 0.525 * spacing
    share = np.ones(len(dipole))
    if MIXED_RANGE[0] < peak < MIXED_RANGE[1]:
        dipole, share = _mixed_modes(
            dipole, spacing, *_gravity_modes(mass, spacing, helium_burning)
        )
    frequency = np.concatenate([radial, dipole, quadrupole])
    ones = np.ones(len(radial))
    share = np.concatenate([ones, share, ones])
    counts = [len(radial), len(dipole), len(quadrupole)]
    visibility = np.repeat(VISIBILITY, counts) / np.sum(VISIBILITY)
    height = 2.03e7 * peak**-2.38 * _convection(teff) ** 2
    envelope = height * np.exp(-4 * np.log(2) * ((frequency - peak) / envelope_width) ** 2)
    width = min(1.39 * np.exp((teff - TEFF_SUN) / 601), 0.1 * spacing)
    return frequency, envelope * spacing * visibility * share, width * share


def _small_separation(spacing: float) -> float:
    """delta_nu_02 / delta_nu: joins the giants (0.121, Huber et al. 2010) to the Sun (0.067)."""
    return 0.162 - 0.0445 * np.log10(spacing)


def _gravity_modes(mass: float, spacing: float, helium_burning: bool) -> tuple[float, float]:
    """Period spacing [Ms, so that its inverse is in muHz] and coupling of dipole gravity modes.

    After Mosser et al. (2014) and Vrard et al. (2016), whose sequences are drawn as lines from memory.
    """
    if helium_burning:
        return (300e-6 if mass < 1.9 else 220e-6), 0.30
    return (45 + 2.8 * spacing) * 1e-6, 0.15


def _mixed_modes(pressure: np.ndarray, spacing: float, period_spacing: float, coupling: float):
    """Frequencies of mixed dipole modes and the share (1 - zeta) of a pressure mode's power that each has.

    The condition tan(theta_p) = q tan(theta_g) (Mosser et al. 2015) says that a phase that grows steadily with
    frequency is a multiple of pi, so the modes are read off that phase. The shares of the modes of one order add
    up to about 1.
    """
    grid = np.linspace(
        max(pressure[0] - spacing / 2, spacing / 4), pressure[-1] + spacing / 2, 200 * len(pressure)
    )
    theta = np.pi * np.interp(grid, pressure, np.arange(len(pressure)))
    theta += (
        np.pi * (np.minimum(grid - pressure[0], 0) + np.maximum(grid - pressure[-1], 0)) / spacing
    )
    turns = np.round(theta / np.pi)
    inner = theta - np.pi * turns
    phase = (
        np.pi * turns
        + np.arctan2(np.sin(inner), coupling * np.cos(inner))
        - np.pi / (period_spacing * grid)
    )
    multiples = np.pi * np.arange(np.ceil(phase[0] / np.pi), np.floor(phase[-1] / np.pi) + 1)
    frequency = np.interp(multiples, phase, grid)
    theta = np.interp(frequency, grid, theta)
    slope = coupling / (
        coupling**2 * np.cos(theta) ** 2 + np.sin(theta) ** 2
    )  # d phase / d theta_p
    slope *= (
        period_spacing * frequency**2 / spacing
    )  # in units of the phase that gravity modes gain
    return frequency, slope / (1 + slope)


def power_spectrum(
    frequency: np.ndarray,
    mass: float,
    radius: float,
    teff: float,
    exposure: float = 0.0,
    helium_burning: bool = False,
) -> np.ndarray:
    """Variance [ppm^2] that granulation and oscillations have in each bin of a regular frequency grid.

    frequency: (n,) bin centres [muHz] that start at 0 (numpy.fft.rfftfreq); exposure: integration time [d], which
    damps fast variations. Modes are integrated over the bins, so narrow ones lose nothing; those beyond the last
    bin are left out (a real spectrum would show them mirrored, and strongly damped).
    """
    step = frequency[1]
    power = granulation_density(frequency, mass, radius, teff) * step
    if teff < HOT_LIMIT + 5 * HOT_WIDTH:
        power += _lorentzians(
            len(frequency), step, *oscillation_modes(mass, radius, teff, helium_burning)
        )
    power[0] = 0
    return power * np.sinc(frequency * 0.0864 * exposure) ** 2


def _lorentzians(n_bins: int, step: float, frequency, power, width) -> np.ndarray:
    """Lorentzians integrated over bins [k - 1/2, k + 1/2] * step and cut 10 line widths from their centres."""
    within = frequency - 10 * width < n_bins * step
    frequency, power, width = frequency[within], power[within], width[within]
    centre = np.round(frequency / step).astype(int)
    narrow = width < step / 3  # unresolved: all in one bin
    inside = narrow & (centre < n_bins)
    total = np.bincount(centre[inside], power[inside], n_bins)
    frequency, power, width, centre = (x[~narrow] for x in (frequency, power, width, centre))
    if len(frequency) == 0:
        return total
    half = int(10 * width.max() / step) + 1
    edges = centre[:, None] + np.arange(-half, half + 2) - 0.5
    cumulative = np.arctan(2 * (edges * step - frequency[:, None]) / width[:, None])
    part = np.diff(cumulative, axis=1) * (power / (cumulative[:, -1] - cumulative[:, 0]))[:, None]
    bins = centre[:, None] + np.arange(-half, half + 1)
    inside = (bins >= 0) & (bins < n_bins)
    return total + np.bincount(bins[inside], part[inside], n_bins)


def synthesise(power: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian time series (n,) [ppm] whose expected periodogram is `power` [ppm^2 per bin], (n_bins,).

    n must be at most 2 (n_bins - 1), the length of a full period; a shorter series does not close on itself.
    """
    length = 2 * (len(power) - 1)
    if n > length:
        raise ValueError(
            f"a spectrum of {len(power)} bins gives at most {length} samples, {n} were asked for"
        )
    draw = rng.standard_normal((2, len(power)))
    return np.fft.irfft((draw[0] + 1j * draw[1]) * np.sqrt(power) * (length / 2), length)[:n]
