"""Compute the grid of model spectra and compress it into multistar/mock/sed.npz.

    python scripts/build_sed_grid.py --out multistar/mock/sed.npz        (about 8 CPU-minutes)

1. The metal-line forest is calibrated on the solar spectrum in pyphot (multistar/mock/atmosphere/sun.py).
2. 1152 LTE models, each with its derivatives in [alpha/M] and [C/N].
3. A smooth slope is added to each so that BP-RP follows the colour-temperature relations of
   Mucciarelli, Bellazzini & Massari (2021), that of dwarfs shifted to pass through the Sun.
4. Principal components. Passbands and the Vega spectrum come from pyphot, BP and RP from GaiaXPy's
   instrument model.
"""

import argparse
import itertools
import os
from importlib.resources import files
from multiprocessing import get_context
from typing import Any

import numpy as np
from astropy.io import fits
from rich.progress import track
from scipy.ndimage import distance_transform_edt

from multistar.checks.colour_teff import DWARF, GIANT, colour_from_teff
from multistar.io.files import atomic_write, refuse_existing
from multistar.mock.atmosphere.spectrum import WAVELENGTH, model_atmosphere, with_composition
from multistar.mock.atmosphere.sun import Forest, calibrate_forest
from multistar.modalities.gaia_xp.instrument import STEP, fine_grid, load_band, resampling_matrix

TEFF = np.array(
    [
        3300,
        3450,
        3600,
        3800,
        4000,
        4250,
        4500,
        4750,
        5000,
        5300,
        5600,
        6000,
        6400,
        6900,
        7500,
        8200.0,
    ]
)
LOGG = np.array([-0.2, 0.6, 1.4, 2.2, 3.0, 3.8, 4.5, 5.2])
M_H = np.array([-2.5, -2, -1.5, -1, -0.6, -0.3, 0, 0.25, 0.5])
STEP_ALPHA, STEP_CN = 0.3, -0.4  # dex, over which the derivatives are taken
COMPONENTS = {"flux": 48, "alpha": 12, "cn": 8}
GAIA_ZERO_POINT = {
    "bp": 25.3385422158,
    "rp": 24.7478955012,
}  # Riello et al. 2021, photo-electron rates
CURVES = {"g": "gaia_maw_g", "j": "2mass_j", "h": "2mass_h", "ks": "2mass_ks",
          "w1": "wise_rsr_w1", "w2": "wise_rsr_w2"}  # fmt: skip
SOLAR_TEFF, SOLAR_COLOUR = 5772.0, 0.82  # K; BP-RP, mag (Casagrande & VandenBerg 2018)
VEGA_G = 0.03  # mag of Vega in the Gaia system
TO_NM = {"aa": 0.1, "angstrom": 0.1, "nm": 1.0, "nanometer": 1.0, "um": 1000.0}


def read_curve(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Wavelength [nm] and photon-counting transmission of a passband in pyphot's ASCII collection."""
    lines = (files("pyphot") / "libs" / "ascii_sources" / f"{name}.csv").read_text().splitlines()
    head = {
        line.split()[1]: line.split()[-1].lower()
        for line in lines
        if line.startswith("#") and len(line.split()) > 2
    }
    rows = np.array(
        [
            [float(x) for x in line.split(",")[:2]]
            for line in lines
            if line[:1].isdigit() or line[:1] == "."
        ]
    )
    wave = rows[:, 0] * TO_NM[head["WAVELENGTH_UNIT"]]
    return wave, rows[:, 1] / (wave if head["DETECTOR"] == "energy" else 1)


def passbands(wavelength: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """Per band: weights on `wavelength` and the Vega zero point."""
    out = {}
    for name, zero in GAIA_ZERO_POINT.items():
        fine = fine_grid(name)
        rate = load_band(name).photon_rate(fine) * STEP
        out[name] = rate @ resampling_matrix(wavelength, fine), zero
    vega: Any = fits.getdata(str(files("pyphot") / "libs" / "alpha_lyr_mod_004.fits"))
    vega_wave, vega_flux = (
        vega["WAVELENGTH"] / 10.0,
        vega["FLUX"] * 1e-2,
    )  # erg s-1 cm-2 A-1 -> W m-2 nm-1
    for name, curve in CURVES.items():
        wave, transmission = read_curve(curve)
        fine = np.linspace(max(wave.min(), 281), min(wave.max(), 5580), 1500)
        weight = np.interp(fine, wave, transmission) * fine * (fine[1] - fine[0])
        zero = 2.5 * np.log10(weight @ np.interp(fine, vega_wave, vega_flux))
        out[name] = (
            weight @ resampling_matrix(wavelength, fine),
            zero + (VEGA_G if name == "g" else 0),
        )
    return out


def colour_correction(ln_flux: np.ndarray, bands) -> np.ndarray:
    """(Teff, logg, [M/H]) magnitudes of BP-RP that each model lacks against the empirical relation.

    The relation for dwarfs makes the Sun 0.03 mag too blue, which would leave a solar twin 5 % faint at 800-1020 nm:
    it is shifted to pass through the Sun, which is 60 K cooler at a given colour. That of giants stays as published.
    """
    teff, logg, m_h = np.meshgrid(TEFF, LOGG, M_H, indexing="ij")
    flux = np.exp(ln_flux)
    mag = {n: -2.5 * np.log10(flux @ bands[n][0]) + bands[n][1] for n in ("bp", "rp")}
    inside, metal = np.clip(teff, 4000, 7000), np.clip(m_h, -2.5, 0.4)
    dwarf = 1 / (1 + np.exp(-(logg - 3.6) / 0.25))
    anchor = SOLAR_COLOUR - float(colour_from_teff(np.array(SOLAR_TEFF), 0.0, DWARF))
    of_dwarfs = colour_from_teff(inside, metal, DWARF) + anchor
    wanted = dwarf * of_dwarfs + (1 - dwarf) * colour_from_teff(inside, metal, GIANT)
    delta = wanted - (mag["bp"] - mag["rp"])
    coolest, hottest = (int(np.argmin(abs(TEFF - t))) for t in (4000, 6900))
    delta[:coolest] = delta[coolest]  # the relation stops at 4000 K: keep its last correction
    delta[hottest + 1 :] = delta[hottest]
    return delta


def components(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, vectors and scores of the first n principal components over the last axis."""
    flat = values.reshape(-1, values.shape[-1])
    mean = flat.mean(0)
    vectors = np.linalg.svd(flat - mean, full_matrices=False)[2][:n].astype(np.float16)
    scores = (flat - mean) @ np.linalg.pinv(vectors.astype(np.float64))
    return mean.astype("f4"), vectors, scores.astype("f4").reshape(*values.shape[:-1], n)


_FOREST: Forest | None = None  # set in each worker


def start_worker(forest: Forest) -> None:
    global _FOREST
    _FOREST = forest


def node(parameters: tuple[float, float, float]) -> np.ndarray:
    """(3, n_wave): ln F_lambda, d ln F / d [alpha/M], d ln F / d [C/N]; NaN if the model fails."""
    assert _FOREST is not None
    model = model_atmosphere(*parameters, _FOREST.strength)
    alpha = with_composition(model, _FOREST.strength, alpha_m=STEP_ALPHA)
    cn = with_composition(model, _FOREST.strength, c_n=STEP_CN)
    ln_flux = np.log(model.flux * _FOREST.correction)
    return np.array(
        [ln_flux, np.log(alpha / model.flux) / STEP_ALPHA, np.log(cn / model.flux) / STEP_CN]
    )


def compute_grid(forest: Forest) -> np.ndarray:
    """(Teff, logg, [M/H], 3, n_wave), failed nodes filled from their nearest neighbours."""
    nodes = list(itertools.product(TEFF, LOGG, M_H))
    os.environ["OMP_NUM_THREADS"] = "1"  # for the workers: one model, one core
    with get_context("spawn").Pool(os.cpu_count(), start_worker, (forest,)) as pool:
        rows = list(
            track(pool.imap(node, nodes, chunksize=8), f"{len(nodes)} models", total=len(nodes))
        )
    grid = np.array(rows).reshape(len(TEFF), len(LOGG), len(M_H), 3, -1)
    failed = ~np.isfinite(grid).all((-1, -2))
    print(f"{failed.sum()} nodes failed and are filled from their neighbours")
    nearest: Any = distance_transform_edt(failed, return_distances=False, return_indices=True)
    return grid[tuple(nearest)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    refuse_existing(args.out, args.overwrite)
    forest = calibrate_forest()
    print(
        f"solar spectrum over its model, 335-1066 nm: rms {np.std(forest.correction[WAVELENGTH > 335]):.3f}"
    )
    values = compute_grid(forest)
    bands = passbands(WAVELENGTH)
    correction = colour_correction(values[..., 0, :], bands)
    slope = (1000 / np.clip(WAVELENGTH, 400, 1000) - 1) / (
        1000 / 505 - 1000 / 790
    )  # 1 mag of BP-RP per unit
    values[..., 0, :] -= 0.4 * np.log(10) * correction[..., None] * slope
    table: dict[str, Any] = {
        "teff": TEFF,
        "logg": LOGG,
        "m_h": M_H,
        "wavelength": WAVELENGTH,
        "bands": list(bands),
    }
    table |= {"forest": forest.strength.astype("f4"), "solar_ratio": forest.correction.astype("f4")}
    table |= {"colour_correction": correction.astype("f4"), "colour_slope": slope.astype("f4")}
    table["passband"] = np.stack([b[0] for b in bands.values()]).astype("f4")
    table["zero_point"] = np.array([b[1] for b in bands.values()])
    for i, (name, n) in enumerate(COMPONENTS.items()):
        mean, vectors, scores = components(values[..., i, :], n)
        table |= {f"{name}_mean": mean, f"{name}_vectors": vectors, f"{name}_scores": scores}
        rms = np.sqrt(np.mean((scores @ vectors.astype("f8") + mean - values[..., i, :]) ** 2))
        print(f"{name}: {n} components, rms residual {rms:.4f}")
    with atomic_write(args.out, args.overwrite) as temporary:
        np.savez_compressed(temporary, **table)


if __name__ == "__main__":
    main()
