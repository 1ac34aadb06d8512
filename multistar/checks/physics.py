"""Does a model know physics? Relations between its labels, its dust, and the spectra it fills in.

Every number is computed from predictions alone or compared with the truth of a table of mock stars.
"""

import json
from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow as pa
from astropy.stats import mad_std
from dust_extinction.parameter_averages import G23
from matplotlib.figure import Figure
from scipy.stats import spearmanr, theilslopes

from multistar.checks.baselines import conditional_gaussian
from multistar.inference.generate import generate
from multistar.inference.inpaint import inpaint
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.mock.phases import SOLAR_LOGG, SOLAR_TEFF
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH
from multistar.model.checkpoint import Model
from multistar.stars import Stars, read_stars

JSON, PICTURE = "physics.json", "physics.png"
OWNED = (JSON, PICTURE)
SOLAR_M_H = 0.15  # |[M/H]| of stars that count as solar in the age-mass relation
REDDENINGS = (0.05, 0.45, 0.85)  # mag, at which the same stars are generated
GENERATED_STARS, SAMPLES = 24, 64
GENERATED_LOGG = (1.0, 2.6)
RANGE = (400.0, 1000.0)  # nm, where the extinction curve is judged
G23_CURVE = G23(Rv=3.1)
COMPONENTS = (10, 20, 40, 110)  # many reference stars bear all, few do not
INPAINTED, SLOPE_STARS, FEWEST = 1000, 3000, 20


def physics(
    model: Model, stars: Stars, reference: Stars | None = None, seed: int = 0, quiet: bool = False
) -> dict:
    """All numbers of the check, ready for JSON.

    stars      mock stars with true_L columns, or any others (fewer numbers then)
    reference  stars from which the conditional-Gaussian baseline of inpainting is learnt; without it no inpainting

    Raises ValueError if there are fewer than 100 stars.
    """
    if len(stars) < 100:
        raise ValueError(f"the check needs at least 100 stars, got {len(stars)}")
    table = predict(model, stars, quiet)
    guess = {name: table[name].to_numpy() for name in model.vocabulary.labels}
    truth = {name: stars.extra[f"true_{name}"] for name in guess if f"true_{name}" in stars.extra}
    out: dict = {"model_sha256": model.hash, "stars": len(stars)}
    out["age_mass"] = {"predicted": age_mass(guess)} | ({"true": age_mass(truth)} if truth else {})
    if truth:
        out["age_metallicity"] = age_metallicity(guess, truth)
        out["dust"] = {"dteff_debv_residual": slope(guess["teff"] - truth["teff"], truth["ebv"])}
        out["extinction"] = extinction(model, stars, truth, seed)
        log_l = (
            np.log10(truth["mass"])
            - truth["logg"]
            + SOLAR_LOGG
            + 4 * np.log10(truth["teff"] / SOLAR_TEFF)
        )
        out["dynamical_mass"] = dynamical_mass(guess, 10**log_l)
    if reference is not None:
        few = stars.select(slice(0, INPAINTED))
        out["inpainting"] = {band: inpainting(model, few, reference, band) for band in ("bp", "rp")}
    return out


def slope(y: np.ndarray, x: np.ndarray) -> float:
    """Median slope of all pairs (Theil & Sen), of at most SLOPE_STARS stars: pairs grow with their square."""
    return float(np.asarray(theilslopes(y[:SLOPE_STARS], x[:SLOPE_STARS]))[0])


def age_mass(labels: dict[str, np.ndarray]) -> dict[str, float]:
    """Slope of ln age against ln mass (-2.5 to -3.5 for stellar evolution) and rank correlation at solar [M/H]."""
    solar = np.abs(labels["m_h"]) < SOLAR_M_H
    if solar.sum() < FEWEST:
        return {"slope": np.nan, "spearman": np.nan}
    mass, age = np.log(labels["mass"][solar]), np.log(labels["age"][solar])
    return {"slope": slope(age, mass), "spearman": float(np.asarray(spearmanr(age, mass))[0])}


def age_metallicity(guess: dict, truth: dict) -> dict:
    """Median age [Gyr] by [M/H] bin, predicted and true."""
    edges = np.quantile(truth["m_h"], np.linspace(0, 1, 7))
    place = [np.clip(np.searchsorted(edges, x["m_h"]) - 1, 0, 5) for x in (guess, truth)]
    ages = [
        [_median(x["age"][p == i]) for i in range(6)]
        for x, p in zip((guess, truth), place, strict=True)
    ]
    return {"m_h_edges": edges.tolist(), "predicted": ages[0], "true": ages[1]}


def _median(x: np.ndarray) -> float:
    return float(np.median(x)) if len(x) else np.nan


def dynamical_mass(guess: dict, luminosity: np.ndarray) -> dict[str, float]:
    """ln of the predicted mass over the mass that predicted logg and Teff and the true luminosity [Lsun] imply."""
    log_mass = (
        guess["logg"] - SOLAR_LOGG + np.log10(luminosity) - 4 * np.log10(guess["teff"] / SOLAR_TEFF)
    )
    ratio = np.log(guess["mass"]) - np.log(10) * log_mass
    return {"median": float(np.median(ratio)), "mad_std": float(mad_std(ratio))}


def extinction(model: Model, stars: Stars, truth: dict, seed: int) -> dict:
    """The same giants generated behind different dust: A(lambda) / E(B-V) against Gordon et al. (2023), R_V = 3.1, and
    what temperature the model reads from spectra that it made itself, per magnitude of reddening."""
    rows = np.flatnonzero(
        (truth["logg"] > GENERATED_LOGG[0]) & (truth["logg"] < GENERATED_LOGG[1])
    )[:GENERATED_STARS]
    flux, teff = [], []
    for ebv in REDDENINGS:
        labels = {name: truth[name][rows] for name in truth} | {"ebv": np.full(len(rows), ebv)}
        made = generate(model, _labelled(stars.source_id[rows], labels), SAMPLES, seed, True, True)
        flux.append(np.stack(made["flux"].to_pylist()))
        mock = made.drop_columns(["flux", "flux_error"]).append_column(
            "true_teff", pa.array(truth["teff"][rows])
        )
        teff.append(predict(model, read_stars(mock), True)["teff"].to_numpy())
    inside = np.abs(WAVELENGTH - np.mean(RANGE)) <= np.ptp(RANGE) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        curves = [
            -2.5 * np.log10(f / flux[0]) / (e - REDDENINGS[0])
            for f, e in zip(flux, REDDENINGS, strict=True)
        ][1:]
    curve = np.nanmedian(np.concatenate(curves), axis=0)
    known = 3.1 * G23_CURVE(WAVELENGTH * u.nm)
    error = curve[inside] / known[inside] - 1
    change = (teff[-1] - teff[0]) / (REDDENINGS[-1] - REDDENINGS[0])
    return {
        "wavelength": WAVELENGTH.tolist(),
        "curve": curve.tolist(),
        "g23": known.tolist(),
        "rms_error": float(np.sqrt(np.mean(error**2))),
        "largest_error": float(np.max(np.abs(error))),
        "dteff_debv_generated": float(np.median(change)),
    }


def _labelled(source_id: np.ndarray, labels: dict[str, np.ndarray]) -> Stars:
    return read_stars({"source_id": source_id} | labels, labels=True)


def inpainting(
    model: Model, stars: Stars, reference: Stars, band: str, judged: Stars | None = None
) -> dict[str, float]:
    """One band from the other: rms error in units of the catalogue's errors, median over stars, beside a baseline.

    The baseline is the better one of conditional Gaussians of COMPONENTS principal components, learnt from
    `reference`; which is better is decided in its favour on the very stars. `judged`: the same stars with only
    the coefficients that count, e.g. the relevant ones, if not all do.
    """
    filled = inpaint(model, stars, (band,), True)
    xp = (judged or stars).xp[band]

    def rms(guess: np.ndarray) -> float:
        return float(
            np.nanmedian(np.sqrt(np.nanmean(((guess - xp.value) / xp.sigma) ** 2, axis=1)))
        )

    ours = rms(np.stack(filled[f"{band}_coefficients"].to_pylist()))
    theirs = min(rms(conditional_gaussian(reference, stars, band, n)) for n in COMPONENTS)
    return {"model": ours, "gaussian": theirs, "ratio": ours / theirs}


def figure(result: dict) -> Figure:
    """Extinction curve and age-metallicity relation, the model's beside what they should be."""
    picture = Figure(figsize=(11, 4), layout="constrained")
    left, right = picture.subplots(1, 2)
    if "extinction" in result:
        dust = result["extinction"]
        left.plot(dust["wavelength"], dust["curve"], label="generated")
        left.plot(
            dust["wavelength"],
            dust["g23"],
            color="black",
            lw=1,
            label="Gordon et al. (2023), R_V = 3.1",
        )
        left.set(xlabel="wavelength [nm]", ylabel="A / E(B-V)", ylim=(0, 6))
        left.legend()
        ages = result["age_metallicity"]
        middle = np.convolve(ages["m_h_edges"], [0.5, 0.5], "valid")
        right.plot(middle, ages["predicted"], "o-", label="predicted")
        right.plot(middle, ages["true"], "k.-", label="true")
        right.set(xlabel="[M/H]", ylabel="median age [Gyr]")
        right.legend()
    return picture


def write_physics(result: dict, folder: str | Path, overwrite: bool = False) -> None:
    """physics.json and physics.png in a folder, atomically."""
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        (temporary / JSON).write_text(json.dumps(result, indent=1))
        figure(result).savefig(temporary / PICTURE, dpi=110)
