"""The grid of model spectra behind the mock, and its compression: what makes mock/sed.npz.

1. The metal-line forest is calibrated on the solar spectrum in pyphot (mock/atmosphere/sun.py).
2. 1296 LTE models are computed, each with its derivatives in [alpha/M] and [C/N].
3. A smooth slope is added to each, so that BP-RP follows the colour-temperature relations of
   Mucciarelli, Bellazzini & Massari (2021), that of dwarfs shifted to pass through the Sun.
4. Above 7000 K they give way to fluxes of Kurucz (1993), which go on to 30,000 K (hot_stars.py).
5. What real stars of known labels show beyond all this is added (sky_correction.py).
6. Spectra and derivatives are written as principal components.
"""

import itertools
import os
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from scipy.ndimage import distance_transform_edt

from multistar.checks.colour_teff import DWARF, GIANT, colour_from_teff
from multistar.checks.fitting.hot_stars import add_hot_stars, read_kurucz
from multistar.checks.fitting.passbands import Passband, read_passbands
from multistar.checks.fitting.sky_anchors import AnchorMaker, Spectrum, read_anchors
from multistar.checks.fitting.sky_correction import (
    Anchor,
    Correction,
    fit_correction,
    keep_light,
)
from multistar.checks.fitting.xp_anchors import read_xp_field
from multistar.checks.fitting.zero_points import fit_zero_points, shift_zero_points
from multistar.io.files import atomic_write
from multistar.mock.atmosphere.spectrum import WAVELENGTH, model_atmosphere, with_composition
from multistar.mock.atmosphere.sun import Forest, calibrate_forest
from multistar.mock.sed import SEDTable

COOL = (2900.0, 3100.0, 3300.0, 3450.0, 3600.0, 3800.0, 4000.0, 4250.0, 4500.0, 4750.0)
HOT = (5000.0, 5300.0, 5600.0, 6000.0, 6400.0, 6900.0, 7500.0, 8200.0)
LTE_TEFF = np.array(COOL + HOT)  # K, of our own models
KURUCZ_TEFF = (9000.0, 10000.0, 11500.0, 13500.0, 16000.0, 20000.0, 25000.0, 31000.0)
TEFF = np.array(COOL + HOT + KURUCZ_TEFF)
LOGG = np.array([-0.2, 0.6, 1.4, 2.2, 3.0, 3.8, 4.5, 5.2])
M_H = np.array([-2.5, -2, -1.5, -1, -0.6, -0.3, 0, 0.25, 0.5])
STEP_ALPHA, STEP_CN = 0.3, -0.4  # dex, over which the derivatives are taken
COMPONENTS = {"flux": 64, "alpha": 20, "cn": 8}
SOLAR_TEFF, SOLAR_COLOUR = 5772.0, 0.82  # K; BP-RP, mag (Casagrande & VandenBerg 2018)
RELATION_TEFF = 4000.0, 7000.0  # K, where the colour-temperature relations hold
RELATION_M_H = -2.5, 0.4
LAST_CORRECTED = 4000, 6900  # K: nodes outside keep the correction of these
DWARF_LOGG, DWARF_WIDTH = 3.6, 0.25  # where giants turn into dwarfs, smoothly
# [alpha/M] = slope x [M/H] up to a limit, and [C/N] of giants: of stars whose own are not known.
ALPHA_SLOPE, ALPHA_LIMIT = -0.25, 0.3
DREDGED_LOGG, DREDGED_C_N = 3.3, -0.4
MISFIT_TEFF = (2900, 4000, 8000, 32000)  # K, ranges in which misfits are quoted

_FOREST: Forest | None = None  # set in each worker


def compute_grid(forest: Forest) -> np.ndarray:
    """Compute all models on all cores.

    Returns
    -------
    ndarray
        (Teff, logg, [M/H], 3, n_wave): ln of the flux, its derivatives in [alpha/M] and [C/N];
        nodes whose model failed are filled from their nearest neighbours.
    """
    nodes = list(itertools.product(LTE_TEFF, LOGG, M_H))
    os.environ["OMP_NUM_THREADS"] = "1"  # for the workers: one model, one core
    with get_context("spawn").Pool(os.cpu_count(), _start_worker, (forest,)) as pool:
        models = pool.imap(_compute_node, nodes, chunksize=8)
        rows = list(track(models, f"{len(nodes)} models", total=len(nodes)))
    grid = np.array(rows).reshape(len(LTE_TEFF), len(LOGG), len(M_H), 3, -1)
    return fill_failed_nodes(grid)


def load_models(path: str | Path) -> tuple[np.ndarray, Forest]:
    """Load our LTE models and their forest from a file (NPZ); compute and write it if need be.

    Returns
    -------
    models : ndarray
        As compute_grid gives them.
    forest : Forest
        What they were computed with.
    """
    if not Path(path).exists():
        forest = calibrate_forest()
        models = compute_grid(forest).astype("f4")
        with atomic_write(path, overwrite=False) as temporary:
            np.savez(temporary, grid=models, strength=forest.strength, correction=forest.correction)
    stored = np.load(path, allow_pickle=False)
    return stored["grid"].astype(float), Forest(stored["strength"], stored["correction"])


def fill_failed_nodes(grid: np.ndarray) -> np.ndarray:
    """Replace nodes of (Teff, logg, [M/H], ...) that hold NaN by the nearest that do not."""
    failed = ~np.isfinite(grid).all((-1, -2))
    print(f"{failed.sum()} nodes failed and are filled from their neighbours")
    nearest: Any = distance_transform_edt(failed, return_distances=False, return_indices=True)
    return grid[tuple(nearest)]


def _start_worker(forest: Forest) -> None:
    global _FOREST
    _FOREST = forest


def _compute_node(parameters: tuple[float, float, float]) -> np.ndarray:
    """(3, n_wave): ln F_lambda, d ln F / d [alpha/M], d ln F / d [C/N]; NaN if the model fails."""
    assert _FOREST is not None
    model = model_atmosphere(*parameters, _FOREST.strength)
    alpha = with_composition(model, _FOREST.strength, alpha_m=STEP_ALPHA)
    cn = with_composition(model, _FOREST.strength, c_n=STEP_CN)
    ln_flux = np.log(model.flux * _FOREST.correction)
    by_alpha = np.log(alpha / model.flux) / STEP_ALPHA
    by_cn = np.log(cn / model.flux) / STEP_CN
    return np.array([ln_flux, by_alpha, by_cn])


def measure_colour_correction(ln_flux: np.ndarray, bands: Mapping[str, Passband]) -> np.ndarray:
    """Measure the BP-RP that each model lacks against the empirical relation.

    The relation for dwarfs makes the Sun 0.03 mag too blue, which would leave a solar twin 5 %
    faint at 800-1020 nm: it is shifted to pass through the Sun, which is 60 K cooler at a given
    colour. That of giants stays as published.

    Parameters
    ----------
    ln_flux
        (Teff, logg, [M/H], n_wave).
    bands
        Passbands "bp" and "rp" on the same wavelengths.

    Returns
    -------
    ndarray
        (Teff, logg, [M/H]) [mag].

    References
    ----------
    Mucciarelli, Bellazzini & Massari 2021.
    """
    teff, logg, m_h = np.meshgrid(LTE_TEFF, LOGG, M_H, indexing="ij")
    flux = np.exp(ln_flux)
    inside, metal = np.clip(teff, *RELATION_TEFF), np.clip(m_h, *RELATION_M_H)
    sun = float(colour_from_teff(np.array(SOLAR_TEFF), 0.0, DWARF))
    of_dwarfs = colour_from_teff(inside, metal, DWARF) + SOLAR_COLOUR - sun
    of_giants = colour_from_teff(inside, metal, GIANT)
    dwarf = 1 / (1 + np.exp(-(logg - DWARF_LOGG) / DWARF_WIDTH))
    wanted = dwarf * of_dwarfs + (1 - dwarf) * of_giants
    delta = wanted - (bands["bp"].magnitude(flux) - bands["rp"].magnitude(flux))
    coolest, hottest = (int(np.argmin(abs(LTE_TEFF - t))) for t in LAST_CORRECTED)
    delta[:coolest] = delta[coolest]
    delta[hottest + 1 :] = delta[hottest]
    return delta


def make_colour_slope(wavelength: np.ndarray) -> np.ndarray:
    """Give the change of magnitude (n_wave,) that makes BP-RP redder by 1 mag, linear in 1 / nm."""
    inverse = 1000 / np.clip(wavelength, 400, 1000)
    return (inverse - 1) / (1000 / 505 - 1000 / 790)


def find_components(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the first n principal components over the last axis.

    Returns
    -------
    mean : ndarray
        (n_wave,).
    vectors : ndarray
        (n, n_wave) in half precision.
    scores : ndarray
        (..., n), fitted to the rounded vectors.
    """
    flat = values.reshape(-1, values.shape[-1])
    mean = flat.mean(0)
    vectors = np.linalg.svd(flat - mean, full_matrices=False)[2][:n].astype(np.float16)
    scores = (flat - mean) @ np.linalg.pinv(vectors.astype(np.float64))
    shaped = scores.astype("f4").reshape(*values.shape[:-1], n)
    return mean.astype("f4"), vectors, shaped


def put_colours_right(grid: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Make our models (..., 3, n_wave) redder in BP-RP by `colour` (...) [mag]."""
    grid = grid.copy()
    grid[..., 0, :] -= 0.4 * np.log(10) * colour[..., None] * make_colour_slope(WAVELENGTH)
    return grid


def join_models(models: np.ndarray, colour: np.ndarray, kurucz: str | Path) -> np.ndarray:
    """Put our models' colours right and let Kurucz's fluxes follow them: all nodes of the grid."""
    hot = read_kurucz(kurucz, WAVELENGTH, TEFF, LOGG)
    solar = int(np.argmin(np.abs(M_H)))
    return add_hot_stars(put_colours_right(models, colour), LTE_TEFF, TEFF, solar, hot)


def build_sed_table(
    models: np.ndarray, forest: Forest, folder: Path
) -> tuple[dict[str, np.ndarray], list[dict], dict[str, float]]:
    """Make the table from our models and the real stars of a folder, and say how well it fits.

    Returns
    -------
    table : dict of str to ndarray
        The arrays of mock/sed.npz.
    misfits : list of dict
        Of stars that nothing was fitted to, see measure_misfits.
    offsets : dict of str to float
        What the zero points of bands lacked, see fit_zero_points; they are in the table.
    """
    bands = read_passbands(WAVELENGTH)
    colour = measure_colour_correction(models[..., 0, :], bands)
    grid = join_models(models, colour, folder / "spectra" / "kurucz93_solar.npz")
    spectrum = as_spectrum(make_sed_table(grid, forest, bands, colour))
    maker = AnchorMaker(spectrum, WAVELENGTH, bands)
    fitted, others = (
        read_anchors(folder, maker, part) + list(read_xp_field(folder, maker, part))
        for part in (True, False)
    )
    correction = fit_correction(fitted)
    misfits = measure_misfits(correction, others)
    corrected = correct_grid(grid, correction)
    spectrum = as_spectrum(make_sed_table(corrected, forest, bands, colour, correction))
    offsets = fit_zero_points(spectrum, WAVELENGTH, bands, folder)
    bands = shift_zero_points(bands, offsets)
    return make_sed_table(corrected, forest, bands, colour, correction), misfits, offsets


def measure_misfits(correction: Correction, anchors: list[Anchor]) -> list[dict]:
    """Measure by survey how far real stars are from the models, before and after: rows of a table.

    The figures are medians over stars of the rms over bins, per cent.
    """
    rows = []
    for scale in sorted({anchor.scale for anchor in anchors}):
        for low, high in itertools.pairwise(MISFIT_TEFF):
            here = [a for a in anchors if a.scale == scale and low <= a.labels[0] < high]
            if not here:
                continue
            before = [np.std(anchor.ratio) for anchor in here]
            after = [np.std(correction.residual(anchor)) for anchor in here]
            row = {"stars": scale, "teff": f"{low}-{high} K", "n": len(here)}
            row |= {"before": 100 * np.median(before), "after": 100 * np.median(after)}
            rows.append(row | {"teff_scale": correction.teff_offset.get(scale, 0.0)})
    return rows


def correct_grid(grid: np.ndarray, correction: Correction) -> np.ndarray:
    """Add the correction to ln F of all nodes (Teff, log g, [M/H], 3, n_wave)."""
    nodes = np.array(list(itertools.product(TEFF, LOGG, M_H)))
    grid = grid.copy()
    ln_flux = grid[..., 0, :]
    added = correction.evaluate(nodes, WAVELENGTH).reshape(ln_flux.shape)
    grid[..., 0, :] = keep_light(ln_flux, ln_flux + added, WAVELENGTH)
    return grid


def as_spectrum(table: dict[str, np.ndarray]) -> Spectrum:
    """Spectra of a table at labels, of the composition that goes with [M/H] and log g."""
    sed = SEDTable(table)

    def spectrum(labels: np.ndarray) -> np.ndarray:
        teff, logg, m_h = labels.T
        alpha_m = np.clip(ALPHA_SLOPE * m_h, 0, ALPHA_LIMIT)
        c_n = np.where(logg < DREDGED_LOGG, DREDGED_C_N, 0.0)
        return sed.ln_flux(teff, logg, m_h, alpha_m, c_n)

    return spectrum


def make_sed_table(
    grid: np.ndarray,
    forest: Forest,
    bands: Mapping[str, Passband],
    colour: np.ndarray,
    correction: Correction | None = None,
) -> dict[str, np.ndarray]:
    """Compress the grid into the arrays of mock/sed.npz.

    Parameters
    ----------
    grid
        (Teff, logg, [M/H], 3, n_wave), colours and correction included.
    forest
        What went into our models.
    bands
        Passbands on their wavelengths.
    colour
        What measure_colour_correction found for our models.
    correction
        What was added; its coefficients are stored, too.
    """
    table = {
        "teff": TEFF,
        "logg": LOGG,
        "m_h": M_H,
        "wavelength": WAVELENGTH,
        "bands": np.array(list(bands)),
        "forest": forest.strength.astype("f4"),
        "solar_ratio": forest.correction.astype("f4"),
        "colour_correction": colour.astype("f4"),
        "colour_slope": make_colour_slope(WAVELENGTH).astype("f4"),
        "passband": np.stack([band.weights for band in bands.values()]).astype("f4"),
        "zero_point": np.array([band.zero_point for band in bands.values()]),
    }
    if correction is not None:
        table["sky_centres"] = correction.centres.astype("f4")
        table["sky_weights"] = correction.weights.astype("f4")
    for i, (name, n) in enumerate(COMPONENTS.items()):
        values = grid[..., i, :]
        mean, vectors, scores = find_components(values, n)
        table[f"{name}_mean"] = mean
        table[f"{name}_vectors"] = vectors
        table[f"{name}_scores"] = scores
        residual = scores @ vectors.astype("f8") + mean - values
        print(f"{name}: {n} components, rms residual {np.sqrt(np.mean(residual**2)):.4f}")
    return table
