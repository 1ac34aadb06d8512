"""Open clusters of a folder of real tables: ages and dust of clusters, and of single members."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multistar.checks.metrics import coverage, scatter
from multistar.checks.real.cluster_predictions import predict_zero_shot
from multistar.checks.real.clusters import multiply_posteriors, take_medians
from multistar.checks.real.tables import R_V
from multistar.inference.predict import predict
from multistar.model.checkpoint import Model
from multistar.stars import Stars, read_stars

CLUSTER_FILES = (
    Path("clusters", "almeida2023_members.parquet"),
    Path("clusters", "almeida2023_clusters.csv"),
)
MEMBERS, FEWEST_MEMBERS = 60, 20
WITH_PRIOR = 5  # members of each cluster that are judged one by one
YOUNGEST, OLDEST = 6.5, 9.0  # log10 yr, of clusters whose members are said to be young
AGE_EDGES = (6.5, 7.5, 8.0, 8.5, 9.0, 9.5, 10.2)  # log10 yr
NOT_MEASURED = {"age", "ebv", "cluster", "membership", "ruwe"}


def read_clusters(folder: Path, seed: int = 0) -> pd.DataFrame | None:
    """Read members of open clusters with age [Gyr], ebv [mag], at most MEMBERS of each."""
    members_file, catalogue_file = (folder / file for file in CLUSTER_FILES)
    if not members_file.exists():
        return None
    members: Any = pd.read_parquet(members_file)
    catalogue: Any = pd.read_csv(catalogue_file)
    names = {name.lower(): name for name in catalogue.columns}
    cluster = names.get("cluster") or names["name"]
    age = next(names[key] for key in ("log_age", "logage", "age") if key in names)
    a_v = next(names[key] for key in ("a_v", "av") if key in names)
    catalogue = catalogue.set_index(cluster)
    frame: Any = members[members["cluster"].isin(catalogue.index)]
    frame = frame.sample(frac=1, random_state=seed).groupby("cluster").head(MEMBERS)
    size = frame.groupby("cluster")["cluster"].transform("size")
    frame = frame[size >= FEWEST_MEMBERS].reset_index(drop=True)
    known = catalogue.loc[frame["cluster"]]
    return frame.assign(
        age=10 ** (known[age].to_numpy(float) - 9), ebv=known[a_v].to_numpy(float) / R_V
    )


def _read_members(frame: pd.DataFrame) -> Stars:
    """Read what was measured of the members, without what is known of their clusters."""
    return read_stars(frame[[name for name in frame if name not in NOT_MEASURED]])


def check_clusters(model: Model, frame: Any) -> list[dict]:
    """Compare ages and reddenings of open clusters: rows by age.

    The age is where the product of the members' likelihoods is largest, the reddening the median
    of the members' values.
    """
    guess = predict_zero_shot(model, _read_members(frame))
    everyone = np.ones(len(frame), bool)
    density = guess.log_density
    assert density is not None and guess.is_outside is not None
    ages: Any = multiply_posteriors(frame, density, everyone)
    medians: Any = take_medians(frame, "age", guess.values["age"], everyone)
    dust: Any = take_medians(frame, "ebv", guess.values["ebv"], everyone)
    log_age: Any = np.log10(frame.groupby("cluster")["age"].first()) + 9
    flagged: Any = pd.Series(guess.is_outside).groupby(frame["cluster"]).mean()
    rows = []
    for low, high in zip(AGE_EDGES[:-1], AGE_EDGES[1:], strict=True):
        here = log_age.index[(log_age >= low) & (log_age < high)].intersection(ages.index)
        if len(here) < 3:
            continue
        error = ages.loc[here, "x"] - ages.loc[here, "truth"]
        of_dust = dust.loc[here, "x"] - dust.loc[here, "truth"]
        of_medians = medians.loc[here, "x"] - medians.loc[here, "truth"]
        row: dict = {"log_age": f"{low}-{high}", "clusters": len(here)}
        row["age_bias"] = float(error.median())
        row["age_distance"] = float(error.abs().median())
        row["age_bias_of_medians"] = float(of_medians.median())
        row["ebv_bias"] = float(of_dust.median())
        row["ebv_scatter"] = float(1.4826 * (of_dust - of_dust.median()).abs().median())
        rows.append(row | {"flagged": float(flagged.loc[here].mean())})
    return rows


def check_members(model: Model, frame: Any, prior: str | None) -> list[dict]:
    """Compare single members of young open clusters with their clusters: age and E(B-V).

    Parameters
    ----------
    model : Model
    frame : DataFrame
        Of read_clusters.
    prior : str, optional
        Population that all of them are said to be of.

    Returns
    -------
    list of dict
        Rows for "age" [dex] and "ebv" [mag], as those of check_sample; none without such clusters.
    """
    log_age = np.log10(frame["age"]) + 9
    young = frame[(log_age >= YOUNGEST) & (log_age < OLDEST)]
    young = young.groupby("cluster").head(WITH_PRIOR).reset_index(drop=True)
    if young.empty:
        return []
    stars = _read_members(young)
    table = predict(model, stars, quiet=True, labels=["age", "ebv"], prior=prior)
    rows = []
    for label, scale in (("age", np.log10), ("ebv", np.asarray)):
        value, low, high = (
            scale(table[label + end].to_numpy()) for end in ("", "_lower", "_upper")
        )
        known = scale(young[label].to_numpy())
        row: dict = {"prior": prior or "all stars", "label": label, "stars": len(young)}
        row |= scatter(value, known)
        row["held"] = coverage(low, high, known)
        rows.append(row)
    return rows
