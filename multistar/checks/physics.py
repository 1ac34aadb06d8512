"""Does a model know physics? Relations between its labels, its dust, and the spectra it fills in.

Every number is computed from predictions alone or compared with the truth of a table of mock stars.
"""

from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow as pa
from astropy.stats import mad_std
from dust_extinction.parameter_averages import G23
from matplotlib.figure import Figure
from scipy.stats import spearmanr, theilslopes

from multistar.checks.baselines import conditional_gaussian
from multistar.checks.figures import write_result
from multistar.inference.generate import generate
from multistar.inference.inpaint import inpaint
from multistar.inference.predict import predict
from multistar.mock.phases import SOLAR_LOGG, SOLAR_TEFF
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH
from multistar.model.checkpoint import Model
from multistar.plots.style import INK, in_style, new_figure
from multistar.stars import Stars, read_stars

OWNED = JSON, PICTURE = "physics.json", "physics.png"
LEAST_STARS = 100
# |[M/H]| of stars that count as solar in the age-mass relation
SOLAR_M_H = 0.15
METALLICITY_BINS = 6
# mag, at which the same stars are generated
REDDENINGS = (0.05, 0.45, 0.85)
GENERATED_STARS, SAMPLES = 24, 64
GENERATED_LOGG = (1.0, 2.6)
# nm, where the extinction curve is judged
RANGE = (400.0, 1000.0)
R_V = 3.1
G23_CURVE = G23(Rv=R_V)
# Principal components of the baseline: many reference stars bear all, few do not.
COMPONENTS = (10, 20, 40, 110)
INPAINTED, SLOPE_STARS, FEWEST = 1000, 3000, 20

Labels = dict[str, np.ndarray]


def physics(
    model: Model, stars: Stars, reference: Stars | None = None, seed: int = 0, quiet: bool = False
) -> dict:
    """Compute all numbers of the physics check.

    Parameters
    ----------
    model : Model
        The model that is checked.
    stars : Stars
        Mock stars with `true_L` columns, or any others (fewer numbers then).
    reference : Stars, optional
        Stars from which the conditional-Gaussian baseline of inpainting is learnt; without it
        inpainting is left out.
    seed : int
        Of the generated spectra.
    quiet : bool
        True hides the progress bar.

    Returns
    -------
    dict
        Ready for JSON: `age_mass`; with the truth also `age_metallicity`, `dust`, `extinction`
        and `dynamical_mass`; with a reference also `inpainting`.

    Raises
    ------
    ValueError
        If there are fewer than 100 stars.
    """
    if len(stars) < LEAST_STARS:
        raise ValueError(f"the check needs at least {LEAST_STARS} stars, got {len(stars)}")
    table = predict(model, stars, quiet)
    guess, truth = {}, {}
    for name in model.vocabulary.labels:
        guess[name] = table[name].to_numpy()
        if f"true_{name}" in stars.extra:
            truth[name] = stars.extra[f"true_{name}"]
    result: dict = {"model_sha256": model.hash, "stars": len(stars)}
    result["age_mass"] = {"predicted": measure_age_mass(guess)}
    if truth:
        residual = guess["teff"] - truth["teff"]
        luminosity = 10 ** _log_luminosity(truth)
        result["age_mass"]["true"] = measure_age_mass(truth)
        result["age_metallicity"] = measure_age_metallicity(guess, truth)
        result["dust"] = {"dteff_debv_residual": fit_slope(residual, truth["ebv"])}
        result["extinction"] = measure_extinction(model, stars, truth, seed)
        result["dynamical_mass"] = measure_dynamical_mass(guess, luminosity)
    if reference is not None:
        few = stars.select(slice(0, INPAINTED))
        result["inpainting"] = {}
        for band in ("bp", "rp"):
            result["inpainting"][band] = inpainting(model, few, reference, band)
    return result


def _log_luminosity(labels: Labels) -> np.ndarray:
    """(n,) log10 of the luminosity [Lsun] that mass, logg and Teff imply."""
    log_mass = np.log10(labels["mass"])
    return log_mass - labels["logg"] + SOLAR_LOGG + 4 * np.log10(labels["teff"] / SOLAR_TEFF)


def fit_slope(y: np.ndarray, x: np.ndarray) -> float:
    """Give the median slope of all pairs of points (Theil & Sen) of y (n,) against x (n,).

    Only the first SLOPE_STARS points are used, because pairs grow with their square.
    """
    fit = np.asarray(theilslopes(y[:SLOPE_STARS], x[:SLOPE_STARS]))
    return float(fit[0])


def measure_age_mass(labels: Labels) -> dict[str, float]:
    """Measure how age depends on mass at solar metallicity.

    Parameters
    ----------
    labels : dict of str to ndarray, shape (n,)
        `m_h` [dex], `mass` [Msun], `age` [Gyr].

    Returns
    -------
    dict of str to float
        `slope` of ln age against ln mass (-2.5 to -3.5 for stellar evolution) and `spearman`,
        their rank correlation; both NaN with fewer than FEWEST stars of solar metallicity.
    """
    solar = np.abs(labels["m_h"]) < SOLAR_M_H
    if solar.sum() < FEWEST:
        return {"slope": np.nan, "spearman": np.nan}
    log_mass = np.log(labels["mass"][solar])
    log_age = np.log(labels["age"][solar])
    correlation = np.asarray(spearmanr(log_age, log_mass))[0]
    return {"slope": fit_slope(log_age, log_mass), "spearman": float(correlation)}


def measure_age_metallicity(guess: Labels, truth: Labels) -> dict:
    """Measure the median age [Gyr] by bins of [M/H], predicted and true.

    Parameters
    ----------
    guess, truth : dict of str to ndarray, shape (n,)
        `m_h` [dex] and `age` [Gyr].

    Returns
    -------
    dict of str to list of float
        `m_h_edges` of bins with equal numbers of true [M/H]; `predicted` and `true` ages, NaN in
        bins without stars.
    """
    edges = np.quantile(truth["m_h"], np.linspace(0, 1, METALLICITY_BINS + 1))
    return {
        "m_h_edges": edges.tolist(),
        "predicted": _median_ages(guess, edges),
        "true": _median_ages(truth, edges),
    }


def _median_ages(labels: Labels, edges: np.ndarray) -> list[float]:
    """Median age in each bin of [M/H]; stars outside of all count in the first or last."""
    last = METALLICITY_BINS - 1
    place = np.clip(np.searchsorted(edges, labels["m_h"]) - 1, 0, last)
    medians = []
    for i in range(METALLICITY_BINS):
        ages = labels["age"][place == i]
        medians.append(float(np.median(ages)) if len(ages) else np.nan)
    return medians


def measure_dynamical_mass(guess: Labels, luminosity: np.ndarray) -> dict[str, float]:
    """Compare the predicted mass with the one that the other predictions imply.

    Parameters
    ----------
    guess : dict of str to ndarray, shape (n,)
        Predicted `logg` [dex], `teff` [K] and `mass` [Msun].
    luminosity : ndarray, shape (n,)
        True luminosity [Lsun].

    Returns
    -------
    dict of str to float
        `median` and `mad_std` of ln of the predicted mass over the mass that predicted logg and
        Teff and the true luminosity imply.
    """
    log_temperature = np.log10(guess["teff"] / SOLAR_TEFF)
    log_mass = guess["logg"] - SOLAR_LOGG + np.log10(luminosity) - 4 * log_temperature
    ratio = np.log(guess["mass"]) - np.log(10) * log_mass
    return {"median": float(np.median(ratio)), "mad_std": float(mad_std(ratio))}


def select_generated(labels: Labels) -> np.ndarray:
    """Give (n,) bool: the giants, by logg in GENERATED_LOGG, whose spectra can be generated."""
    low, high = GENERATED_LOGG
    return (labels["logg"] > low) & (labels["logg"] < high)


def measure_extinction(model: Model, stars: Stars, truth: Labels, seed: int) -> dict:
    """Generate the same giants behind different dust, and read them back.

    Parameters
    ----------
    model : Model
        Generates the spectra and predicts temperatures from them.
    stars : Stars
        Gives the ids.
    truth : dict of str to ndarray, shape (n,)
        Labels of the stars.
    seed : int
        Of the generated spectra.

    Returns
    -------
    dict
        `wavelength` [nm]; `curve`, A(lambda) / E(B-V) of the generated spectra; `g23`, that of
        Gordon et al. (2023) for R_V = 3.1; `rms_error` and `largest_error` of the curve relative
        to it between 400 and 1000 nm; `dteff_debv_generated`, by how much the temperature that
        the model reads from its own spectra changes per magnitude of reddening [K/mag].
    """
    rows = np.flatnonzero(select_generated(truth))[:GENERATED_STARS]
    source_id = stars.source_id[rows]
    giants = {name: values[rows] for name, values in truth.items()}
    flux, teff = [], []
    for ebv in REDDENINGS:
        reddened = giants | {"ebv": np.full(len(rows), ebv)}
        inputs = read_stars({"source_id": source_id} | reddened, labels=True)
        made = generate(model, inputs, SAMPLES, seed, True, True)
        flux.append(np.stack(made["flux"].to_pylist()))
        teff.append(_predict_teff(model, made))

    curve = _extinction_curve(flux)
    known = R_V * G23_CURVE(WAVELENGTH * u.nm)
    inside = np.abs(WAVELENGTH - np.mean(RANGE)) <= np.ptp(RANGE) / 2
    error = curve[inside] / known[inside] - 1
    rms_error = np.sqrt(np.mean(error**2))
    change = (teff[-1] - teff[0]) / (REDDENINGS[-1] - REDDENINGS[0])
    return {
        "wavelength": WAVELENGTH.tolist(),
        "curve": curve.tolist(),
        "g23": known.tolist(),
        "rms_error": float(rms_error),
        "largest_error": float(np.max(np.abs(error))),
        "dteff_debv_generated": float(np.median(change)),
    }


def _predict_teff(model: Model, made: pa.Table) -> np.ndarray:
    """(n,) temperatures [K] that the model reads from spectra that it generated."""
    stars = read_stars(made.drop_columns(["flux", "flux_error"]), origin="mock")
    return predict(model, stars, quiet=True)["teff"].to_numpy()


def _extinction_curve(flux: list[np.ndarray]) -> np.ndarray:
    """(wavelengths,) median A / E(B-V) from spectra (n, wavelengths) at each of REDDENINGS."""
    curves = []
    for reddened, ebv in zip(flux[1:], REDDENINGS[1:], strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            extinction = -2.5 * np.log10(reddened / flux[0])
        curves.append(extinction / (ebv - REDDENINGS[0]))
    return np.nanmedian(np.concatenate(curves), axis=0)


def inpainting(
    model: Model, stars: Stars, reference: Stars, band: str, judged: Stars | None = None
) -> dict[str, float]:
    """Judge a model that fills in one XP band from the other, beside a baseline.

    Parameters
    ----------
    model : Model
        The model that is checked.
    stars : Stars
        Stars with both bands; the model does not see the one that it fills in.
    reference : Stars
        Stars that the baseline is fitted to.
    band : {"bp", "rp"}
        The band that is filled in.
    judged : Stars, optional
        The same stars with only the coefficients that count, such as the relevant ones, if not
        all do.

    Returns
    -------
    dict of str to float
        `model` and `gaussian`: rms error in units of the catalogue's errors, median over stars.
        `ratio` of the two.

    Notes
    -----
    The baseline is the best of conditional Gaussians of COMPONENTS principal components; which
    one is best is decided in its favour on the very stars.
    """
    filled = inpaint(model, stars, (band,), True)
    coefficients = np.stack(filled[f"{band}_coefficients"].to_pylist())
    if judged is None:
        judged = stars
    ours = _rms_error(coefficients, judged, band)
    theirs = []
    for components in COMPONENTS:
        guess = conditional_gaussian(reference, stars, band, components)
        theirs.append(_rms_error(guess, judged, band))
    best = min(theirs)
    return {"model": ours, "gaussian": best, "ratio": ours / best}


def _rms_error(guess: np.ndarray, stars: Stars, band: str) -> float:
    """Rms error of coefficients (n, orders) in units of the catalogue's, median over stars."""
    xp = stars.xp[band]
    squared = ((guess - xp.value) / xp.sigma) ** 2
    rms = np.sqrt(np.nanmean(squared, axis=1))
    return float(np.nanmedian(rms))


@in_style
def draw_physics(result: dict) -> Figure:
    """Draw the extinction curve and the age-metallicity relation beside what they should be.

    Without the truth of mock stars both panels stay empty.
    """
    picture = new_figure(11, 4)
    left, right = picture.subplots(1, 2)
    if "extinction" in result:
        _draw_extinction(left, result["extinction"])
        _draw_age_metallicity(right, result["age_metallicity"])
    return picture


def _draw_extinction(axis, dust: dict) -> None:
    label = "Gordon et al. (2023), R_V = 3.1"
    axis.plot(dust["wavelength"], dust["curve"], label="generated")
    axis.plot(dust["wavelength"], dust["g23"], color=INK, lw=1, label=label)
    axis.set(xlabel="wavelength [nm]", ylabel="A / E(B-V)", ylim=(0, 6))
    axis.legend()


def _draw_age_metallicity(axis, ages: dict) -> None:
    middle = np.convolve(ages["m_h_edges"], [0.5, 0.5], "valid")
    axis.plot(middle, ages["predicted"], "o-", label="predicted")
    axis.plot(middle, ages["true"], "k.-", label="true")
    axis.set(xlabel="[M/H]", ylabel="median age [Gyr]")
    axis.legend()


def write_physics(result: dict, folder: str | Path, overwrite: bool = False) -> None:
    """Write physics.json and physics.png into a folder, atomically.

    Raises FileExistsError if the folder exists and `overwrite` is False.
    """
    write_result(result, draw_physics(result), folder, OWNED, overwrite)
