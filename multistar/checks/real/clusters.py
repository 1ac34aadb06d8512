"""Members of open clusters: ages, E(B-V) and distances of stars beside those of their clusters.

What members of one cluster must agree in is measured without any catalogue; the rest needs one.
Stars are shown apart as giants, as the brightest fifth of the others of each cluster ("upper":
turn-off and blue stragglers), and as the rest ("main sequence"), which says little of an age.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from multistar.checks.metrics import coverage, scatter
from multistar.checks.real.cluster_predictions import (
    FINE_TUNED,
    LABELS,
    LOG_AGE,
    ZERO_SHOT,
    Guess,
    predict_in_folds,
    predict_zero_shot,
)
from multistar.checks.real.tables import (
    CATALOGUE_FILE,
    R_V,
    attach_catalogue,
    read_cluster_catalogue,
    read_cluster_members,
)
from multistar.inference.predict import predict
from multistar.model.checkpoint import Model
from multistar.stars import read_stars

# In which differences are measured: log10 of an age, E(B-V) itself, ln of a distance.
SCALES: Mapping[str, Callable] = {"age": np.log10, "ebv": np.asarray, "distance": np.log}
FEWEST = 5  # members of a group, for a cluster to count
GIANT_COLOUR, GIANT_MAGNITUDE = 0.8, 2.5  # (BP-RP)_0 of giants is larger, M_G smaller
UPPER = 0.2
AGE_EDGES = (-3.0, -1.0, -0.5, 0.1, 1.0)  # log10 Gyr
HOT_COLOUR = 0.25  # (BP-RP)_0 of 8000 K
A_G, E_COLOUR = 0.84, 0.42  # of Gaia's G and BP-RP, per A_V
ZERO_POINT = -0.035  # mas, of faint stars (Lindegren et al. 2021)
STRAY = 0.05  # share of the members that may be no members
STRAY_DEPTH = 5  # and how far below the best age their likelihood is at most


def scale_label(name: str, value: Any) -> np.ndarray:
    """Transform values of a label to the scale in which differences are measured."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(SCALES[name](value))


def sort_stars(frame: pd.DataFrame) -> np.ndarray:
    """Call each star (n,) "giants", "upper" or "main sequence", by A_V and distance."""
    modulus = 5 * np.log10(frame["distance"] * 100)
    bright = frame["phot_g_mean_mag"] - modulus - A_G * R_V * frame["ebv"]
    giant = (_intrinsic_colour(frame) > GIANT_COLOUR) & (bright < GIANT_MAGNITUDE)
    rank = bright.where(~giant).groupby(frame["cluster"]).rank(pct=True)
    return np.select([giant, rank <= UPPER], ["giants", "upper"], "main sequence")


def _intrinsic_colour(frame: pd.DataFrame) -> pd.Series:
    colour = frame["phot_bp_mean_mag"] - frame["phot_rp_mean_mag"]
    return colour - E_COLOUR * R_V * frame["ebv"]


def _iterate_groups(groups: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "all", np.ones(len(groups), bool)
    for group in dict.fromkeys(groups.tolist()):
        yield group, groups == group


def measure_agreement(
    clusters: np.ndarray, guess: Guess, groups: np.ndarray | None = None
) -> list[dict]:
    """Measure what members of one cluster must agree in.

    Returns
    -------
    list of dict
        By label and group: MAD-std about the cluster's median (`within`) and about that of all
        stars (`whole`), and the median half width of the predicted intervals (`predicted`).
    """
    assert guess.intervals is not None
    groups = np.array([""] * len(clusters)) if groups is None else groups
    rows = []
    for name in LABELS:
        value = scale_label(name, guess.values[name])
        ends = scale_label(name, guess.intervals[name])
        for group, here in _iterate_groups(groups):
            if not group:
                continue
            series = pd.Series(value[here])
            center = series.groupby(clusters[here]).transform("median")
            row: dict = {"label": name, "group": group, "stars": int(here.sum())}
            row["within"] = scatter(value[here], center.to_numpy())["mad_std"]
            row["whole"] = scatter(value[here], np.full(here.sum(), series.median()))["mad_std"]
            row["predicted"] = float(np.nanmedian(ends[here, 1] - ends[here, 0]) / 2)
            rows.append(row)
    return rows


def estimate_distances(frame: pd.DataFrame) -> pd.Series:
    """Estimate distances [kpc] by cluster, from the weighted mean of the members' parallaxes."""
    weight = frame["parallax_error"] ** -2
    total = (frame["parallax"] * weight).groupby(frame["cluster"]).sum()
    mean = total / weight.groupby(frame["cluster"]).sum()
    return 1 / (mean - ZERO_POINT)


def score_stars(
    frame: pd.DataFrame, guesses: Mapping[str, Guess], groups: np.ndarray
) -> list[dict]:
    """Score stars against their cluster's value, by label, group and who predicts."""
    rows = []
    for name in LABELS:
        for group, here in _iterate_groups(groups):
            for who, guess in guesses.items():
                row = {"label": name, "group": group, "stars": int(here.sum()), "who": who}
                rows.append(row | _score(name, guess, frame, here))
    return rows


def score_by_age(
    frame: pd.DataFrame, guesses: Mapping[str, Guess], groups: np.ndarray
) -> list[dict]:
    """Score ages by the age of the cluster: young ones are outside of what the mock is made of."""
    log_age = np.log10(frame["age"].to_numpy())
    rows = []
    for low, high in itertools.pairwise(AGE_EDGES):
        old_enough = (log_age >= low) & (log_age < high)
        for group in dict.fromkeys(groups.tolist()):
            here = old_enough & (groups == group)
            for who in (ZERO_SHOT, FINE_TUNED):
                row = {"log_age": f"{low} ... {high}", "group": group, "who": who}
                row["stars"] = int(here.sum())
                if here.any():
                    row |= _score("age", guesses[who], frame, here)
                rows.append(row)
    return rows


def _score(name: str, guess: Guess, frame: pd.DataFrame, here: np.ndarray) -> dict[str, float]:
    truth = frame[name].to_numpy()[here]
    size = scatter(scale_label(name, guess.values[name][here]), scale_label(name, truth))
    if guess.intervals is not None:
        low, high = guess.intervals[name][here].T
        size["coverage"] = coverage(low, high, truth)
    return size


def take_medians(frame: pd.DataFrame, name: str, value: np.ndarray, here: np.ndarray):
    """Take the median of members' predictions by cluster.

    Returns
    -------
    DataFrame
        By cluster with FEWEST members or more: `x`, scaled, and `truth`, that of the catalogue.
    """
    columns = {"x": scale_label(name, value), "truth": scale_label(name, frame[name])}
    part = pd.DataFrame(columns)[here].groupby(frame["cluster"].to_numpy()[here])
    found = part.agg(x=("x", "median"), truth=("truth", "first"), members=("x", "size"))
    return found[found["members"] >= FEWEST]


def multiply_posteriors(frame: pd.DataFrame, log_density: np.ndarray, here: np.ndarray):
    """Find the age by cluster where the product of its members' likelihoods is largest.

    One star in twenty may be no member: its likelihood is bounded from below.

    Returns
    -------
    DataFrame
        As take_medians gives it.
    """
    level = log_density.mean(1, keepdims=True)
    floor = np.maximum(level, log_density.max(1, keepdims=True) - STRAY_DEPTH)
    mixed = np.logaddexp(log_density, np.log(STRAY) + floor)
    clusters = frame["cluster"].to_numpy()[here]
    total = pd.DataFrame(mixed[here]).groupby(clusters).sum()
    age: Any = frame["age"]
    known = age[here].groupby(clusters).agg(["first", "size"])
    columns = {
        "x": LOG_AGE[total.to_numpy().argmax(1)],
        "truth": np.log10(known["first"]),
        "members": known["size"],
    }
    found = pd.DataFrame(columns, index=total.index)
    return found[found["members"] >= FEWEST]


def score_clusters(
    frame: pd.DataFrame, guesses: Mapping[str, Guess], groups: np.ndarray
) -> list[dict]:
    """Score clusters' own values, by label, group and who predicts; ages also as products."""
    rows = []
    for name in LABELS:
        for group, here in _iterate_groups(groups):
            found: dict[str, Any] = {}
            for who, guess in guesses.items():
                found[who] = take_medians(frame, name, guess.values[name], here)
                if name == "age" and guess.log_density is not None:
                    product = multiply_posteriors(frame, guess.log_density, here)
                    found[f"{who}, product"] = product
            for who, values in found.items():
                row = {"label": name, "group": group, "who": who, "clusters": len(values)}
                rows.append(row | _compare_with_catalogue(values))
    return rows


def _compare_with_catalogue(values) -> dict[str, float]:
    if not len(values):
        return {}
    size = scatter(values["x"].to_numpy(), values["truth"].to_numpy())
    if values["x"].nunique() > 5:
        rank = spearmanr(values["x"], values["truth"])
        size["rank_correlation"] = float(np.asarray(rank)[0])
    return size


def count_hot(frame: pd.DataFrame, is_outside: np.ndarray) -> dict[str, float]:
    """Count members hotter than any star of the mock (8000 K), and those outside_training."""
    hot = (_intrinsic_colour(frame) < HOT_COLOUR).to_numpy()
    return {
        "hot": float(hot.mean()),
        "hot_flagged": float(is_outside[hot].mean()),
        "others_flagged": float(is_outside[~hot].mean()),
    }


def compare_distances(model: Model, members: pd.DataFrame, guess: Guess) -> list[dict]:
    """Compare distances, with and without a star's parallax, with the cluster's mean parallax."""
    without = members.drop(columns=["parallax", "parallax_error"])
    photometric = predict(model, read_stars(without))["distance"].to_numpy()
    by_cluster: Any = estimate_distances(members)
    mean = members["cluster"].map(by_cluster).to_numpy()
    rows = []
    for parallax, value in ((True, guess.values["distance"]), (False, photometric)):
        rows.append({"parallax": parallax} | scatter(np.log(value), np.log(mean)))
    return rows


def evaluate_clusters(
    model: Model, data: Path, catalogue: Path | None, mode: str, most: int, cache: Path | None
) -> dict:
    """Predict members of open clusters from G, BP, RP, J, H, Ks and parallax, and judge them.

    Parameters
    ----------
    data
        Folder of the real tables. Its own catalogue (Cantat-Gaudin et al. 2020) has none of the
        clusters of its members.
    catalogue
        CSV with age, A_V and distance of the clusters, such as Castro-Ginard et al. 2022
        (VizieR J/A+A/661/A118).
    mode, most
        Of fine-tuning, and stars of other clusters that it learns from.

    Returns
    -------
    dict
        Name -> rows or numbers; `members` and `clusters` are counts.
    """
    members = read_cluster_members(data)
    guess = predict_zero_shot(model, read_stars(members))
    names = members["cluster"].to_numpy()
    figures: dict = {"members": len(members), "clusters": len(set(names))}
    figures["agreement_of_all"] = measure_agreement(names, guess)
    figures["distances"] = compare_distances(model, members, guess)
    known = read_cluster_catalogue(catalogue or data / CATALOGUE_FILE)
    frame = attach_catalogue(members, known)
    place = pd.Index(members["source_id"]).get_indexer(pd.Index(frame["source_id"]))
    groups = sort_stars(frame)
    guesses = {ZERO_SHOT: guess.select(place)}
    guesses |= predict_in_folds(model, frame, mode, most, cache)
    clusters = frame["cluster"].to_numpy()
    figures["agreement"] = measure_agreement(clusters, guesses[ZERO_SHOT], groups)
    figures["stars"] = score_stars(frame, guesses, groups)
    figures["by_age"] = score_by_age(frame, guesses, groups)
    assert guess.is_outside is not None
    figures["hot"] = [count_hot(frame, guess.is_outside[place])]
    figures["of_clusters"] = score_clusters(frame, guesses, groups)
    return figures
