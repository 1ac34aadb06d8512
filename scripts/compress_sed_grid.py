"""Compress a grid of model spectra into multistar/mock/sed.npz.

    python scripts/compress_sed_grid.py GRID.npz --out multistar/mock/sed.npz

GRID.npz holds G (Teff, logg, [M/H], 3, wavelength): ln F_lambda and its derivatives in [alpha/M] and
[C/N], and the axes TE [K], LG [dex], MH [dex], WL [nm]. A smooth slope is added to each spectrum so
that BP-RP follows the colour-temperature relations of Mucciarelli, Bellazzini & Massari (2021).
Passbands and the Vega spectrum come from pyphot, BP and RP from GaiaXPy's instrument model.
"""

import argparse
from importlib.resources import files
from typing import Any

import numpy as np
from astropy.io import fits
from scipy.ndimage import distance_transform_edt

from multistar.checks.colour_teff import DWARF, GIANT, colour_from_teff
from multistar.mock.xp_operator import STEP, fine_grid, load_band, resampling_matrix

COMPONENTS = {"flux": 48, "alpha": 12, "cn": 8}
GAIA_ZERO_POINT = {"bp": 25.3385422158, "rp": 24.7478955012}  # Riello et al. 2021, photo-electron rates
CURVES = {"g": "gaia_maw_g", "j": "2mass_j", "h": "2mass_h", "ks": "2mass_ks",
          "w1": "wise_rsr_w1", "w2": "wise_rsr_w2"}  # fmt: skip
VEGA_G = 0.03  # mag of Vega in the Gaia system
TO_NM = {"aa": 0.1, "angstrom": 0.1, "nm": 1.0, "nanometer": 1.0, "um": 1000.0}


def read_curve(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Wavelength [nm] and photon-counting transmission of a passband in pyphot's ASCII collection."""
    lines = (files("pyphot") / "libs" / "ascii_sources" / f"{name}.csv").read_text().splitlines()
    head = {
        line.split()[1]: line.split()[-1].lower() for line in lines if line.startswith("#") and len(line.split()) > 2
    }
    rows = np.array(
        [[float(x) for x in line.split(",")[:2]] for line in lines if line[:1].isdigit() or line[:1] == "."]
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
    vega_wave, vega_flux = vega["WAVELENGTH"] / 10.0, vega["FLUX"] * 1e-2  # erg s-1 cm-2 A-1 -> W m-2 nm-1
    for name, curve in CURVES.items():
        wave, transmission = read_curve(curve)
        fine = np.linspace(max(wave.min(), 281), min(wave.max(), 5580), 1500)
        weight = np.interp(fine, wave, transmission) * fine * (fine[1] - fine[0])
        zero = 2.5 * np.log10(weight @ np.interp(fine, vega_wave, vega_flux))
        out[name] = weight @ resampling_matrix(wavelength, fine), zero + (VEGA_G if name == "g" else 0)
    return out


def tilt(grid: dict[str, np.ndarray], bands) -> np.ndarray:
    """ln-flux correction (Teff, logg, [M/H], wavelength) that puts BP-RP on the empirical relation."""
    teff, logg, m_h = np.meshgrid(grid["TE"], grid["LG"], grid["MH"], indexing="ij")
    flux = np.exp(grid["G"][..., 0, :])
    mag = {n: -2.5 * np.log10(flux @ bands[n][0]) + bands[n][1] for n in ("bp", "rp")}
    inside, metal = np.clip(teff, 4000, 7000), np.clip(m_h, -2.5, 0.4)
    dwarf = 1 / (1 + np.exp(-(logg - 3.6) / 0.25))
    wanted = dwarf * colour_from_teff(inside, metal, DWARF) + (1 - dwarf) * colour_from_teff(inside, metal, GIANT)
    delta = wanted - (mag["bp"] - mag["rp"])
    coolest, hottest = (int(np.argmin(abs(grid["TE"] - t))) for t in (4000, 6900))
    delta[:coolest] = delta[coolest]  # the relation stops at 4000 K: keep its last correction
    delta[hottest + 1 :] = delta[hottest]
    slope = (1000 / np.clip(grid["WL"], 400, 1000) - 1) / (1000 / 505 - 1000 / 790)  # 1 mag of BP-RP per unit
    return -0.4 * np.log(10) * delta[..., None] * slope


def components(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, vectors and scores of the first n principal components over the last axis."""
    flat = values.reshape(-1, values.shape[-1])
    mean = flat.mean(0)
    vectors = np.linalg.svd(flat - mean, full_matrices=False)[2][:n].astype(np.float16)
    scores = (flat - mean) @ np.linalg.pinv(vectors.astype(np.float64))
    return mean.astype("f4"), vectors, scores.astype("f4").reshape(*values.shape[:-1], n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("grid")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    grid = dict(np.load(args.grid))
    values = grid["G"].astype(np.float64)
    failed = np.isnan(values).any((-1, -2))
    nearest: Any = distance_transform_edt(failed, return_distances=False, return_indices=True)
    grid["G"] = values = values[tuple(nearest)]
    bands = passbands(grid["WL"])
    values[..., 0, :] += tilt(grid, bands)
    table = {"teff": grid["TE"], "logg": grid["LG"], "m_h": grid["MH"], "wavelength": grid["WL"], "bands": list(bands)}
    table["passband"] = np.stack([b[0] for b in bands.values()]).astype("f4")
    table["zero_point"] = np.array([b[1] for b in bands.values()])
    for i, (name, n) in enumerate(COMPONENTS.items()):
        mean, vectors, scores = components(values[..., i, :], n)
        table |= {f"{name}_mean": mean, f"{name}_vectors": vectors, f"{name}_scores": scores}
        rms = np.sqrt(np.mean((scores @ vectors.astype("f8") + mean - values[..., i, :]) ** 2))
        print(f"{name}: {n} components, rms residual {rms:.4f}; {failed.sum()} nodes filled from their neighbours")
    np.savez_compressed(args.out, **table)


if __name__ == "__main__":
    main()
