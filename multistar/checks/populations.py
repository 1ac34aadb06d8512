"""What embeddings tell of populations: binaries, rotation, ages, the colour-magnitude diagram, by linear probes.

Every task is done with each view of the stars and with metadata alone (how bright they are and how they were observed),
which must not be what tells stars apart. Nothing of a catalogue, such as RUWE or labels, is in any of the features.
The questions are those of Kamai, Bronstein & Perets (2025, arXiv:2507.10666).
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from multistar.inference.views import embed_views
from multistar.io.files import atomic_write
from multistar.modalities.light_curve.features import SAMPLING, SUMMARY
from multistar.model.checkpoint import Model
from multistar.stars import Stars

JSON, PICTURE = "populations.json", "populations.png"
OWNED = (JSON, PICTURE)
FOLDS, FEWEST = 5, 25  # stars of the rarer kind
FEW_SHOT = 0.2  # share of the stars that a regression learns from
FAST, YOUNG = (
    15.0,
    1.0,
)  # d, Gyr: rotation of the stars that are compared, and the age of the young ones
PENALTIES = np.geomspace(1e-2, 1e4, 7)  # of ridge regression, chosen within the training stars
MAPPED, NEIGHBOURS = 5000, 15  # stars of a UMAP map, and neighbours that say what a star there is


def features(model: Model, stars: Stars, quiet: bool = True) -> dict[str, np.ndarray]:
    """(n, d) by name; stars without light curve or without other data have rows of NaN."""
    seen = embed_views(model, stars, quiet)
    eigenspace = (seen.curve + seen.rest) @ model.network.alignment.eigenspace().numpy()  # pyright: ignore
    return {
        "metadata": metadata(stars),
        "light curve": seen.curve,
        "other data": seen.rest,
        "fused": seen.fused + 0 * (seen.curve + seen.rest),
        "aligned": np.concatenate(seen.aligned, 1),
        "eigenspace": eigenspace,
    }


def metadata(stars: Stars) -> np.ndarray:
    """(n, d): sampling and noise of the light curve, G, errors of G and parallax, number of XP orders."""
    assert stars.light_curve is not None
    columns = [stars.light_curve.value[:, list(SUMMARY).index(name)] for name in SAMPLING]
    for name in ("g", "parallax"):
        if name in stars.scalars:
            columns += [np.log(stars.scalars[name].sigma)] + (
                [stars.scalars[name].value] if name == "g" else []
            )
    columns += [np.isfinite(band.value).sum(1) for band in stars.xp.values()]
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.stack(columns, 1).astype(float), nan=0.0, posinf=0.0, neginf=0.0)


def questions(
    facts: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Kinds, (n,) 0, 1 or NaN for stars that are not asked, and numbers, (n,), that the columns of a mock allow.

    kinds    binary; eclipsing; synchronised: a binary that rotates with its orbit, against a single star that
             rotates as fast because it is young
    numbers  HR: Teff and log luminosity; age, rotation, mass, metallicity
    """
    has = facts.keys()
    kinds, numbers = {}, {}
    for name in ("binary", "eclipsing"):
        if name in has:
            kinds[name] = np.asarray(facts[name]).astype(float)
    if {"synchronised", "rotation_period", "true_age", "binary"} <= has:
        fast = np.asarray(facts["rotation_period"]) < FAST
        tied = np.asarray(facts["synchronised"]).astype(bool)
        young = ~np.asarray(facts["binary"]).astype(bool) & (facts["true_age"] < YOUNG)
        kinds["synchronised"] = np.where(fast & (tied | young), tied.astype(float), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, (column, scale) in {
            "teff": ("true_teff", np.asarray),
            "ln luminosity": ("luminosity", np.log),
            "ln rotation period": ("rotation_period", np.log),
            "age": ("true_age", np.asarray),
            "ln mass": ("true_mass", np.log),
            "m_h": ("true_m_h", np.asarray),
        }.items():
            if column in has:
                numbers[name] = scale(np.asarray(facts[column], float))
    if not kinds and not numbers:
        raise ValueError(
            f"no column that the check knows, such as binary or true_age, in {sorted(has)[:20]}"
        )
    return kinds, numbers


def populations(
    model: Model,
    stars: Stars,
    facts: Mapping[str, Any],
    seed: int = 0,
    quiet: bool = True,
    umap: bool = True,
) -> dict:
    """Scores by feature set: area under the ROC curve and average precision of each kind (out of FOLDS folds), R2 and
    rms of each number (learnt from FEW_SHOT of the stars), and of the synchronised ones in a UMAP map.

    Raises ValueError without light curves, or if facts hold nothing that is asked.
    """
    if stars.light_curve is None:
        raise ValueError(
            "the check compares light curves with other data: the table has none (light_curve_value)"
        )
    kinds, numbers = questions(facts)
    sets = features(model, stars, quiet)
    known = np.all([np.isfinite(x).all(1) for x in sets.values()], axis=0)
    out: dict = {
        "model_sha256": model.hash,
        "stars": int(known.sum()),
        "kinds": {},
        "numbers": {},
        "map": {},
    }
    rng = np.random.default_rng(seed)
    for name, kind in kinds.items():
        rows = np.flatnonzero(known & np.isfinite(kind))
        if min(np.bincount(kind[rows].astype(int), minlength=2)) >= FEWEST:
            y = kind[rows].astype(int)
            out["kinds"][name] = {"stars": len(y), "share": float(y.mean())} | {
                key: classified(x[rows], y, seed) for key, x in sets.items()
            }
    few = rng.random(len(known)) < FEW_SHOT
    for name, number in numbers.items():
        rows = known & np.isfinite(number)
        if (rows & few).sum() >= FEWEST and (rows & ~few).sum() >= FEWEST:
            out["numbers"][name] = {
                "stars": int(rows.sum()),
                "spread": float(number[rows].std()),
            } | {key: regressed(x, number, rows & few, rows & ~few) for key, x in sets.items()}
    if umap and "synchronised" in out["kinds"]:
        out["map"] = _mapped(sets["fused"], kinds["synchronised"], known, rng, seed)
    return out


def classified(x: np.ndarray, y: np.ndarray, seed: int = 0) -> dict[str, float]:
    """auc and ap of a logistic regression, each star judged by a fit that has not seen it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score, roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.03, max_iter=1000, class_weight="balanced")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that has not converged is as good a probe
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        odds = np.asarray(cross_val_predict(probe, x, y, cv=folds, method="predict_proba"))[:, 1]
    return {"auc": float(roc_auc_score(y, odds)), "ap": float(average_precision_score(y, odds))}


def regressed(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray
) -> dict[str, float]:
    """r2 and rms on the stars `test` of a ridge regression learnt from the stars `train`."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(x[train], y[train])
    residual = y[test] - fit.predict(x[test])
    return {
        "r2": float(1 - residual.var() / y[test].var()),
        "rms": float(np.sqrt(np.mean(residual**2))),
    }


def _mapped(
    x: np.ndarray, kind: np.ndarray, known: np.ndarray, rng: np.random.Generator, seed: int
) -> dict:
    """Coordinates of some stars in a UMAP map, and how well neighbours there tell the synchronised ones."""
    from sklearn.metrics import roc_auc_score
    from sklearn.neighbors import NearestNeighbors
    from umap import UMAP

    asked = np.flatnonzero(known & np.isfinite(kind))
    others = np.flatnonzero(known & ~np.isfinite(kind))
    rows = np.concatenate([asked, rng.permutation(others)[: max(0, MAPPED - len(asked))]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap says that a seed costs it its threads
        place = UMAP(metric="cosine", random_state=seed).fit_transform(x[rows])
    mine = np.asarray(place)[: len(asked)]
    k = min(NEIGHBOURS, len(asked) - 1)
    near = NearestNeighbors(n_neighbors=k + 1).fit(mine).kneighbors(return_distance=True)[1][:, 1:]
    share = kind[asked][near].mean(1)
    return {
        "auc": float(roc_auc_score(kind[asked], share)),
        "x": np.asarray(place)[:, 0].tolist(),
        "y": np.asarray(place)[:, 1].tolist(),
        "kind": np.nan_to_num(kind[rows], nan=-1).astype(int).tolist(),
    }


def figure(result: dict) -> Figure:
    """Scores of every feature set, and the map of synchronised binaries and young stars."""
    names = [n for n in ("metadata", "light curve", "other data", "fused", "aligned", "eigenspace")]
    picture = Figure(figsize=(15, 4.5), layout="constrained")
    axes = picture.subplots(1, 3)
    for axis, part, score, title in (
        (axes[0], result["kinds"], "auc", "area under the ROC curve"),
        (axes[1], result["numbers"], "r2", "R2, few shots"),
    ):
        for i, name in enumerate(names):
            place = np.arange(len(part)) + 0.13 * (i - 2.5)
            axis.bar(place, [max(0, x[name][score]) for x in part.values()], 0.12, label=name)
        axis.set(title=title, xticks=range(len(part)), ylim=(0, 1))
        axis.set_xticklabels(list(part), rotation=30, ha="right")
    axes[0].axhline(0.5, color="black", lw=1)
    picture.legend(
        *axes[1].get_legend_handles_labels(), loc="outside lower left", ncols=len(names), fontsize=8
    )
    if result["map"]:
        x, y, kind = (np.asarray(result["map"][key]) for key in ("x", "y", "kind"))
        for value, label, colour in (
            (-1, "others", "lightgrey"),
            (0, "young", "tab:blue"),
            (1, "synchronised", "tab:red"),
        ):
            axes[2].scatter(
                x[kind == value], y[kind == value], s=3 if value < 0 else 10, c=colour, label=label
            )
        axes[2].legend(fontsize=8)
        axes[2].set(
            title=f"UMAP of the fused embedding: AUC {result['map']['auc']:.2f}",
            xticks=[],
            yticks=[],
        )
    else:
        axes[2].set_visible(False)
    return picture


def write_populations(result: dict, folder: str | Path, overwrite: bool = False) -> None:
    """populations.json and populations.png in a folder, atomically."""
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        (temporary / JSON).write_text(json.dumps(result, indent=1))
        figure(result).savefig(temporary / PICTURE, dpi=110)
