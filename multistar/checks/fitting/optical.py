"""Fit of MILES spectra as functions of labels by a Gaussian process: what makes mock/optical.npz.

ln flux at R = 1000 is written as principal components; their scores are functions of
(5040 K / Teff, log g, [Fe/H]) with a prior that all of them share, but for its size. [Fe/H] of the
library is taken for [M/H]. One star in five, by its name, is kept aside and judges.

MILES: Sanchez-Blazquez et al. 2006, MNRAS 371, 703; labels of Cenarro et al. 2007, MNRAS 374, 664.
The spectra are not shipped, only the fit is. Gaussian processes: Rasmussen & Williams 2006,
sections 2.2 and 5.4.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import minimize

from multistar.mock.optical import AXES, GRID, SUN_THETA, OpticalSpectra, table_nodes
from multistar.modalities.spectrum.grid import make_smoothing, smooth_spectra
from multistar.modalities.spectrum.read import to_vacuum

COMPONENTS = 40
KEPT_ASIDE = 5  # one star in so many
FWHM = 0.25  # nm, of MILES
UNIT = np.array([0.25, 1.3, 0.7])  # theta, log g and [M/H], so that all lengths are about one
ORIGIN = np.array([1.0, 3.0, -0.5])
# Start of the fit of the prior: lengths of a smooth and of a rough part, size of the rough part
# (the smooth one's is 1), and variance of stars of the same labels.
START = np.log([2.0, 3.0, 3.0, 0.6, 1.2, 1.2, 0.1, 0.05])
JITTER = 1e-6
ROUNDS = 3
OUTLIER = 4.0  # a star is not used if its misfits are so many times the usual ones in the median
TEFF_EDGES = (2800, 3800, 4500, 5500, 7000, 9500, 40_000)  # K
SMOOTH = 0.03  # ln wavelength: standard deviation of the kernel that lines are found with
SIMILAR = 0.4  # in units of theta's, of stars whose scatter is averaged


@dataclass(frozen=True)
class LibraryStars:
    """Spectra of stars of known labels.

    Attributes
    ----------
    names : (n,) ndarray of str
    labels : (n, 3) ndarray
        Teff [K], log g, [Fe/H].
    ln_flux : (n, g) ndarray
        At the resolution and on the pixels of mock/optical.py; its mean over all pixels is 0.
    """

    names: np.ndarray
    labels: np.ndarray
    ln_flux: np.ndarray

    def select(self, rows: np.ndarray) -> "LibraryStars":
        """Some of the stars."""
        return LibraryStars(self.names[rows], self.labels[rows], self.ln_flux[rows])


def is_kept_aside(names: np.ndarray) -> np.ndarray:
    """(n,) bool: stars that judge the fit, and everything that learns from it."""
    numbers = [int(hashlib.sha256(plain_name(name).encode()).hexdigest(), 16) for name in names]
    return np.array([number % KEPT_ASIDE == 0 for number in numbers])


def plain_name(name: str) -> str:
    """The name of a star as both libraries write it: HD004307 and HD4307 are the same."""
    letters = name.replace(" ", "").upper()
    head = letters.rstrip("0123456789")
    return head + letters[len(head) :].lstrip("0")


def read_miles(folder: str | Path) -> LibraryStars:
    """Read spectra/miles.npz of the folder of real data; stars without labels are left out."""
    library = np.load(Path(folder) / "spectra" / "miles.npz", allow_pickle=False)
    labels = np.stack([library["teff"], library["logg"], library["fe_h"]], axis=1)
    wavelength = to_vacuum(library["wave_angstrom"] / 10)  # the library's are in air
    flux = np.where(library["flux"] > 0, library["flux"], np.nan)
    smoothing = make_smoothing(GRID, wavelength, np.exp(GRID.ln_wavelength) / FWHM)
    smooth, _ = smooth_spectra(smoothing, flux, np.full_like(flux, np.nan))
    with np.errstate(invalid="ignore"):
        ln_flux = np.log(smooth)
    ln_flux -= ln_flux.mean(1, keepdims=True)
    usable = np.isfinite(labels).all(1) & np.isfinite(ln_flux).all(1)
    return LibraryStars(library["name"][usable], labels[usable], ln_flux[usable])


def _to_coordinates(labels: np.ndarray) -> np.ndarray:
    """(n, 3) labels as the prior sees them."""
    theta = SUN_THETA / labels[:, 0]
    return (np.stack([theta, labels[:, 1], labels[:, 2]], axis=1) - ORIGIN) / UNIT


def _covariance(one: np.ndarray, other: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(n, m) of the scores of two sets of coordinates, in units of the smooth part."""

    def part(lengths: np.ndarray) -> np.ndarray:
        distance = ((one[:, None] - other[None]) / lengths) ** 2
        return np.exp(-0.5 * distance.sum(-1))

    parameters = np.exp(prior)
    return part(parameters[:3]) + parameters[6] * part(parameters[3:6])


def _misfit(
    prior: np.ndarray, coordinates: np.ndarray, scores: np.ndarray, scatter: np.ndarray
) -> float:
    """-2 ln evidence, up to a constant, with the best size of every component's prior."""
    n, k = scores.shape
    factor = cho_factor(_covariance_of_stars(prior, coordinates, scatter), lower=True)
    power = np.sum(scores * cho_solve(factor, scores), axis=0)
    return 2 * k * np.log(np.diag(factor[0])).sum() + n * np.log(power).sum()


def _covariance_of_stars(
    prior: np.ndarray, coordinates: np.ndarray, scatter: np.ndarray
) -> np.ndarray:
    """(n, n) with what differs between stars of the same labels."""
    covariance = _covariance(coordinates, coordinates, prior)
    covariance[np.diag_indices(len(covariance))] += np.exp(prior[7]) * scatter**2 + JITTER
    return covariance


def fit_optical_spectra(stars: LibraryStars) -> dict[str, np.ndarray]:
    """Fit spectra as functions of labels.

    Parameters
    ----------
    stars : LibraryStars
        That the fit may see.

    Returns
    -------
    dict of str to ndarray
        The table of `multistar.mock.optical.OpticalSpectra`, and the parameters of the `prior`.
    """
    mean = stars.ln_flux.mean(0)
    _, _, vectors = np.linalg.svd(stars.ln_flux - mean, full_matrices=False)
    vectors = vectors[:COMPONENTS]
    scores = (stars.ln_flux - mean) @ vectors.T
    pixels = stars.ln_flux - mean - scores @ vectors
    typical = scores.mean(0)
    coordinates, scores = _to_coordinates(stars.labels), scores - typical
    prior, scatter = START, np.ones(len(scores))
    for _ in range(ROUNDS):
        arguments = (coordinates, scores, scatter)
        prior = minimize(_misfit, prior, arguments, "L-BFGS-B", options={"maxiter": 25}).x
        misfit = _leave_one_out(prior, *arguments)
        usual = np.median(np.abs(misfit), axis=1) < OUTLIER * np.median(np.abs(misfit))
        coordinates, scores, misfit = coordinates[usual], scores[usual], misfit[usual]
        scatter = scatter[usual] * _typical_size(misfit, coordinates[:, 0], coordinates[:, 0])
    misfit = _leave_one_out(prior, coordinates, scores, scatter)
    inverse = np.linalg.inv(_covariance_of_stars(prior, coordinates, scatter))
    size = np.mean(scores * (inverse @ scores), axis=0)
    nodes = (table_nodes() - ORIGIN) / UNIT
    cross = _covariance(nodes, coordinates, prior)
    shape = [count for *_, count in AXES]
    at_nodes = (typical + cross @ (inverse @ scores)).reshape(*shape, COMPONENTS)
    variance = 1 + np.exp(prior[6]) - np.sum(cross @ inverse * cross, axis=1)
    order = np.argsort(coordinates[:, 0])
    theta = (np.linspace(*AXES[0]) - ORIGIN[0]) / UNIT[0]
    covariance = np.exp(prior[7]) * _usual_covariance(misfit) * np.sqrt(np.outer(size, size))
    return {
        "mean": mean.astype(np.float32),
        "vectors": vectors.astype(np.float16),
        "scores": np.moveaxis(at_nodes, -1, 0).astype(np.float16),
        "variance": variance.reshape(shape).astype(np.float16),
        "prior_root": np.sqrt(size).astype(np.float32),
        "scatter_root": np.linalg.cholesky(covariance).astype(np.float32),
        "scatter": np.interp(theta, coordinates[order, 0], scatter[order]).astype(np.float32),
        "pixel_scatter": (1.4826 * np.median(np.abs(pixels), axis=0)).astype(np.float32),
        "prior": prior,
    }


def _leave_one_out(
    prior: np.ndarray, coordinates: np.ndarray, scores: np.ndarray, scatter: np.ndarray
) -> np.ndarray:
    """(n, k) scores minus what all other stars say of them, in units of its expected size."""
    inverse = np.linalg.inv(_covariance_of_stars(prior, coordinates, scatter))
    size = np.sqrt(np.mean(scores * (inverse @ scores), axis=0))
    return (inverse @ scores) / np.sqrt(np.diag(inverse))[:, None] / size


def _usual_covariance(misfit: np.ndarray) -> np.ndarray:
    """(k, k) covariance of misfits (n, k); a star that is all wrong counts no more than others."""
    size = np.median(misfit**2, axis=1, keepdims=True)
    shape = misfit / np.sqrt(size)
    return np.cov(shape.T) * np.median(size)


def _typical_size(misfit: np.ndarray, theta: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Root mean square of the misfits (n, k) of stars of similar Teff."""
    weight = np.exp(-0.5 * ((where[:, None] - theta) / SIMILAR) ** 2)
    size = np.median(misfit**2, axis=1) / np.median(misfit**2)
    return np.sqrt(weight @ size / weight.sum(1))


def judge_optical_spectra(spectra: OpticalSpectra, stars: LibraryStars) -> list[dict[str, Any]]:
    """Compare spectra of stars with what their labels say.

    Parameters
    ----------
    spectra : OpticalSpectra
    stars : LibraryStars
        That `spectra` was not fitted to.

    Returns
    -------
    list of dict
        For each range of Teff, root mean squares over pixels, of the median star: `flux`, the misfit;
        `lines`, without what is smooth over 6 % in wavelength; `drawn`, the same of spectra that were
        drawn; `all stars`, lines minus their mean over the stars of the range.
    """
    teff, logg, m_h = stars.labels.T
    typical = spectra.ln_flux(teff, logg, m_h)
    misfit = stars.ln_flux - typical
    normal = np.random.default_rng(0).normal(size=(len(stars.labels), spectra.n_draws))
    drawn = spectra.draw(teff, logg, m_h, normal) - typical
    rows = []
    for low, high in zip(TEFF_EDGES[:-1], TEFF_EDGES[1:], strict=True):
        here = (stars.labels[:, 0] >= low) & (stars.labels[:, 0] < high)
        if here.sum() < 2:
            continue
        own = stars.ln_flux[here]
        rows.append(
            {
                "teff": f"{low}-{high}",
                "n": int(here.sum()),
                "flux": _typical_rms(misfit[here]),
                "lines": _typical_rms(_find_lines(misfit[here])),
                "drawn": _typical_rms(_find_lines(drawn[here])),
                "all stars": _typical_rms(_find_lines(own - own.mean(0))),
            }
        )
    return rows


def _find_lines(ln_flux: np.ndarray) -> np.ndarray:
    return ln_flux - gaussian_filter1d(ln_flux, SMOOTH / GRID.step, axis=1)


def _typical_rms(values: np.ndarray) -> float:
    return float(np.median(np.sqrt((values**2).mean(1))))
