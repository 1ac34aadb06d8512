"""Are temperature and dust told apart? Probes of the embedding, residuals, generated spectra."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from multistar.checks.figures import name_ticks
from multistar.checks.physics import measure_extinction, select_generated
from multistar.checks.probes import correlate_residuals, probe_targets
from multistar.checks.report import Report
from multistar.checks.verdict import judge
from multistar.index.umap_map import umap_map
from multistar.inference.dust_maps import COLUMN, Reddening, open_map, reddening
from multistar.inference.embed import embed
from multistar.inference.erase import known_label
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.io.write import write_table
from multistar.model.checkpoint import Model
from multistar.plots.map import coloured_map
from multistar.plots.style import INK, SERIES, in_style, new_figure
from multistar.quantities import QUANTITIES
from multistar.stars import Stars

OWNED = JSON, PAGE, MAPS = "disentangle.json", "report.html", "umap.parquet"
# mag, added to E(B-V) before its logarithm is taken
FLOOR = 0.01
DUST = "ln(E(B-V) + 0.01)"
MOST, FEWEST = 5000, 200
FEWEST_GENERATED = 5
COLOURS = ("teff", "logg", "m_h", "mass", "age", "ebv")
QUESTIONS = ("dust at fixed teff", "teff at fixed dust")
# What the table has after erasing dust stands in columns of these names.
WITHOUT_DUST = "_without_dust"


@dataclass(frozen=True)
class _Sample:
    """The stars of which labels and E(B-V) are known.

    labels are those of the table where it has them, otherwise predictions; guess are predictions
    of all; both (n,) by name. given: names of the labels of the table. dust: of all stars.
    """

    stars: Stars
    labels: dict[str, np.ndarray]
    guess: dict[str, np.ndarray]
    given: list[str]
    dust: Reddening


def disentangle(
    model: Model,
    stars: Stars,
    ebv: Any = COLUMN,
    seed: int = 0,
    most: int = MOST,
    maps: bool = True,
    generated: bool = True,
    quiet: bool = False,
) -> tuple[dict, pa.Table | None]:
    """Compute all numbers of the check, and maps of the stars before and after erasing dust.

    Parameters
    ----------
    model : Model
        The model that is checked.
    stars : Stars
        Labels are the truth or the labels of the table where it has them, otherwise predictions.
    ebv : str or object
        Where E(B-V) is from, see `reddening`; stars in holes of a map are counted and left out.
    seed : int
        Of the sample, the probes, the generated spectra and the maps.
    most : int
        Number of stars, drawn at random if there are more.
    maps, generated : bool
        False leaves UMAP, or the generated spectra, out; each takes a minute.
    quiet : bool
        True hides the progress bars.

    Returns
    -------
    result : dict
        Ready for JSON.
    maps : pa.Table or None
        source_id, coordinates in the map of each space, and labels; None without maps.

    Raises
    ------
    ValueError
        If E(B-V) is known for fewer than FEWEST stars, and as `reddening` does.
    """
    source = ebv if ebv == COLUMN or not isinstance(ebv, str) else open_map(ebv)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(stars))[:most])
    sample = _select_known(model, stars.select(rows), source, quiet)
    labels = sample.labels
    target = {"teff": labels["teff"] / 1000, "dust": _log_reddening(labels["ebv"])}

    spaces = _embed(model, sample.stars, quiet)
    probes = {}
    for name, table in spaces.items():
        vectors = np.stack(table["embedding"].to_numpy()).astype(float)
        probes[name] = probe_targets(vectors, target, rng)
    residuals = correlate_residuals(sample.guess, labels, sample.given, target["dust"], rng)
    result: dict = {
        "model_sha256": model.hash,
        "stars": len(sample.stars),
        "seed": seed,
        "ebv": sample.dust.origin,
        "no_position": sample.dust.no_position,
        "holes": sample.dust.holes,
        "ebv_percentiles": np.percentile(labels["ebv"], [5, 50, 95]).tolist(),
        "labels_of_the_table": sample.given,
        "spaces": probes,
        "residuals": residuals,
    }
    if generated:
        result |= _generate(model, sample, seed)
    result["verdict"] = judge(result)
    if not maps:
        return result, None
    return result, _make_maps(spaces, labels, seed, quiet)


def _select_known(model: Model, stars: Stars, ebv: Any, quiet: bool) -> _Sample:
    """The stars of which all labels and E(B-V) are known; ValueError if these are too few."""
    table = predict(model, stars, quiet)
    guess, given = {}, {}
    for name in model.vocabulary.labels:
        guess[name] = table[name].to_numpy().astype(float)
        values = known_label(stars, name)
        if np.isfinite(values).sum() >= FEWEST:
            given[name] = values
    labels = guess | given
    dust = reddening(stars, ebv, labels["distance"])

    known = np.isfinite(dust.ebv)
    for values in labels.values():
        known &= np.isfinite(values)
    known &= np.array(["no_data" not in status for status in table["status"].to_pylist()])
    if known.sum() < FEWEST:
        raise ValueError(
            f"E(B-V) and labels are known for {known.sum()} stars ({dust.origin}), "
            f"expected {FEWEST}"
        )
    labels = {name: values[known] for name, values in labels.items()}
    guess = {name: values[known] for name, values in guess.items()}
    labels["ebv"] = dust.ebv[known]
    return _Sample(stars.select(known), labels, guess, sorted(given), dust)


def _log_reddening(ebv: np.ndarray) -> np.ndarray:
    """DUST: a logarithm that small E(B-V) [mag] do not dominate."""
    return np.log(np.maximum(ebv, 0) + FLOOR)


def _embed(model: Model, stars: Stars, quiet: bool) -> dict[str, pa.Table]:
    """Vectors of the stars, and where the model can erase dust, also vectors without it."""
    spaces = {"embedding": embed(model, stars, quiet)}
    if "ebv" in model.projections:
        spaces["without dust"] = embed(model, stars, quiet, ignore="ebv")
    return spaces


def _generate(model: Model, sample: _Sample, seed: int) -> dict[str, dict]:
    """What generated spectra of giants show; nothing if there are too few giants with spectra."""
    giants = select_generated(sample.labels)
    if giants.sum() < FEWEST_GENERATED or not sample.stars.xp:
        return {}
    made = measure_extinction(model, sample.stars, sample.labels, seed)
    keys = ("dteff_debv_generated", "rms_error")
    return {"generated": {key: made[key] for key in keys}}


def _make_maps(
    spaces: dict[str, pa.Table], labels: dict[str, np.ndarray], seed: int, quiet: bool
) -> pa.Table:
    """source_id, the map of each space (umap_x, umap_y; suffixes for the second), labels."""
    maps = [umap_map(vectors, seed=seed, quiet=quiet) for vectors in spaces.values()]
    table = maps[0]
    for name, other in zip(list(spaces)[1:], maps[1:], strict=True):
        table = _append_map(table, other, "_" + name.replace(" ", "_"))
    for name in COLOURS:
        field = pa.field(name, pa.float64(), metadata={"unit": QUANTITIES[name].unit})
        table = table.append_column(field, pa.array(labels[name]))
    return table


def _append_map(table: pa.Table, other: pa.Table, suffix: str) -> pa.Table:
    """The table with coordinates and metadata of another map, whose names get a suffix."""
    for axis in ("umap_x", "umap_y"):
        table = table.append_column(axis + suffix, other[axis])
    metadata = dict(table.schema.metadata or {})
    for key, value in (other.schema.metadata or {}).items():
        metadata[key + suffix.encode()] = value
    return table.replace_schema_metadata(metadata)


@in_style
def draw_probes(result: dict) -> Figure:
    """Draw R2 of all probes as bars, with that of permuted targets and its scatter."""
    picture = new_figure(9, 3.6)
    panels = picture.subplots(1, 2, sharey=True)
    for axis, question in zip(panels, QUESTIONS, strict=True):
        names, bars, colours = [], [], []
        for space, colour in zip(result["spaces"], (SERIES[0], "C2"), strict=False):
            for kind in ("linear", "knn"):
                names.append(f"{space}\n{kind}")
                bars.append(result["spaces"][space][question][kind])
                colours.append(colour)
        places = range(len(bars))
        chance = [bar["chance"] for bar in bars]
        error = [bar["error"] for bar in bars]
        axis.bar(places, [bar["r2"] for bar in bars], color=colours)
        axis.errorbar(places, chance, error, fmt="k.", label="chance")
        axis.set(title=f"{question}, R2", ylim=(-0.25, 1.05))
        name_ticks(axis, names, fontsize=8)
        axis.axhline(0, color=INK, lw=0.5)
        axis.legend(fontsize=8)
    return picture


@in_style
def draw_maps(maps: pa.Table, suffix: str = "") -> Figure:
    """Draw one map, coloured by each label.

    Parameters
    ----------
    maps : pa.Table
        As `disentangle` gives it.
    suffix : str
        Of the names of the coordinates: WITHOUT_DUST for the map after erasing dust.
    """
    picture = new_figure(13.5, 7.6)
    x = maps[f"umap_x{suffix}"].to_numpy()
    y = maps[f"umap_y{suffix}"].to_numpy()
    for axis, name in zip(picture.subplots(2, 3).flat, COLOURS, strict=True):
        values = maps[name].to_numpy()
        title = f"{name} [{QUANTITIES[name].unit}]"
        if name == "ebv":
            values = np.log10(np.maximum(values, FLOOR))
            title = "log10(E(B-V) / mag)"
        coloured_map(axis, x, y, values, title, name)
    return picture


def make_report(result: dict, maps: pa.Table | None) -> Report:
    """Make the page of the check: what was asked, the numbers, the pictures."""
    page = Report("Are temperature and dust told apart?")
    page.section("In short", " ".join(result["verdict"]))
    _add_stars(page, result)
    _add_probes(page, result)
    _add_directions(page, result)
    _add_residuals(page, result)
    if "generated" in result:
        _add_generated(page, result["generated"])
    if maps is not None:
        _add_maps(page, maps)
    return page


def _add_stars(page: Report, result: dict) -> None:
    names = ", ".join(result["labels_of_the_table"]) or "none"
    page.section(
        "Stars",
        f"{result['stars']} stars; E(B-V): {result['ebv']}; {result['holes']} stars in holes of "
        f"it, {result['no_position']} without a position, all left out. Labels of the table: "
        f"{names}; the others are predicted by the model {result['model_sha256'][:12]}.",
    )


def _add_probes(page: Report, result: dict) -> None:
    page.section(
        "Probes",
        "R2 of a probe for stars that it has not seen, of what a quadratic in the other leaves. "
        "1: it follows; 0: the mean would do; below 0: the probe learnt noise, and is worse than "
        "the mean. Chance is the mean over permutations of the target, the error their scatter.",
    )
    rows = []
    for space, part in result["spaces"].items():
        for question in QUESTIONS:
            for kind, probe in part[question].items():
                numbers = [f"{probe[key]:.3f}" for key in ("r2", "chance", "error")]
                rows.append([f"{space}: {question}, {kind}", *numbers])
    page.table(["probe", "R2", "chance", "error"], rows)
    page.figure(draw_probes(result), "R2 of all probes as bars, with chance")


def _add_directions(page: Report, result: dict) -> None:
    page.section(
        "Directions",
        "Angle between the directions in which vectors move with Teff and with dust; "
        "90 degrees: apart. Vectors move along curves, not lines: a plane holds a direction and how "
        "it bends, and the angle is the smallest between the two planes.",
    )
    rows = []
    for space, part in result["spaces"].items():
        angles = [f"{degrees:.1f}" for degrees in part["angle"].values()]
        rows.append([space, *angles])
    page.table(["vectors", "directions [deg]", "planes of their curves [deg]"], rows)


def _add_residuals(page: Report, result: dict) -> None:
    page.section(
        "Residuals",
        f"Rank correlation of predicted - known labels with {DUST}. That of ebv is expected "
        "to be negative where the known one is noisy.",
    )
    rows = []
    for name, residual in result["residuals"].items():
        numbers = [f"{residual[key]:.3g}" for key in ("spearman", "error", "mad_std")]
        rows.append([name, *numbers])
    page.table(["label", "correlation", "error by permutation", "scatter (MAD)"], rows)


def _add_generated(page: Report, generated: dict[str, float]) -> None:
    page.section(
        "Generated spectra",
        "The same giants behind E(B-V) of 0.05-0.85 mag, read back: Teff changes by "
        f"{generated['dteff_debv_generated']:.0f} K per mag. They dim by the extinction curve to "
        f"{generated['rms_error']:.1%} rms, over all wavelengths of XP (336-1020 nm); the noisy ends "
        "count as much as the middle.",
    )


def _add_maps(page: Report, maps: pa.Table) -> None:
    parameters = (maps.schema.metadata or {})[b"umap"].decode()
    page.section("Maps", f"UMAP, parameters {parameters}; {MAPS} has the coordinates.")
    page.figure(draw_maps(maps), "UMAP of the embeddings, coloured by six labels")
    if f"umap_x{WITHOUT_DUST}" in maps.column_names:
        page.section("Maps after erasing dust")
        description = "UMAP of vectors without dust, coloured by six labels"
        page.figure(draw_maps(maps, WITHOUT_DUST), description)


def write_disentangle(
    result: dict, maps: pa.Table | None, folder: str | Path, overwrite: bool = False
) -> None:
    """Write disentangle.json, report.html and umap.parquet into a folder, atomically.

    Without maps there is no umap.parquet. Raises FileExistsError if the folder exists and
    `overwrite` is False.
    """
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        (temporary / JSON).write_text(json.dumps(result, indent=1))
        make_report(result, maps).write(temporary / PAGE)
        if maps is not None:
            write_table(maps, temporary / MAPS)
