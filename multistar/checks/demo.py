"""What `make demo` shows: labels, posteriors, spectra, embeddings, neighbours of mock giants."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from multistar.checks.baselines import trees as predict_with_trees
from multistar.checks.metrics import coverage, scatter
from multistar.checks.report import Report
from multistar.checks.results import print_rows
from multistar.index.embeddings import Embeddings
from multistar.index.star_index import StarIndex
from multistar.inference.embed import embed
from multistar.inference.generate import generate
from multistar.inference.predict import predict
from multistar.mock.shards import write_survey
from multistar.mock.survey import SurveyConfig
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix
from multistar.model.checkpoint import Model, load_model
from multistar.plots.style import INK, SERIES, STAR, in_style, new_figure
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars
from multistar.training.data import held_out
from multistar.training.pretrain import pretrain
from multistar.training.run import load_run

TRAINING_SEED = 1
DEMO_SEED = 1001  # of stars that no shipped model has seen
NEIGHBOURS = 5
# Labels that are shown, and with how many digits.
DIGITS = {
    "teff": 1,
    "logg": 3,
    "m_h": 3,
    "alpha_m": 3,
    "mass": 3,
    "age": 2,
    "ebv": 4,
    "distance": 3,
}
SHOWN_OF_NEIGHBOURS = ("teff", "logg", "m_h", "mass", "ebv")
GENERATED_FROM = ("teff", "logg", "m_h", "alpha_m", "ebv")
PLANES = (("teff", "ebv"), ("mass", "age"))
JOINT_SAMPLES, SPECTRUM_SAMPLES = 1000, 32


@dataclass(frozen=True)
class Demonstration:
    """A model, mock stars that it has not seen, and XGBoost's predictions for them, if any."""

    model: Model
    test: Stars
    trees: dict[str, np.ndarray] | None = None

    def truth(self, name: str) -> np.ndarray:
        """Return the true values (n,) of a label."""
        return self.test.extra[f"true_{name}"]


def train_small_model(run_file: str | Path, n_stars: int) -> Demonstration:
    """Train a model on a new mock survey, and fit XGBoost to the same rows; held-out stars test."""
    run = load_run(run_file)
    (table,) = run.data.train
    write_survey(n_stars, SurveyConfig(seed=TRAINING_SEED), table, overwrite=True)
    pretrain(run, overwrite=True)
    model, stars = load_model(run.out), read_stars(table)
    held = held_out(stars.source_id, run.data.held_out)
    train, test = stars.select(~held), stars.select(held)
    trees = predict_with_trees(model, train, test, model.vocabulary.labels)
    return Demonstration(model, test, trees)


def use_shipped_model(n_stars: int, folder: Path) -> Demonstration:
    """Take the model that comes with the package, and make new mock stars in a folder."""
    file = folder / "mock.parquet"
    write_survey(n_stars, SurveyConfig(seed=DEMO_SEED), file, overwrite=True)
    return Demonstration(load_model("mini"), read_stars(file))


def make_report(demo: Demonstration) -> Report:
    """Make the page: every section of it, in order."""
    predicted = predict(demo.model, demo.test).to_pandas()
    embeddings = Embeddings.from_table(embed(demo.model, demo.test))
    report = Report("multistar demo")
    _add_introduction(demo, report)
    _add_scatter(demo, predicted, report)
    report.section("Predicted against true labels")
    description = "eight panels of predicted against true labels around the 1:1 line"
    report.figure(_draw_truth(demo, predicted), description)
    report.section("Kiel diagram")
    description = "logg against Teff coloured by metallicity, true and predicted side by side"
    report.figure(_draw_kiel(demo, predicted), description)
    _add_joint(demo, report)
    _add_generated(demo, report)
    text = "UMAP of the 256-dimensional vectors, coloured by temperature and by reddening."
    report.section("The embedding", text)
    description = "map of the embeddings coloured by effective temperature and by E(B-V)"
    report.figure(_draw_map(demo, embeddings), description)
    _add_neighbours(demo, embeddings, report)
    return report


def _add_introduction(demo: Demonstration, report: Report) -> None:
    training_stars = demo.model.provenance["training_stars"]
    text = (
        f"{len(demo.test):,} mock giants with Gaia XP spectra, 13 magnitudes and parallaxes "
        f"that the model has not seen. It was trained on {training_stars:,} mock stars with "
        "labels as noisy as a survey's and is judged on the true labels. "
    )
    if demo.trees:
        text += "XGBoost had the same training rows and inputs, errors included."
    report.section("What this is", text)


def score_labels(demo: Demonstration, predicted: pd.DataFrame) -> list[dict[str, str]]:
    """Score predictions against the truth, label by label, beside XGBoost where it was fitted.

    Returns
    -------
    list of dict
        Heads of columns -> cells.
    """
    rows = []
    for name, digits in DIGITS.items():
        truth, ours = demo.truth(name), scatter(predicted[name].to_numpy(), demo.truth(name))
        low, high = (predicted[f"{name}_{end}"].to_numpy() for end in ("lower", "upper"))
        row = {"label": _with_unit(name)}
        row["MAD-std"] = f"{ours['mad_std']:.{digits}f}"
        row["std"] = f"{ours['std']:.{digits}f}"
        row["bias"] = f"{ours['bias']:.{digits}f}"
        row["in 68 %"] = f"{100 * coverage(low, high, truth):.0f} %"
        if demo.trees:
            theirs = scatter(demo.trees[name], truth)
            row["XGB MAD-std"] = f"{theirs['mad_std']:.{digits}f}"
            row["XGB std"] = f"{theirs['std']:.{digits}f}"
            row["ratio"] = f"{ours['mad_std'] / theirs['mad_std']:.2f}"
        rows.append(row)
    return rows


def _add_scatter(demo: Demonstration, predicted: pd.DataFrame, report: Report) -> None:
    rows = score_labels(demo, predicted)
    report.section(
        "Scatter",
        "Residuals against the true labels. 'in 68 %' is the share of truths inside the predicted "
        "68 % interval; 'ratio', where there is one, is the MAD-std over that of XGBoost (below 1: "
        "better than XGBoost).",
    )
    report.table(list(rows[0]), [list(row.values()) for row in rows])
    print_rows("residuals against the true labels", rows)


@in_style
def _draw_truth(demo: Demonstration, predicted: pd.DataFrame) -> Figure:
    figure = new_figure(13, 6.5)
    style: dict[str, Any] = {"gridsize": 60, "bins": "log", "mincnt": 1}
    for axis, name in zip(figure.subplots(2, 4).flat, DIGITS, strict=True):
        truth = demo.truth(name)
        limits = np.percentile(truth, [0.2, 99.8])
        axis.hexbin(truth, predicted[name], extent=(*limits, *limits), **style)
        axis.plot(limits, limits, color=STAR, lw=1)
        axis.set(xlabel=f"true {_with_unit(name)}", ylabel="predicted", xlim=limits, ylim=limits)
    return figure


@in_style
def _draw_kiel(demo: Demonstration, predicted: pd.DataFrame) -> Figure:
    figure = new_figure(11, 5)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    truth = {name: demo.truth(name) for name in ("teff", "logg", "m_h")}
    for axis, stars, title in ((left, truth, "true"), (right, predicted, "predicted")):
        style: dict[str, Any] = {"s": 3, "vmin": -1, "vmax": 0.4}
        dots = axis.scatter(stars["teff"], stars["logg"], c=stars["m_h"], **style)
        axis.set(xlabel="Teff [K]", ylabel="logg [dex]", title=title)
    right.invert_xaxis()
    right.invert_yaxis()
    figure.colorbar(dots, label="[M/H] [dex]")
    return figure


@in_style
def _draw_map(demo: Demonstration, embeddings: Embeddings) -> Figure:
    import umap

    mapper = umap.UMAP(metric="cosine", random_state=0, n_jobs=1)
    place = np.asarray(mapper.fit_transform(embeddings.vector))
    figure = new_figure(12, 5)
    for axis, name in zip(figure.subplots(1, 2), ("teff", "ebv"), strict=True):
        value = demo.truth(name)
        low, high = np.percentile(value, [2, 98])
        style: dict[str, Any] = {"s": 3, "vmin": low, "vmax": high}
        dots = axis.scatter(place[:, 0], place[:, 1], c=value, **style)
        axis.set(xticks=[], yticks=[], title=f"true {name}")
        figure.colorbar(dots, label=_with_unit(name))
    return figure


def _add_neighbours(demo: Demonstration, embeddings: Embeddings, report: Report) -> None:
    """The star of median temperature and the stars most like it: a table and their spectra."""
    ids = demo.test.source_id
    order = np.argsort(demo.truth("teff"))
    star = int(ids[order[len(order) // 2]])
    found = StarIndex.build(embeddings).neighbours([star], NEIGHBOURS)
    place = {int(identifier): row for row, identifier in enumerate(ids)}
    stars = [star, *found["neighbour_id"].to_pylist()]
    distances = ["query", *(f"{x:.5f}" for x in found["distance"].to_pylist())]
    rows = []
    for identifier, distance in zip(stars, distances, strict=True):
        row = [str(identifier), distance]
        for name in SHOWN_OF_NEIGHBOURS:
            row.append(f"{demo.truth(name)[place[identifier]]:.{DIGITS[name]}f}")
        rows.append(row)
    text = "True labels of a star and of the stars nearest to it in the embedding."
    report.section("One star and its neighbours", text)
    report.table(["source_id", "distance", *SHOWN_OF_NEIGHBOURS], rows)
    spectra = [_sample_spectrum(demo.test, place[identifier]) for identifier in stars]
    description = "sampled XP spectra of the query star and its five neighbours, nearest first"
    report.figure(_draw_spectra(spectra, distances), description)


def _sample_spectrum(stars: Stars, row: int) -> np.ndarray:
    """(n_wave,) [W m-2 nm-1]."""
    return np.r_[stars.xp["bp"].value[row], stars.xp["rp"].value[row]] @ flux_matrix()


@in_style
def _draw_spectra(spectra: list[np.ndarray], labels: list[str]) -> Figure:
    """Spectra over their medians; the first is the query."""
    figure = new_figure(10, 4.5)
    axis = figure.subplots()
    for i, (flux, label) in enumerate(zip(spectra, labels, strict=True)):
        style: dict[str, Any] = {"lw": 1} if i else {"lw": 2, "color": INK}
        axis.plot(WAVELENGTH, flux / np.median(flux), label=label, **style)
    axis.set(xlabel="wavelength [nm]", ylabel="flux / median")
    axis.set_title("XP spectra: the star and its neighbours")
    axis.legend(title="distance")
    return figure


@in_style
def _add_joint(demo: Demonstration, report: Report) -> None:
    """The joint posterior of the first star: temperature against reddening, mass against age."""
    star = demo.test.select(slice(0, 1))
    table = predict(demo.model, star, quiet=True, samples=JOINT_SAMPLES).to_pandas()
    figure = new_figure(11, 4.5)
    for axis, (x, y) in zip(figure.subplots(1, 2), PLANES, strict=True):
        samples = (table[f"{name}_samples"][0] for name in (x, y))
        axis.plot(*samples, ".", ms=2, alpha=0.6, label="joint samples")
        truth = (demo.truth(name)[0] for name in (x, y))
        axis.plot(*truth, "+", ms=14, mew=2, color=STAR, label="truth")
        axis.set(xlabel=_with_unit(x), ylabel=_with_unit(y))
    axis.legend()
    text = "What is uncertain together: temperature and dust, mass and age."
    report.section("The joint posterior of one star", text)
    description = "joint posterior samples of one star in two planes, with the true values"
    report.figure(figure, description)


@in_style
def _add_generated(demo: Demonstration, report: Report) -> None:
    """A spectrum made from labels and G, beside the star's own."""
    star = demo.test.select(slice(0, 1))
    given = {"source_id": star.source_id, "phot_g_mean_mag": star.scalars["g"].value}
    given |= {name: star.extra[f"true_{name}"] for name in GENERATED_FROM}
    table = _generate(demo.model, given)
    flux, error = (np.array(table[name][0].as_py()) for name in ("flux", "flux_error"))
    own = _sample_spectrum(star, 0)
    figure = new_figure(10, 4.5)
    axis = figure.subplots()
    axis.plot(WAVELENGTH, own, color=INK, lw=1, label="observed")
    axis.plot(WAVELENGTH, flux, color=SERIES[0], label="generated from its labels and G")
    axis.fill_between(WAVELENGTH, flux - error, flux + error, color=SERIES[0], alpha=0.3)
    highest = 1.3 * np.nanmax(own[WAVELENGTH > 400])
    axis.set(xlabel="wavelength [nm]", ylabel="flux [W m-2 nm-1]", ylim=(0, highest))
    axis.legend()
    text = f"Generated from true {', '.join(GENERATED_FROM)} and G; the band is its 68 % error."
    report.section("A spectrum from labels", text)
    description = "a generated spectrum with its error band beside the observed one"
    report.figure(figure, description)


def _generate(model: Model, given: dict[str, np.ndarray]) -> pa.Table:
    stars = read_stars(given, labels=True)
    return generate(model, stars, SPECTRUM_SAMPLES, 0, True, True)


def _with_unit(name: str) -> str:
    return f"{name} [{QUANTITIES[name].unit}]"
