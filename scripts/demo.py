"""`make demo`: mock giants -> labels, joint posteriors, spectra, embeddings and neighbours -> demo/report.html.

With --train (`make demo-train`) a small model is trained first and compared with XGBoost.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import umap
from matplotlib.figure import Figure
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from multistar.api import MultiStar
from multistar.checks.baselines import trees as boosted_trees
from multistar.checks.metrics import coverage, scatter
from multistar.checks.report import Report
from multistar.index.embeddings import Embeddings
from multistar.index.star_index import StarIndex
from multistar.mock.shards import write_survey
from multistar.mock.survey import SurveyConfig
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars
from multistar.training.data import held_out
from multistar.training.pretrain import pretrain
from multistar.training.run import load_run

HERE = Path(__file__).parent
OUT = HERE.parent / "demo"
STARS, SEED = 30_000, 1
DEMO_STARS, DEMO_SEED = 5_000, 1001  # stars that no shipped model has seen
NEIGHBOURS = 5
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
console = Console()


def score(predicted: pd.DataFrame, trees: pd.DataFrame, test: Stars, report: Report) -> None:
    """The table of scatters, on the page and on the terminal; with XGBoost's where there are `trees`."""
    header = ["label", "MAD-std", "std", "bias", "in 68 %"] + [
        "XGB MAD-std",
        "XGB std",
        "ratio",
    ] * (not trees.empty)
    rows = []
    for name, digits in DIGITS.items():
        truth = test.extra[f"true_{name}"]
        ours = scatter(predicted[name].to_numpy(), truth)
        inside = coverage(
            predicted[f"{name}_lower"].to_numpy(), predicted[f"{name}_upper"].to_numpy(), truth
        )
        numbers = [f"{ours[key]:.{digits}f}" for key in ("mad_std", "std", "bias")] + [
            f"{100 * inside:.0f} %"
        ]
        if not trees.empty:
            theirs = scatter(trees[name].to_numpy(), truth)
            numbers += [f"{theirs[key]:.{digits}f}" for key in ("mad_std", "std")]
            numbers += [f"{ours['mad_std'] / theirs['mad_std']:.2f}"]
        rows.append([f"{name} [{QUANTITIES[name].unit}]", *numbers])
    report.section(
        "Scatter",
        "Residuals against the true labels. 'in 68 %' is the share of truths inside the predicted 68 % interval; "
        "'ratio', where there is one, is the MAD-std over that of XGBoost (below 1: better than XGBoost).",
    )
    report.table(header, rows)
    table = Table(*header)
    for row in rows:
        table.add_row(escape(row[0]), *row[1:])
    console.print(table)


def truth_figure(predicted: pd.DataFrame, test: Stars) -> Figure:
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    for axis, name in zip(figure.subplots(2, 4).flat, DIGITS, strict=True):
        truth = test.extra[f"true_{name}"]
        limits = np.percentile(truth, [0.2, 99.8])
        axis.hexbin(
            truth,
            predicted[name],
            gridsize=60,
            extent=(*limits, *limits),
            bins="log",
            cmap="viridis",
            mincnt=1,
        )
        axis.plot(limits, limits, color="crimson", lw=1)
        axis.set(
            xlabel=f"true {name} [{QUANTITIES[name].unit}]",
            ylabel="predicted",
            xlim=limits,
            ylim=limits,
        )
    return figure


def kiel_figure(predicted: pd.DataFrame, test: Stars) -> Figure:
    figure = Figure(figsize=(11, 5), layout="constrained")
    truth = {name: test.extra[f"true_{name}"] for name in ("teff", "logg", "m_h")}
    for axis, stars, title in zip(
        figure.subplots(1, 2, sharex=True, sharey=True),
        (truth, predicted),
        ("true", "predicted"),
        strict=True,
    ):
        dots = axis.scatter(
            stars["teff"], stars["logg"], c=stars["m_h"], s=3, cmap="coolwarm", vmin=-1, vmax=0.4
        )
        axis.set(xlabel="Teff [K]", ylabel="logg [dex]", title=title)
    axis.invert_xaxis()
    axis.invert_yaxis()
    figure.colorbar(dots, label="[M/H] [dex]")
    return figure


def umap_figure(embeddings: Embeddings, test: Stars) -> Figure:
    with console.status("UMAP of the embeddings"):
        place = np.asarray(
            umap.UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(embeddings.vector)
        )
    figure = Figure(figsize=(12, 5), layout="constrained")
    for axis, name in zip(figure.subplots(1, 2), ("teff", "ebv"), strict=True):
        value = test.extra[f"true_{name}"]
        low, high = np.percentile(value, [2, 98])
        dots = axis.scatter(
            place[:, 0], place[:, 1], c=value, s=3, cmap="plasma", vmin=low, vmax=high
        )
        axis.set(xticks=[], yticks=[], title=f"true {name}")
        figure.colorbar(dots, label=f"{name} [{QUANTITIES[name].unit}]")
    return figure


def neighbour_section(embeddings: Embeddings, test: Stars, report: Report) -> None:
    """The star of median temperature and the stars most like it: a table and their spectra."""
    index = StarIndex.build(embeddings)
    teff = test.extra["true_teff"]
    star = int(test.source_id[np.argsort(teff)[len(teff) // 2]])
    found = index.neighbours([star], NEIGHBOURS)
    ids = [star, *found["neighbour_id"].to_pylist()]
    distance = ["query", *(f"{x:.5f}" for x in found["distance"].to_pylist())]
    place = {int(x): i for i, x in enumerate(test.source_id)}
    names = ("teff", "logg", "m_h", "mass", "ebv")
    rows = [
        [str(i), d, *(f"{test.extra[f'true_{n}'][place[i]]:.{DIGITS[n]}f}" for n in names)]
        for i, d in zip(ids, distance, strict=True)
    ]
    report.section(
        "One star and its neighbours",
        "True labels of a star and of the stars nearest to it in the embedding.",
    )
    report.table(["source_id", "distance", *names], rows)
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axis = figure.subplots()
    for i, label in zip(ids, distance, strict=True):
        row = place[i]
        coefficients = np.r_[test.xp["bp"].value[row], test.xp["rp"].value[row]]
        flux = coefficients @ flux_matrix()
        axis.plot(
            WAVELENGTH,
            flux / np.median(flux),
            label=label,
            color="black" if i == star else None,
            lw=2 if i == star else 1,
        )
    axis.set(
        xlabel="wavelength [nm]",
        ylabel="flux / median",
        title="XP spectra: the star and its neighbours",
    )
    axis.legend(title="distance")
    report.figure(
        figure,
        "sampled XP spectra of the query star and its five neighbours, the nearest the most alike",
    )


def joint_section(model: MultiStar, test: Stars, report: Report) -> None:
    """The joint posterior of the first star: temperature against reddening, mass against age."""
    star = test.select(slice(0, 1))
    table = model.predict(star, samples=1000).to_pandas()
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axis, (x, y) in zip(figure.subplots(1, 2), (("teff", "ebv"), ("mass", "age")), strict=True):
        axis.plot(
            table[f"{x}_samples"][0],
            table[f"{y}_samples"][0],
            ".",
            ms=2,
            alpha=0.6,
            label="joint samples",
        )
        axis.plot(
            test.extra[f"true_{x}"][0],
            test.extra[f"true_{y}"][0],
            "+",
            ms=14,
            mew=2,
            color="crimson",
            label="truth",
        )
        axis.set(xlabel=f"{x} [{QUANTITIES[x].unit}]", ylabel=f"{y} [{QUANTITIES[y].unit}]")
    axis.legend()
    report.section(
        "The joint posterior of one star",
        "What is uncertain together: temperature and dust, mass and age.",
    )
    report.figure(figure, "joint posterior samples of one star in two planes, with the true values")


def generate_section(model: MultiStar, test: Stars, report: Report) -> None:
    """A spectrum made from labels and G, beside the star's own."""
    star = test.select(slice(0, 1))
    names = ("teff", "logg", "m_h", "alpha_m", "ebv")
    labels = {"source_id": star.source_id, "phot_g_mean_mag": star.scalars["g"].value}
    table = model.generate(
        labels | {name: star.extra[f"true_{name}"] for name in names}, sampled=True, samples=32
    )
    flux, error = (np.array(table[name][0].as_py()) for name in ("flux", "flux_error"))
    own = np.r_[star.xp["bp"].value[0], star.xp["rp"].value[0]] @ flux_matrix()
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(WAVELENGTH, own, color="black", lw=1, label="observed")
    axis.plot(WAVELENGTH, flux, color="C0", label="generated from its labels and G")
    axis.fill_between(WAVELENGTH, flux - error, flux + error, color="C0", alpha=0.3)
    axis.set(
        xlabel="wavelength [nm]",
        ylabel="flux [W m-2 nm-1]",
        ylim=(0, 1.3 * np.nanmax(own[WAVELENGTH > 400])),
    )
    axis.legend()
    report.section(
        "A spectrum from labels",
        f"Generated from true {', '.join(names)} and G; the band is its 68 % error.",
    )
    report.figure(figure, "a generated spectrum with its error band beside the observed one")


def small_model(run_file: str | Path, n_stars: int) -> tuple[MultiStar, Stars, pd.DataFrame]:
    """A model trained here and now, its held-out stars, and XGBoost's predictions for them."""
    run = load_run(run_file)
    console.rule(f"{n_stars} mock giants")
    (mock,) = run.data.train
    write_survey(n_stars, SurveyConfig(seed=SEED), mock, overwrite=True)
    console.rule("training")
    pretrain(run, overwrite=True)
    model = MultiStar.from_pretrained(run.out)
    stars = read_stars(mock)
    test_rows = held_out(stars.source_id, run.data.held_out)
    train, test = stars.select(~test_rows), stars.select(test_rows)
    console.rule("XGBoost on the same rows, for comparison")
    trees = boosted_trees(model.model, train, test, model.model.vocabulary.labels)
    return model, test, pd.DataFrame(trees)


def shipped_model(n_stars: int) -> tuple[MultiStar, Stars, pd.DataFrame]:
    """The model that comes with the package and new mock stars; XGBoost is in its card, on the same footing."""
    console.rule(f"{n_stars} new mock giants for the shipped model")
    file = OUT / "mock.parquet"
    write_survey(n_stars, SurveyConfig(seed=DEMO_SEED), file, overwrite=True)
    return MultiStar.from_pretrained("mini"), read_stars(file), pd.DataFrame()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--train", action="store_true", help="train a small model first, seven minutes more"
    )
    parser.add_argument("--run", default=HERE / "demo.toml", help="TOML run file for --train")
    parser.add_argument("--stars", type=int, help=f"default {DEMO_STARS:,}; with --train {STARS:,}")
    args = parser.parse_args()
    begun = time.monotonic()
    if args.train:
        model, test, trees = small_model(args.run, args.stars or STARS)
    else:
        model, test, trees = shipped_model(args.stars or DEMO_STARS)
    console.rule("predictions, embeddings, neighbours")
    predicted = model.predict(test, quiet=False).to_pandas()
    embeddings = Embeddings.from_table(model.embed(test, quiet=False))
    report = Report("multistar demo")
    trained = f"{model.model.provenance['training_stars']:,} mock stars with labels as noisy as a survey's"
    report.section(
        "What this is",
        f"{len(test):,} mock giants with Gaia XP spectra, eight magnitudes and parallaxes that the model has not seen. "
        f"It was trained on {trained} and is judged on the true labels. "
        + ("XGBoost had the same training rows and inputs, errors included." if args.train else ""),
    )
    score(predicted, trees, test, report)
    report.section("Predicted against true labels")
    report.figure(
        truth_figure(predicted, test),
        "eight panels of predicted against true labels around the 1:1 line",
    )
    report.section("Kiel diagram")
    report.figure(
        kiel_figure(predicted, test),
        "logg against Teff coloured by metallicity, true and predicted side by side",
    )
    joint_section(model, test, report)
    generate_section(model, test, report)
    report.section(
        "The embedding",
        "UMAP of the 256-dimensional vectors, coloured by temperature and by reddening.",
    )
    report.figure(
        umap_figure(embeddings, test),
        "map of the embeddings coloured by effective temperature and by E(B-V)",
    )
    neighbour_section(embeddings, test, report)
    report.write(OUT / "report.html", overwrite=True)
    console.print(
        f"done in {(time.monotonic() - begun) / 60:.1f} minutes; open {OUT / 'report.html'}"
    )


if __name__ == "__main__":
    main()
