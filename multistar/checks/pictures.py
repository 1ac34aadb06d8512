"""The pictures of the documentation, made by the shipped model of new mock stars and of real ones."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from multistar.checks.calibration import calibration
from multistar.checks.disentangle import WITHOUT_DUST, disentangle
from multistar.checks.sky import read_samples
from multistar.checks.variable_pictures import draw_variables
from multistar.inference.inpaint import inpaint
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.mock.light_curves import light_curve_of, with_views
from multistar.mock.shards import write_survey
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.model.checkpoint import Model
from multistar.plots import (
    coloured_map,
    plot_calibration,
    plot_corner,
    plot_kiel,
    plot_spectrum,
)
from multistar.plots.style import DPI, INK, SERIES, name_with_unit, new_figure, styled
from multistar.quantities import QUANTITIES
from multistar.stars import read_stars

SEED = 77  # of mock stars that no model has seen
STARS, GIANTS, CURVES = 1000, 3000, 300
MISSION = "kepler"
SAMPLES = 1024
GIANT = (2.2, 2.8)  # log g of the star whose posterior is shown
REAL_LABELS = ("teff", "logg", "m_h")
LIMITS = {"teff": (3500, 7500), "logg": (0, 5), "m_h": (-2, 0.7)}


def draw_pictures(model: Model, folder: Path, real: Path | None = None) -> list[Path]:
    """Write all pictures into a folder, replacing those that are there.

    Parameters
    ----------
    model : Model
    folder : Path
    real : Path, optional
        The folder of real tables; without it the pictures of real stars stay as they are.

    Returns
    -------
    list of Path
        The files that were written.
    """
    pictures = draw_mock_pictures(model)
    if real is not None:
        pictures["sky"] = draw_sky(model, real)
        pictures["variables"] = draw_variables(real)
    written = []
    for name, picture in pictures.items():
        path = folder / f"{name}.png"
        with atomic_write(path, overwrite=True) as temporary:
            picture.savefig(temporary, dpi=DPI)
        written.append(path)
    return written


def draw_mock_pictures(model: Model) -> dict[str, Figure]:
    """Name -> picture: a Kiel diagram, a posterior, a spectrum, coverage, maps with and without dust."""
    table = _make_stars(STARS, "all-sky")
    giants = _make_stars(GIANTS, "apogee-like")
    stars = read_stars(table)
    labels = predict(model, stars)
    giant = _pick_giant(labels["logg"].to_numpy())
    samples = predict(model, stars.select(slice(giant, giant + 1)), samples=SAMPLES)
    star = int(stars.source_id[giant])
    _, maps = disentangle(model, read_stars(giants), most=GIANTS, generated=False, quiet=True)
    return {
        "kiel": plot_kiel(labels),
        "corner": plot_corner(samples),
        "spectrum": plot_spectrum(inpaint(model, stars, bands=["bp"]), star, table),
        "calibration": plot_calibration(calibration(model, stars)),
        "maps": draw_maps(maps),
        "light_curve": draw_light_curves(model),
    }


def _make_stars(n: int, selection: str) -> pa.Table:
    """New mock stars, as a table."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "mock.parquet")
        write_survey(n, SurveyConfig(SEED, selection), path)
        return pq.read_table(path)


def _pick_giant(logg: np.ndarray) -> int:
    """Row of the first star with a gravity in GIANT."""
    low, high = GIANT
    return int(np.argmax((logg > low) & (logg < high)))


def draw_light_curves(model: Model) -> Figure:
    """The light curve of a giant, and gravities of giants of which nothing but light curves is known."""
    survey = survey_block(SurveyConfig(SEED, "kepler-like"), block=0)
    giants = with_views(survey[:CURVES], MISSION, SEED)
    seen = giants.select(["source_id", "light_curve_value", "light_curve_sigma"])
    predicted = predict(model, read_stars(seen, origin="mock"), quiet=True)
    truth = giants["true_logg"].to_numpy()
    row = _pick_giant(truth)
    curve = light_curve_of(giants.slice(row, 1).to_pylist()[0], MISSION, SEED)
    median, low, high = (predicted[f"logg{end}"].to_numpy() for end in ("", "_lower", "_upper"))
    with styled():
        picture = new_figure(8.6, 3.4)
        left, right = picture.subplots(1, 2, width_ratios=(1.4, 1))
        left.plot(curve.time, 1e6 * (curve.flux - np.median(curve.flux)), ",", color=SERIES[0])
        left.set(xlabel="time [d]", ylabel="flux, relative [ppm]")
        left.set_title(f"a mock giant, log g = {truth[row]:.2f}: the input")
        errors = np.stack([median - low, high - median])
        right.errorbar(truth, median, errors, fmt=".", color=SERIES[0], ms=3, lw=0.5, alpha=0.6)
        limits = (truth.min(), truth.max())
        right.plot(limits, limits, color=INK, lw=0.8)
        right.set(xlabel="true log g", ylabel="predicted log g")
        right.set_title(f"{CURVES} giants by their light curves alone")
    return picture


def draw_maps(maps: pa.Table) -> Figure:
    """Maps of the same stars by temperature and dust, with and without what vectors tell of dust."""
    with styled():
        picture = new_figure(8.6, 7.0)
        axes = picture.subplots(2, 2)
        for row, suffix in zip(axes, ("", WITHOUT_DUST), strict=True):
            x, y = (maps[f"umap_{name}{suffix}"].to_numpy() for name in "xy")
            coloured_map(row[0], x, y, maps["teff"].to_numpy(), "Teff [K]", "teff")
            dust = np.log10(np.maximum(maps["ebv"].to_numpy(), 1e-3))
            coloured_map(row[1], x, y, dust, "log10(E(B-V) / mag)", "ebv")
            title = "dust ignored" if suffix else "plain vectors"
            for axis in row:
                axis.set_title(title)
                axis.set(xticks=[], yticks=[], xlabel="", ylabel="")
    return picture


def draw_sky(model: Model, folder: Path) -> Figure:
    """Predicted against known labels of real stars; only what a catalogue's photometry tells."""
    with styled():
        picture = new_figure(9.6, 3.4)
        axes = picture.subplots(1, len(REAL_LABELS))
        samples = [
            sample
            for sample in read_samples(folder)
            if set(REAL_LABELS) <= set(sample.labels) and not sample.given
        ]
        for number, sample in enumerate(samples):
            predicted = predict(model, read_stars(sample.table, labels=False))
            for axis, name in zip(axes, REAL_LABELS, strict=True):
                known, _ = sample.labels[name]
                axis.plot(
                    known,
                    predicted[name].to_numpy(),
                    ".",
                    color=SERIES[number],
                    ms=1.5,
                    alpha=0.4,
                    label=sample.name,
                    rasterized=True,
                )
        for axis, name in zip(axes, REAL_LABELS, strict=True):
            low, high = LIMITS[name]
            axis.plot([low, high], [low, high], color=INK, lw=0.8)
            title = name_with_unit(name, QUANTITIES[name].unit)
            axis.set(xlim=(low, high), ylim=(low, high))
            axis.set(xlabel=f"known {title}", ylabel=f"predicted {title}")
        axes[0].legend(markerscale=5, fontsize=7)
    return picture
