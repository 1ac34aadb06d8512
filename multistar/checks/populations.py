"""What embeddings tell of populations: binaries, rotation, ages, the colour-magnitude diagram.

Every task is done by linear probes with each view of the stars, and with metadata alone (how
bright stars are and how they were observed), which must not be what tells stars apart. Nothing of
a catalogue, such as RUWE or labels, is in any of the features. The questions are those of Kamai,
Bronstein & Perets (2025, arXiv:2507.10666).
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from multistar.checks.figures import name_ticks, write_result
from multistar.checks.neighbours import average_neighbours
from multistar.inference.views import embed_views
from multistar.modalities.light_curve.features import SAMPLING, SUMMARY
from multistar.model.checkpoint import Model
from multistar.plots.style import INK, in_style, new_figure
from multistar.stars import Stars

OWNED = JSON, PICTURE = "populations.json", "populations.png"
# Cross-validation of kinds, and the least number of stars of the rarer kind.
FOLDS, FEWEST = 5, 25
# Share of the stars that a regression learns from.
FEW_SHOT = 0.2
# d: rotation periods of the stars that are compared
FAST = 15.0
# Gyr: age of young stars
YOUNG = 1.0
# Of ridge regressions; one is chosen within the training stars.
PENALTIES = np.geomspace(1e-2, 1e4, 7)
# Strength of the logistic regression's prior (scikit-learn's C).
LOGISTIC_C = 0.03
# Stars of a UMAP map, and neighbours that say what a star there is.
MAPPED, NEIGHBOURS = 5000, 15

# Name of a number -> the column it is from, and the scale in which it is regressed.
NUMBERS: dict[str, tuple[str, Callable]] = {
    "teff": ("true_teff", np.asarray),
    "ln luminosity": ("luminosity", np.log),
    "ln rotation period": ("rotation_period", np.log),
    "age": ("true_age", np.asarray),
    "ln mass": ("true_mass", np.log),
    "m_h": ("true_m_h", np.asarray),
}
# Feature sets in the order in which they are drawn.
FEATURE_SETS = ("metadata", "light curve", "other data", "fused", "aligned", "eigenspace")
# Kinds on the map: code, name, colour and size of a point.
STYLES = (
    (-1, "others", "lightgrey", 3),
    (0, "young", "tab:blue", 10),
    (1, "synchronised", "tab:red", 10),
)

Arrays = dict[str, np.ndarray]


def compute_features(model: Model, stars: Stars, quiet: bool = True) -> Arrays:
    """Compute the feature sets that are compared.

    Parameters
    ----------
    model : Model
        A model that aligns light curves with other data.
    stars : Stars
        Stars with light curves.
    quiet : bool
        True hides the progress bar.

    Returns
    -------
    dict of str to ndarray, shape (n, d)
        By the names in FEATURE_SETS. Stars without light curve or without other data have rows of
        NaN.
    """
    seen = embed_views(model, stars, quiet)
    both = seen.curve + seen.rest
    directions = model.network.alignment.eigenspace().numpy()  # pyright: ignore
    return {
        "metadata": compute_metadata(stars),
        "light curve": seen.curve,
        "other data": seen.rest,
        # NaN where a view is missing, as in the other sets
        "fused": seen.fused + 0 * both,
        "aligned": np.concatenate(seen.aligned, 1),
        "eigenspace": both @ directions,
    }


def compute_metadata(stars: Stars) -> np.ndarray:
    """Collect how stars were observed, without any physics.

    Parameters
    ----------
    stars : Stars
        Stars with light curves.

    Returns
    -------
    ndarray, shape (n, d)
        Sampling and noise of the light curve, log errors of G and of the parallax, G, and the
        number of orders in each XP band; 0 where unknown.
    """
    assert stars.light_curve is not None
    summary = list(SUMMARY)
    columns = [stars.light_curve.value[:, summary.index(name)] for name in SAMPLING]
    if "g" in stars.scalars:
        columns += [np.log(stars.scalars["g"].sigma), stars.scalars["g"].value]
    if "parallax" in stars.scalars:
        columns.append(np.log(stars.scalars["parallax"].sigma))
    for band in stars.xp.values():
        columns.append(np.isfinite(band.value).sum(1))
    with np.errstate(invalid="ignore"):
        table = np.stack(columns, 1).astype(float)
        return np.nan_to_num(table, nan=0.0, posinf=0.0, neginf=0.0)


def pose_questions(facts: Mapping[str, np.ndarray]) -> tuple[Arrays, Arrays]:
    """Derive what can be asked of stars from the columns of a mock survey.

    Parameters
    ----------
    facts : mapping of str to ndarray, shape (n,)
        Columns such as `binary`, `rotation_period` or `true_age`.

    Returns
    -------
    kinds : dict of str to ndarray, shape (n,)
        1, 0, or NaN for stars that are left out. `binary`; `eclipsing`; `synchronised`: a binary
        that rotates with its orbit, against a single star that rotates as fast because it is
        young.
    numbers : dict of str to ndarray, shape (n,)
        Those of NUMBERS whose columns are there: Teff and log luminosity (the HR diagram), age,
        rotation, mass, metallicity.

    Raises
    ------
    ValueError
        If no column is of any use.
    """
    kinds, numbers = {}, {}
    for name in ("binary", "eclipsing"):
        if name in facts:
            kinds[name] = np.asarray(facts[name]).astype(float)
    if {"synchronised", "rotation_period", "true_age", "binary"} <= facts.keys():
        kinds["synchronised"] = _label_synchronised(facts)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, (column, scale) in NUMBERS.items():
            if column in facts:
                numbers[name] = scale(np.asarray(facts[column], float))
    if not kinds and not numbers:
        raise ValueError(
            "no column that the check knows, such as binary or true_age, "
            f"in {sorted(facts.keys())[:20]}"
        )
    return kinds, numbers


def _label_synchronised(facts: Mapping[str, np.ndarray]) -> np.ndarray:
    """(n,) 1 for synchronised binaries, 0 for young single stars, NaN for others and slow ones."""
    fast = np.asarray(facts["rotation_period"]) < FAST
    synchronised = np.asarray(facts["synchronised"]).astype(bool)
    single = ~np.asarray(facts["binary"]).astype(bool)
    young = single & (facts["true_age"] < YOUNG)
    compared = fast & (synchronised | young)
    return np.where(compared, synchronised.astype(float), np.nan)


def populations(
    model: Model,
    stars: Stars,
    facts: Mapping[str, Any],
    seed: int = 0,
    quiet: bool = True,
    umap: bool = True,
) -> dict:
    """Compute the scores of every feature set in all tasks.

    Parameters
    ----------
    model : Model
        A model that aligns light curves with other data.
    stars : Stars
        Stars with light curves.
    facts : mapping of str to array of shape (n,)
        What is known of the stars, see `pose_questions`.
    seed : int
        Of folds, of the stars that regressions learn from, and of the map.
    quiet : bool
        True hides the progress bar.
    umap : bool
        False leaves the map out.

    Returns
    -------
    dict
        Ready for JSON. `kinds`: area under the ROC curve and average precision of each, out of
        FOLDS folds. `numbers`: R2 and rms of each, learnt from FEW_SHOT of the stars. `map`:
        synchronised and other stars in a UMAP map, where there are any.

    Raises
    ------
    ValueError
        Without light curves, or if facts hold nothing that can be asked.
    """
    if stars.light_curve is None:
        raise ValueError(
            "the check compares light curves with other data: the table has none "
            "(light_curve_value)"
        )
    kinds, numbers = pose_questions(facts)
    sets = compute_features(model, stars, quiet)
    known = np.all([np.isfinite(x).all(1) for x in sets.values()], axis=0)
    rng = np.random.default_rng(seed)
    learnt_from = rng.random(len(known)) < FEW_SHOT
    result: dict = {
        "model_sha256": model.hash,
        "stars": int(known.sum()),
        "kinds": _score_kinds(sets, kinds, known, seed),
        "numbers": _score_numbers(sets, numbers, known, learnt_from),
        "map": {},
    }
    if umap and "synchronised" in result["kinds"]:
        kind = kinds["synchronised"]
        result["map"] = _map_synchronised(sets["fused"], kind, known, rng, seed)
    return result


def _score_kinds(sets: Arrays, kinds: Arrays, known: np.ndarray, seed: int) -> dict:
    """Scores of each kind of which there are FEWEST stars, by feature set."""
    scores = {}
    for name, kind in kinds.items():
        rows = np.flatnonzero(known & np.isfinite(kind))
        y = kind[rows].astype(int)
        if min(np.bincount(y, minlength=2)) < FEWEST:
            continue
        scores[name] = {"stars": len(y), "share": float(y.mean())}
        for features, x in sets.items():
            scores[name][features] = score_classifier(x[rows], y, seed)
    return scores


def _score_numbers(
    sets: Arrays, numbers: Arrays, known: np.ndarray, learnt_from: np.ndarray
) -> dict:
    """Scores of each number that is known for FEWEST stars to learn from and to judge by."""
    scores = {}
    for name, number in numbers.items():
        rows = known & np.isfinite(number)
        train = rows & learnt_from
        test = rows & ~learnt_from
        if train.sum() < FEWEST or test.sum() < FEWEST:
            continue
        scores[name] = {"stars": int(rows.sum()), "spread": float(number[rows].std())}
        for features, x in sets.items():
            scores[name][features] = score_regression(x, number, train, test)
    return scores


def score_classifier(x: np.ndarray, y: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Score a logistic regression; each star is judged by a fit that has not seen it.

    Parameters
    ----------
    x : ndarray, shape (n, d)
        Features.
    y : ndarray of int, shape (n,)
        0 or 1.
    seed : int
        Of the folds.

    Returns
    -------
    dict of str to float
        `auc`, the area under the ROC curve, and `ap`, the average precision.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score, roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=LOGISTIC_C, max_iter=1000, class_weight="balanced")
    probe = make_pipeline(StandardScaler(), regression)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # a fit that has not converged is as good a probe
        warnings.simplefilter("ignore")
        probability = cross_val_predict(probe, x, y, cv=folds, method="predict_proba")
    score = np.asarray(probability)[:, 1]
    return {"auc": float(roc_auc_score(y, score)), "ap": float(average_precision_score(y, score))}


def score_regression(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray
) -> dict[str, float]:
    """Score a ridge regression on stars that it was not fitted to.

    Parameters
    ----------
    x : ndarray, shape (n, d)
        Features.
    y : ndarray, shape (n,)
        The number that is predicted.
    train, test : ndarray of bool, shape (n,)
        Stars that it is fitted to, and judged by.

    Returns
    -------
    dict of str to float
        `r2` and `rms` of the residuals.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(x[train], y[train])
    residual = y[test] - fit.predict(x[test])
    r2 = 1 - residual.var() / y[test].var()
    rms = np.sqrt(np.mean(residual**2))
    return {"r2": float(r2), "rms": float(rms)}


def _map_synchronised(
    x: np.ndarray, kind: np.ndarray, known: np.ndarray, rng: np.random.Generator, seed: int
) -> dict:
    """A UMAP map, and how well neighbours there tell synchronised from young stars.

    The map has all stars of either kind, and others up to MAPPED. Of vectors x (n, d), kind (n,).
    """
    from sklearn.metrics import roc_auc_score
    from umap import UMAP

    compared = np.flatnonzero(known & np.isfinite(kind))
    others = rng.permutation(np.flatnonzero(known & ~np.isfinite(kind)))
    rows = np.concatenate([compared, others[: max(0, MAPPED - len(compared))]])
    with warnings.catch_warnings():
        # umap says that a seed costs it its threads
        warnings.simplefilter("ignore")
        mapper = UMAP(metric="cosine", random_state=seed)
        place = np.asarray(mapper.fit_transform(x[rows]))
    share = average_neighbours(place[: len(compared)], kind[compared], NEIGHBOURS)
    return {
        "auc": float(roc_auc_score(kind[compared], share)),
        "x": place[:, 0].tolist(),
        "y": place[:, 1].tolist(),
        "kind": np.nan_to_num(kind[rows], nan=-1).astype(int).tolist(),
    }


@in_style
def draw_populations(result: dict) -> Figure:
    """Draw the scores of every feature set, and the map of synchronised and young stars."""
    picture = new_figure(15, 4.5)
    left, middle, right = picture.subplots(1, 3)
    _draw_scores(left, result["kinds"], "auc")
    _draw_scores(middle, result["numbers"], "r2")
    left.set_title("area under the ROC curve")
    middle.set_title("R2, few shots")
    left.axhline(0.5, color=INK, lw=1)
    handles, names = middle.get_legend_handles_labels()
    picture.legend(handles, names, loc="outside lower left", ncols=len(FEATURE_SETS), fontsize=8)
    if result["map"]:
        _draw_synchronised(right, result["map"])
    else:
        right.set_visible(False)
    return picture


def _draw_scores(axis, tasks: dict[str, dict], score: str) -> None:
    """Bars of one score of all feature sets, in groups by task."""
    for i, name in enumerate(FEATURE_SETS):
        place = np.arange(len(tasks)) + 0.13 * (i - 2.5)
        height = [max(0, task[name][score]) for task in tasks.values()]
        axis.bar(place, height, 0.12, label=name)
    axis.set_ylim(0, 1)
    name_ticks(axis, list(tasks), rotation=30, ha="right")


def _draw_synchronised(axis, places: dict) -> None:
    x, y, kind = (np.asarray(places[key]) for key in ("x", "y", "kind"))
    for code, label, colour, size in STYLES:
        here = kind == code
        axis.scatter(x[here], y[here], s=size, c=colour, label=label)
    axis.legend(fontsize=8)
    title = f"UMAP of the fused embedding: AUC {places['auc']:.2f}"
    axis.set(title=title, xticks=[], yticks=[])


def write_populations(result: dict, folder: str | Path, overwrite: bool = False) -> None:
    """Write populations.json and populations.png into a folder, atomically.

    Raises FileExistsError if the folder exists and `overwrite` is False.
    """
    write_result(result, draw_populations(result), folder, OWNED, overwrite)
