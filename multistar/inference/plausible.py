"""Can these measurements be of one star, and can their errors be meant? Cheap, for every star.

Nothing here needs a model. What is compared:

- XP and magnitudes. XP coefficients hold G, BP and RP, which GaiaXPy's own weights give exactly;
  a spectrum of another star, in another unit, of swapped bands, or of noise does not have those
  of the table. Magnitudes in the infrared follow from BP - RP to some tenths of a magnitude.
- Errors of XP. How they fall from order to order is the instrument's: variances fall twice as
  steeply. How large they are follows from G.
- Errors of magnitudes and parallaxes, which no survey of today goes below.

Parallaxes are compared with the rest in parallax.py. Edges were chosen on one half of clean mock
stars, of LAMOST and Kepler stars, and of 1,500 field stars with XP; `multistar check garbage`
tells how many stars of a table are beyond them.
"""

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval

from multistar import status
from multistar.modalities.gaia_xp.read import XP_BANDS, XPCoefficients
from multistar.modalities.gaia_xp.synthesis import synthetic_fluxes
from multistar.modalities.scalars.read import MAG_PER_RELATIVE_FLUX
from multistar.stars import Stars

# [mag], beside errors as stated. Clean mock stars are within 0.03 of G and 0.06 of BP - RP.
G_EDGE, COLOUR_EDGE, RED_EDGE = 0.1, 0.07, 0.06
SIGMAS = 3.5
# G - band as a polynomial of BP - RP, lowest power first, for stars of whatever reddening.
LOCI = {
    "j": (-0.0060, 1.3010, 0.0096, -0.0130),
    "h": (-0.1301, 1.8960, -0.0699, -0.0063),
    "ks": (-0.1231, 1.9586, -0.0439, -0.0090),
    "w1": (-0.0421, 1.8937, -0.0164, -0.0117),
    "w2": (-0.0028, 1.7952, 0.0078, -0.0076),
}
# BP - RP beyond which stars, cool or dusty, are too different. [mag]
BLUEST, LOCUS_EDGE = -0.3, 0.6
REDDEST = {"j": 3.8, "h": 2.8, "ks": 2.3, "w1": 2.2, "w2": 2.2}
# Coefficients that are 0 to the last digit are no measurements, but what fills a gap.
MOST_ZEROS = 5
# log10 of the errors of orders 0, 5, 10 ... 50, 52, 54 relative to the first ten.
SHAPE_ORDERS = (0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 52, 54)
SHAPE = {
    "bp": (0.06, -0.08, 0.01, -0.05, -0.09, -0.22, -0.36, -0.41, -0.49, -0.47, -0.76, -0.91, -1.43),
    "rp": (0.02, 0.0, -0.05, 0.02, -0.11, -0.04, -0.12, -0.24, -0.36, -0.39, -0.57, -0.66, -1.26),
}
# Of the errors' shape, in units of the usual one; variances have 2, inverse variances -2.
STEEPNESS = {"bp": (0.25, 2.0), "rp": (0.25, 1.6)}
LOWEST_ORDERS = 10
# Typical log10 of the errors [e-/s] of the lowest orders at G, and how far off they may be [dex].
LEVEL_G = (5.0, 8.0, 10.0, 12.0, 14.0, 16.0, 17.0, 19.0)
LEVEL = (3.3, 2.5, 1.65, 0.8, 0.27, -0.12, -0.3, -0.45)
LEVEL_RANGE = (-1.3, 2.5)
# Errors that no survey goes below [mag, mas], and above which they say nothing.
FLOOR = {"g": 3e-5, "bp": 1e-4, "rp": 1e-4, "parallax": 3e-3}
FLOOR |= dict.fromkeys(("j", "h", "ks", "w1", "w2"), 1e-3)
FLOOR |= dict.fromkeys(("ps1_g", "ps1_r", "ps1_i", "ps1_z", "ps1_y"), 1e-4)
CEILING = 20.0
AT_ONCE = 4096  # stars


def find_implausible(stars: Stars) -> np.ndarray:
    """Flag stars whose measurements or errors contradict each other.

    Parameters
    ----------
    stars : Stars

    Returns
    -------
    (n,) uint16 ndarray
        Bits "inconsistent" and "suspect_errors" of `status.BIT`.
    """
    flags = np.zeros(len(stars), np.uint16)
    # part by part: of a long table, copies of all spectra would take as much memory again
    for start in range(0, len(stars), AT_ONCE):
        here = slice(start, start + AT_ONCE)
        flags[here] = _find_implausible(stars.select(here))
    return flags


def _find_implausible(stars: Stars) -> np.ndarray:
    flags = np.zeros(len(stars), np.uint16)
    wrong = _has_false_zeros(dict(stars.xp), len(stars)) | _differs_from_magnitudes(stars)
    flags[wrong] |= status.BIT["inconsistent"]
    flags[_has_odd_errors(stars) | _has_odd_xp_errors(stars)] |= status.BIT["suspect_errors"]
    return flags


def has_xp(stars: Stars) -> np.ndarray:
    """Return whether (n,) a star has a coefficient of any band."""
    found = np.zeros(len(stars), bool)
    for band in stars.xp.values():
        found |= np.isfinite(band.value).any(1)
    return found


def value_of(stars: Stars, name: str) -> np.ndarray:
    """Return the values (n,) of a quantity, NaN where it is not known."""
    scalar = stars.scalars.get(name)
    return np.full(len(stars), np.nan) if scalar is None else scalar.value


def sigma_of(stars: Stars, name: str) -> np.ndarray:
    """Return the errors (n,) of a quantity, 0 where it is not known."""
    scalar = stars.scalars.get(name)
    return np.zeros(len(stars)) if scalar is None else np.nan_to_num(scalar.sigma)


def _beyond(residual: np.ndarray, edge: float, error: np.ndarray) -> np.ndarray:
    """(n,) False where the residual is not known."""
    return np.abs(residual) > np.hypot(edge, SIGMAS * error)


def _has_false_zeros(xp: dict[str, XPCoefficients], n: int) -> np.ndarray:
    found = np.zeros(n, bool)
    for band in xp.values():
        found |= (band.value == 0).sum(1) > MOST_ZEROS
    return found


def _differs_from_magnitudes(stars: Stars) -> np.ndarray:
    """XP against G, BP and RP; infrared magnitudes against BP - RP, of XP where it is not given."""
    xp = dict(stars.xp)
    g, bp, rp = (value_of(stars, name) for name in ("g", "bp", "rp"))
    of_g, of_bp, of_rp = (sigma_of(stars, name) for name in ("g", "bp", "rp"))
    colour, error = bp - rp, np.hypot(of_bp, of_rp)
    wrong = np.zeros(len(stars), bool)
    if xp:
        flux, noise = synthetic_fluxes(xp)
        expected = 10 ** (-0.4 * g)
        # in flux, as noise has no magnitude
        allowed = np.hypot(G_EDGE * expected, SIGMAS * noise["g"])
        wrong |= np.abs(flux["g"] - expected) > np.hypot(allowed, SIGMAS * of_g * expected)
        made, own = _magnitudes(flux, noise)
        red, of_red = made["g"] - made["rp"], np.hypot(own["g"], own["rp"])
        wrong |= _beyond(red - (g - rp), RED_EDGE, np.hypot(of_red, np.hypot(of_g, of_rp)))
        synthetic, of_synthetic = made["bp"] - made["rp"], np.hypot(own["bp"], own["rp"])
        wrong |= _beyond(synthetic - colour, COLOUR_EDGE, np.hypot(of_synthetic, error))
        missing = np.isnan(colour)
        colour = np.where(missing, synthetic, colour)
        error = np.where(missing, of_synthetic, error)
    return wrong | _is_off_locus(stars, colour, error)


def _is_off_locus(stars: Stars, colour: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Infrared magnitudes against BP - RP (n,) of these errors (n,)."""
    wrong = np.zeros(len(stars), bool)
    for band, locus in LOCI.items():
        if band in stars.scalars:
            usual = (colour > BLUEST) & (colour < REDDEST[band])
            expected = np.where(usual, polyval(colour, locus), np.nan)
            total = np.hypot(sigma_of(stars, band), polyval(colour, polyder(locus)) * error)
            residual = value_of(stars, "g") - value_of(stars, band) - expected
            wrong |= _beyond(residual, LOCUS_EDGE, total)
    return wrong


def _magnitudes(
    flux: dict[str, np.ndarray], noise: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Magnitudes and their errors; NaN without light."""
    magnitude, error = {}, {}
    for band, value in flux.items():
        light = np.where(value > 0, value, np.nan)
        magnitude[band] = -2.5 * np.log10(light)
        error[band] = MAG_PER_RELATIVE_FLUX * noise[band] / light
    return magnitude, error


def _has_odd_errors(stars: Stars) -> np.ndarray:
    found = np.zeros(len(stars), bool)
    for name, floor in FLOOR.items():
        if name in stars.scalars:
            sigma = np.where(np.isfinite(value_of(stars, name)), stars.scalars[name].sigma, np.nan)
            found |= (sigma < floor) | (sigma > CEILING)
    return found


def _has_odd_xp_errors(stars: Stars) -> np.ndarray:
    """XP errors of another shape over the orders, or of another size, than Gaia's."""
    found = np.zeros(len(stars), bool)
    usual = np.interp(value_of(stars, "g"), LEVEL_G, LEVEL)
    for name in XP_BANDS:
        band = stars.xp.get(name)
        if band is None or not band.sigma.shape[1]:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log10(band.sigma)
        level = _mean(log[:, :LOWEST_ORDERS])
        found |= (level - usual < LEVEL_RANGE[0]) | (level - usual > LEVEL_RANGE[1])
        orders = [order for order in SHAPE_ORDERS if order < log.shape[1]]
        if len(orders) == len(SHAPE_ORDERS):
            low, high = STEEPNESS[name]
            steep = _slope(log[:, orders], np.array(SHAPE[name]))
            found |= (steep < low) | (steep > high)
    return found


def _mean(x: np.ndarray) -> np.ndarray:
    """(n,) means of what is known, NaN where nothing is."""
    known = np.isfinite(x)
    number = known.sum(1)
    total = np.where(known, x, 0).sum(1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _slope(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(n,) slopes of y (n, k) over x (k,); NaN where y is not known at all places."""
    centred = x - x.mean()
    return (y @ centred) / (centred @ centred)
