"""Are temperature and dust told apart? Probes of the embedding, residuals, directions and generated spectra.

At fixed c means: of what a quadratic in c leaves. R2 is that of predictions for stars that the probe was not
fitted to; its error is the scatter of R2 over permutations of the target among the stars.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.linalg
from astropy.stats import mad_std
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from multistar.checks.neighbours import nearest
from multistar.checks.physics import GENERATED_LOGG, extinction
from multistar.checks.reddening import COLUMN, reddening
from multistar.checks.report import Report
from multistar.index.umap_map import coloured_map, umap_map
from multistar.inference.embed import embed
from multistar.inference.erase import known_label
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.io.write import write_table
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import Stars

OWNED = JSON, PAGE, MAPS = "disentangle.json", "report.html", "umap.parquet"
DUST, FLOOR = "ln(E(B-V) + 0.01)", 0.01  # mag
MOST, FEWEST = 5000, 200
FOLDS, PERMUTATIONS, NEIGHBOURS = 5, 50, 10
RIDGE = 1e-4  # of the mean variance of a component
FEWEST_GENERATED = 5
COLOURS = ("teff", "logg", "m_h", "mass", "age", "ebv")


def disentangle(
    model: Model,
    stars: Stars,
    ebv=COLUMN,
    seed: int = 0,
    most: int = MOST,
    maps: bool = True,
    generated: bool = True,
    quiet: bool = False,
) -> tuple[dict, pa.Table | None]:
    """All numbers of the check, ready for JSON, and the map of the stars before and after erasing dust.

    ebv   where E(B-V) is from, see reddening; stars in holes of a map are counted and left out
    most  stars, drawn at random if there are more
    maps, generated  False leaves UMAP, or the generated spectra, out; each takes a minute

    Labels are the truth or labels of the table where it has them, otherwise predictions. Raises ValueError if E(B-V) is
    known for fewer than FEWEST stars, and as reddening does.
    """
    rng = np.random.default_rng(seed)
    stars = stars.select(np.sort(rng.permutation(len(stars))[:most]))
    table = predict(model, stars, quiet)
    guess = {name: table[name].to_numpy().astype(float) for name in model.vocabulary.labels}
    given = {name: known_label(stars, name) for name in guess}
    given = {name: values for name, values in given.items() if np.isfinite(values).sum() >= FEWEST}
    labels = guess | given
    dust = reddening(stars, ebv, labels["distance"])
    known = np.isfinite(dust.ebv) & np.all([np.isfinite(labels[name]) for name in labels], axis=0)
    known &= np.array(["no_data" not in word for word in table["status"].to_pylist()])
    if known.sum() < FEWEST:
        raise ValueError(
            f"E(B-V) and labels are known for {known.sum()} stars ({dust.origin}), expected {FEWEST}"
        )
    labels, guess = ({name: x[known] for name, x in part.items()} for part in (labels, guess))
    labels["ebv"], few = dust.ebv[known], stars.select(known)
    spaces = {"embedding": embed(model, few, quiet)}
    if "ebv" in model.erasers:
        spaces["without dust"] = embed(model, few, quiet, ignore="ebv")
    target = {"teff": labels["teff"] / 1000, "dust": np.log(np.maximum(labels["ebv"], 0) + FLOOR)}
    out: dict = {
        "model_sha256": model.hash,
        "stars": int(known.sum()),
        "seed": seed,
        "ebv": dust.origin,
        "no_position": dust.no_position,
        "holes": dust.holes,
        "labels_of_the_table": sorted(given),
        "spaces": {
            name: probes(np.stack(vectors["embedding"].to_numpy()).astype(float), target, rng)
            for name, vectors in spaces.items()
        },
        "residuals": residuals(guess, labels, sorted(given), target["dust"], rng),
    }
    giants = (labels["logg"] > GENERATED_LOGG[0]) & (labels["logg"] < GENERATED_LOGG[1])
    if generated and giants.sum() >= FEWEST_GENERATED and few.xp:
        made = extinction(model, few, labels, seed)
        out["generated"] = {key: made[key] for key in ("dteff_debv_generated", "rms_error")}
    return out, _maps(spaces, labels, seed, quiet) if maps else None


def probes(vectors: np.ndarray, target: dict[str, np.ndarray], rng: np.random.Generator) -> dict:
    """How well vectors (n, d) tell of two targets at fixed other one, and the angle between their directions."""
    found = nearest(vectors, NEIGHBOURS)
    fold = rng.permutation(len(vectors)) % FOLDS
    out: dict = {}
    for name, other in (("dust", "teff"), ("teff", "dust")):
        fixed = _quadratic(target[other])
        y, x = _left(target[name][:, None], fixed)[:, 0], _left(vectors, fixed)
        shuffled = np.stack([y, *(rng.permutation(y) for _ in range(PERMUTATIONS))], 1)
        r2 = {
            "linear": linear_probe(x, shuffled, fold),
            "knn": explained(shuffled[found].mean(1), shuffled),
        }
        out[f"{name} at fixed {other}"] = {
            kind: {"r2": float(r[0]), "error": float(r[1:].std()), "chance": float(r[1:].mean())}
            for kind, r in r2.items()
        }
    out["angle"] = angle(vectors, target)
    return out


def linear_probe(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(m,) R2 of ridge regressions of each column of y (n, m) on x (n, d), for the fold (n,) that they do not see."""
    guess = np.empty_like(y)
    for i in range(FOLDS):
        train = fold != i
        mean, center = x[train].mean(0), y[train].mean(0)
        z = x[train] - mean
        gram = z.T @ z
        gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        guess[~train] = (x[~train] - mean) @ np.linalg.solve(
            gram, z.T @ (y[train] - center)
        ) + center
    return explained(guess, y)


def explained(guess: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(m,) 1 - mean squared error / variance of each column; below 0 is worse than the mean."""
    return 1 - np.mean((guess - y) ** 2, axis=0) / y.var(axis=0)


def angle(vectors: np.ndarray, target: dict[str, np.ndarray]) -> dict[str, float]:
    """[deg] between the directions in which the vectors move with Teff and with dust, each at fixed other one; and the
    smallest between the planes that hold their curves too (a quadratic in each). 90: told apart, 0: the same."""
    one, other = ((x - x.mean()) / x.std() for x in target.values())
    design = np.stack([np.ones_like(one), one, other, one**2, other**2, one * other], axis=1)
    move = np.linalg.lstsq(design, vectors, rcond=None)[0]
    degrees = lambda a, b: float(np.degrees(scipy.linalg.subspace_angles(a.T, b.T).min()))  # noqa: E731
    return {
        "directions": degrees(move[[1]], move[[2]]),
        "planes": degrees(move[[1, 3]], move[[2, 4]]),
    }


def residuals(
    guess: dict, labels: dict, given: list[str], dust: np.ndarray, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Rank correlation of predicted - given labels with dust, its scatter over permutations; size of residuals."""
    out = {}
    for name in [*given, *({"ebv"} - set(given))]:
        rest = guess[name] - labels[name]
        chance = [
            np.asarray(spearmanr(rng.permutation(rest), dust))[0] for _ in range(PERMUTATIONS)
        ]
        correlation = float(np.asarray(spearmanr(rest, dust))[0])
        out[name] = {
            "spearman": correlation,
            "error": float(np.std(chance)),
            "mad_std": float(mad_std(rest)),
        }
    return out


def _quadratic(x: np.ndarray) -> np.ndarray:
    z = (x - x.mean()) / x.std()
    return np.stack([np.ones_like(z), z, z**2], axis=1)


def _left(y: np.ndarray, design: np.ndarray) -> np.ndarray:
    return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]


def _maps(spaces: dict[str, pa.Table], labels: dict, seed: int, quiet: bool) -> pa.Table:
    """source_id, the map of each space (umap_x, umap_y, and the same with _without_dust), labels."""
    out = None
    for name, vectors in spaces.items():
        made = umap_map(vectors, seed=seed, quiet=quiet)
        if out is None:
            out = made
            continue
        suffix = "_" + name.replace(" ", "_")
        for axis in ("umap_x", "umap_y"):
            out = out.append_column(axis + suffix, made[axis])
        said = {
            key.decode() + suffix: value.decode()
            for key, value in (made.schema.metadata or {}).items()
        }
        out = out.replace_schema_metadata((out.schema.metadata or {}) | said)
    assert out is not None
    for name in COLOURS:
        field = pa.field(name, pa.float64(), metadata={"unit": QUANTITIES[name].unit})
        out = out.append_column(field, pa.array(labels[name]))
    return out


def probe_figure(result: dict) -> Figure:
    """R2 of all probes with their errors."""
    picture = Figure(figsize=(9, 3.6), layout="constrained")
    for axis, question in zip(
        picture.subplots(1, 2, sharey=True),
        ("dust at fixed teff", "teff at fixed dust"),
        strict=True,
    ):
        bars = [
            (f"{space}\n{kind}", part[question][kind])
            for space, part in result["spaces"].items()
            for kind in ("linear", "knn")
        ]
        axis.bar(
            range(len(bars)),
            [bar["r2"] for _, bar in bars],
            color=["C0", "C0", "C2", "C2"][: len(bars)],
        )
        axis.errorbar(
            range(len(bars)),
            [bar["chance"] for _, bar in bars],
            [bar["error"] for _, bar in bars],
            fmt="k.",
            label="chance",
        )
        axis.set(title=f"{question}, R2", xticks=range(len(bars)), ylim=(-0.25, 1.05))
        axis.set_xticklabels([name for name, _ in bars], fontsize=8)
        axis.axhline(0, color="black", lw=0.5)
        axis.legend(fontsize=8)
    return picture


def maps_figure(maps: pa.Table, suffix: str = "") -> Figure:
    """One map, coloured by each label."""
    picture = Figure(figsize=(13.5, 7.6), layout="constrained")
    x, y = (maps[f"umap_{axis}{suffix}"].to_numpy() for axis in "xy")
    for axis, name in zip(picture.subplots(2, 3).flat, COLOURS, strict=True):
        values = maps[name].to_numpy()
        unit = QUANTITIES[name].unit
        if name == "ebv":
            values, unit = np.log10(np.maximum(values, FLOOR)), "log10 mag"
        coloured_map(axis, x, y, values, f"{name} [{unit}]")
    return picture


def report(result: dict, maps: pa.Table | None) -> Report:
    """The page: what was asked, the numbers, the pictures."""
    page = Report("Are temperature and dust told apart?")
    source = (
        f"{result['stars']} stars; E(B-V): {result['ebv']}; {result['holes']} stars in holes of it"
    )
    names = ", ".join(result["labels_of_the_table"]) or "none"
    page.section(
        "Stars",
        f"{source}, {result['no_position']} without a position, all left out. Labels of the table: "
        f"{names}; the others are predicted by the model {result['model_sha256'][:12]}.",
    )
    page.section(
        "Probes",
        "R2 of a probe for stars that it has not seen, of what a quadratic in the other leaves. "
        "Chance is the mean over permutations of the target, the error their scatter.",
    )
    rows = []
    for space, part in result["spaces"].items():
        for question in ("dust at fixed teff", "teff at fixed dust"):
            for kind, probe in part[question].items():
                rows.append(
                    [
                        f"{space}: {question}, {kind}",
                        *(f"{probe[k]:.3f}" for k in ("r2", "chance", "error")),
                    ]
                )
    page.table(["probe", "R2", "chance", "error"], rows)
    page.figure(probe_figure(result), "R2 of all probes as bars, with chance")
    page.section(
        "Directions",
        "Angle between the directions in which vectors move with Teff and with dust; 90 degrees: apart.",
    )
    rows = [
        [space, *(f"{value:.1f}" for value in part["angle"].values())]
        for space, part in result["spaces"].items()
    ]
    page.table(["vectors", "directions [deg]", "planes of their curves [deg]"], rows)
    page.section(
        "Residuals",
        f"Rank correlation of predicted - known labels with {DUST}. That of ebv is expected "
        "to be negative where the known one is noisy.",
    )
    page.table(
        ["label", "correlation", "error by permutation", "scatter (MAD)"],
        [
            [name, *(f"{x[k]:.3g}" for k in ("spearman", "error", "mad_std"))]
            for name, x in result["residuals"].items()
        ],
    )
    if "generated" in result:
        made = result["generated"]
        page.section(
            "Generated spectra",
            "The same giants behind E(B-V) of 0.05-0.85 mag, read back: Teff changes by "
            f"{made['dteff_debv_generated']:.0f} K per mag. They dim by the extinction curve to "
            f"{made['rms_error']:.1%} rms.",
        )
    if maps is not None:
        page.section(
            "Maps",
            f"UMAP, parameters {(maps.schema.metadata or {})[b'umap'].decode()}; {MAPS} has the coordinates.",
        )
        page.figure(maps_figure(maps), "UMAP of the embeddings, coloured by six labels")
        if "umap_x_without_dust" in maps.column_names:
            page.section("Maps after erasing dust")
            page.figure(
                maps_figure(maps, "_without_dust"),
                "UMAP of vectors without dust, coloured by six labels",
            )
    return page


def write_disentangle(
    result: dict, maps: pa.Table | None, folder: str | Path, overwrite: bool = False
) -> None:
    """disentangle.json, report.html and umap.parquet in a folder, atomically."""
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        (temporary / JSON).write_text(json.dumps(result, indent=1))
        report(result, maps).write(temporary / PAGE)
        if maps is not None:
            write_table(maps, temporary / MAPS)
