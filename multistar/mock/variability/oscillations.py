"""Granulation and solar-like oscillations: scaling relations, power spectrum and time series.

Frequencies are in microhertz, powers in ppm^2 (one-sided, so that their sum is the variance of the
light curve).
"""

from typing import NamedTuple

import numpy as np

NUMAX_SUN, DELTA_NU_SUN, TEFF_SUN = 3090.0, 135.1, 5777.0  # muHz, muHz, K: Huber et al. (2011)
# Power of l = 0, 1, 2 relative to l = 0, Kepler's band: Mosser et al. (2012), from memory.
VISIBILITY = (1.0, 1.54, 0.58)
HOT_LIMIT, HOT_WIDTH = 6700.0, 100.0  # K: where convection becomes too weak to be seen
# muHz: numax of stars with mixed dipole modes; above it dwarfs, below it too dense to matter.
MIXED_RANGE = (5.0, 500.0)
MICROHERTZ_DAYS = 0.0864  # muHz times d
SUPER_LORENTZIAN = 2 * np.sqrt(2) / np.pi  # norm of 1 / (1 + x^4)
LINE_REACH = 10  # line widths at which a Lorentzian is cut


def numax(mass, radius, teff):
    """Frequency of maximum oscillation power [muHz]; mass and radius in solar units, Teff in K."""
    hotter = teff / TEFF_SUN
    return NUMAX_SUN * mass * radius**-2.0 * hotter**-0.5


def delta_nu(mass, radius):
    """Large frequency separation [muHz]: the square root of the mean density."""
    mean_density = mass / radius**3.0
    return DELTA_NU_SUN * np.sqrt(mean_density)


def granulation_variance(mass, radius, teff):
    """Variance of granulation [ppm^2] over all frequencies, Kepler's band.

    Half of it is in each of two components; mass and radius are in solar units, Teff in K.

    References
    ----------
    Kallinger et al. (2014, Table 2); the relation that has the mass in it is from memory.
    """
    peak = numax(mass, radius, teff)
    rms = 3710 * peak**-0.613 * mass**-0.26
    rms = rms * _convection(teff)
    return 2 * rms**2


def granulation_density(frequency: np.ndarray, mass, radius, teff) -> np.ndarray:
    """Power density of granulation [ppm^2/muHz] at `frequency` [muHz], Kepler's band.

    References
    ----------
    Two super-Lorentzians, Kallinger et al. (2014, Table 2).
    """
    peak = numax(mass, radius, teff)
    variance = granulation_variance(mass, radius, teff) / 2
    density = np.zeros(np.shape(frequency))
    for width in (0.317 * peak**0.970, 0.948 * peak**0.992):
        height = SUPER_LORENTZIAN * variance / width
        ratio = frequency / width
        density += height / (1 + ratio**4)
    return density


def _convection(teff: float) -> float:
    """Amplitude factor: 1 for cool stars, 0 without a convective envelope (our own smooth step)."""
    hotter = (teff - HOT_LIMIT) / HOT_WIDTH
    exponent = np.clip(hotter, -50, 50)
    return 1 / (1 + np.exp(exponent))


class Modes(NamedTuple):
    """Oscillation modes of one star; every array is (n_mode,)."""

    frequency: np.ndarray  # muHz
    power: np.ndarray  # ppm^2
    width: np.ndarray  # of the line, FWHM, muHz


def oscillation_modes(
    mass: float, radius: float, teff: float, helium_burning: bool = False
) -> Modes:
    """Modes of l = 0, 1, 2 of a star in Kepler's band.

    Rotational splitting and depressed dipole modes are left out.

    Parameters
    ----------
    mass, radius, teff : float
        In solar units and K.
    helium_burning : bool
        Whether the star is a red-clump star, whose dipole modes differ.

    References
    ----------
    Frequencies: the pattern of Mosser et al. (2011), the offset epsilon of Corsaro et al. (2012)
    held at 1.45 for dwarfs. Power: Gaussian envelope of height 2.03e7 numax^-2.38 and width 0.66
    numax^0.88 (Mosser et al. 2012), which is shared among the modes of each order by their
    visibility. Radial line widths: Corsaro et al. (2012), at most a tenth of the separation (hot
    supergiants lie outside their relation).
    """
    peak = numax(mass, radius, teff)
    spacing = delta_nu(mass, radius)
    envelope_width = 0.66 * peak**0.88
    radial = _radial_frequencies(peak, spacing, envelope_width)
    quadrupole = radial - _small_separation(spacing) * spacing
    dipole = radial + 0.525 * spacing
    dipole_share = np.ones(len(dipole))
    lowest, highest = MIXED_RANGE
    if lowest < peak < highest:
        gravity_modes = _gravity_modes(mass, spacing, helium_burning)
        dipole, dipole_share = _mixed_modes(dipole, spacing, *gravity_modes)

    frequency = np.concatenate([radial, dipole, quadrupole])
    ones = np.ones(len(radial))
    share = np.concatenate([ones, dipole_share, ones])
    counts = [len(radial), len(dipole), len(quadrupole)]
    visibility = np.repeat(VISIBILITY, counts)
    visibility = visibility / np.sum(VISIBILITY)
    height = 2.03e7 * peak**-2.38 * _convection(teff) ** 2
    from_peak = (frequency - peak) / envelope_width
    exponent = -4 * np.log(2) * from_peak**2
    envelope = height * np.exp(exponent)
    power = envelope * spacing * visibility * share
    hotter = (teff - TEFF_SUN) / 601
    radial_width = 1.39 * np.exp(hotter)
    radial_width = min(radial_width, 0.1 * spacing)
    return Modes(frequency, power, radial_width * share)


def _radial_frequencies(peak: float, spacing: float, envelope_width: float) -> np.ndarray:
    """Frequencies [muHz] of the radial modes within 1.3 widths of the envelope."""
    offset = min(0.601 + 0.632 * np.log10(spacing), 1.45)
    order_of_peak = peak / spacing - offset
    reach = 1.3 * envelope_width / spacing
    first = max(np.floor(order_of_peak - reach), 1)
    last = np.ceil(order_of_peak + reach)
    orders = np.arange(first, last + 1)
    from_peak = orders - order_of_peak
    curvature = 0.0075 * spacing**-0.32 * from_peak**2
    phases = orders + offset + curvature
    return phases * spacing


def _small_separation(spacing: float) -> float:
    """delta_nu_02 / delta_nu: joins the giants (0.121, Huber et al. 2010) to the Sun (0.067)."""
    return 0.162 - 0.0445 * np.log10(spacing)


def _gravity_modes(mass: float, spacing: float, helium_burning: bool) -> tuple[float, float]:
    """Period spacing [Ms, so that its inverse is in muHz] and coupling of dipole gravity modes.

    After Mosser et al. (2014) and Vrard et al. (2016), whose sequences are drawn as lines from
    memory.
    """
    if helium_burning:
        period_spacing = 300e-6 if mass < 1.9 else 220e-6
        return period_spacing, 0.30
    return (45 + 2.8 * spacing) * 1e-6, 0.15


def _mixed_modes(
    pressure: np.ndarray, spacing: float, period_spacing: float, coupling: float
) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of mixed dipole modes and the share (1 - zeta) of a pressure mode's power.

    The condition tan(theta_p) = q tan(theta_g) (Mosser et al. 2015) says that a phase that grows
    steadily with frequency is a multiple of pi, so the modes are read off that phase. The shares of
    the modes of one order add up to about 1.
    """
    start = max(pressure[0] - spacing / 2, spacing / 4)
    grid = np.linspace(start, pressure[-1] + spacing / 2, 200 * len(pressure))
    theta = _pressure_phase(grid, pressure, spacing)
    turns = np.round(theta / np.pi)
    inner = theta - np.pi * turns
    coupled = np.arctan2(np.sin(inner), coupling * np.cos(inner))
    phase = np.pi * turns + coupled - np.pi / (period_spacing * grid)

    first = np.ceil(phase[0] / np.pi)
    last = np.floor(phase[-1] / np.pi)
    multiples = np.pi * np.arange(first, last + 1)
    frequency = np.interp(multiples, phase, grid)
    theta = np.interp(frequency, grid, theta)
    denominator = coupling**2 * np.cos(theta) ** 2 + np.sin(theta) ** 2
    slope = coupling / denominator  # d phase / d theta
    # In units of the phase that gravity modes gain:
    slope *= period_spacing * frequency**2 / spacing
    return frequency, slope / (1 + slope)


def _pressure_phase(grid: np.ndarray, pressure: np.ndarray, spacing: float) -> np.ndarray:
    """theta_p: a multiple of pi at each pressure mode, linear in between and beyond."""
    theta = np.pi * np.interp(grid, pressure, np.arange(len(pressure)))
    below = np.minimum(grid - pressure[0], 0)
    above = np.maximum(grid - pressure[-1], 0)
    beyond = below + above
    theta += np.pi * beyond / spacing
    return theta


def power_spectrum(
    frequency: np.ndarray,
    mass: float,
    radius: float,
    teff: float,
    exposure: float = 0.0,
    helium_burning: bool = False,
) -> np.ndarray:
    """Variance that granulation and oscillations have in each bin of a frequency grid.

    Modes are integrated over the bins, so narrow ones lose nothing; those beyond the last bin are
    left out (a real spectrum would show them mirrored, and strongly damped).

    Parameters
    ----------
    frequency : (n,) array
        Bin centres of a regular grid [muHz] that start at 0 (numpy.fft.rfftfreq).
    mass, radius, teff : float
        In solar units and K.
    exposure : float
        Integration time [d], which damps fast variations.
    helium_burning : bool
        Whether the star is a red-clump star.

    Returns
    -------
    (n,) array
        Power, ppm^2.
    """
    step = frequency[1]
    power = granulation_density(frequency, mass, radius, teff) * step
    if teff < HOT_LIMIT + 5 * HOT_WIDTH:
        modes = oscillation_modes(mass, radius, teff, helium_burning)
        power += _bin_lines(modes, len(frequency), step)
    power[0] = 0
    damping = np.sinc(frequency * MICROHERTZ_DAYS * exposure)
    return power * damping**2


def _bin_lines(modes: Modes, n_bins: int, step: float) -> np.ndarray:
    """Power of Lorentzian lines in bins [k - 1/2, k + 1/2] * step, cut 10 widths from centres."""
    reaches_grid = modes.frequency - LINE_REACH * modes.width < n_bins * step
    modes = _select_modes(modes, reaches_grid)
    narrow = modes.width < step / 3  # unresolved: all in one bin
    lines = _select_modes(modes, narrow)
    nearest_bin = np.round(lines.frequency / step)
    centre = nearest_bin.astype(int)
    inside = centre < n_bins
    total = np.bincount(centre[inside], lines.power[inside], n_bins)
    if narrow.all():
        return total
    return total + _bin_broad_lines(_select_modes(modes, ~narrow), n_bins, step)


def _bin_broad_lines(modes: Modes, n_bins: int, step: float) -> np.ndarray:
    half = int(LINE_REACH * modes.width.max() / step) + 1
    centre = np.round(modes.frequency / step).astype(int)
    bins = centre[:, None] + np.arange(-half, half + 1)
    edges = centre[:, None] + np.arange(-half, half + 2) - 0.5
    from_centre = edges * step - modes.frequency[:, None]
    width = modes.width[:, None]
    cumulative = np.arctan(2 * from_centre / width)
    whole = cumulative[:, -1] - cumulative[:, 0]
    norm = modes.power / whole
    power = np.diff(cumulative, axis=1) * norm[:, None]
    inside = (bins >= 0) & (bins < n_bins)
    return np.bincount(bins[inside], power[inside], n_bins)


def _select_modes(modes: Modes, rows: np.ndarray) -> Modes:
    selected = [values[rows] for values in modes]
    return Modes(*selected)


def synthesise(power: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a Gaussian time series with a given expected periodogram.

    Parameters
    ----------
    power : (n_bins,) array
        Expected periodogram, ppm^2 per bin.
    n : int
        Samples, at most 2 (n_bins - 1), the length of a full period; a shorter series does not
        close on itself.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    (n,) array
        Time series, ppm.

    Raises
    ------
    ValueError
        If n is too large.
    """
    length = 2 * (len(power) - 1)
    if n > length:
        raise ValueError(
            f"a spectrum of {len(power)} bins gives at most {length} samples, {n} were asked for"
        )
    real, imaginary = rng.standard_normal((2, len(power)))
    noise = real + 1j * imaginary
    spectrum = noise * np.sqrt(power) * (length / 2)
    return np.fft.irfft(spectrum, length)[:n]
