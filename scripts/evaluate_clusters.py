"""Members of open clusters: ages, E(B-V) and distances of their stars beside those of their clusters.

    python scripts/evaluate_clusters.py DATA --out DIR [--catalogue TABLE.csv] [--mode lora] [--stars 6000]

From G, BP, RP, J, H, Ks and parallax, by mini as it is ("zero shot"), fine-tuned on other clusters' values in five
folds by cluster, and by XGBoost and the median in the same folds. What members of one cluster must agree in is measured
without any catalogue; the rest needs TABLE, which has age, A_V and distance of the clusters: the catalogue of DATA
(Cantat-Gaudin et al. 2020) has none of these clusters; that of Castro-Ginard et al. 2022 (VizieR J/A+A/661/A118) does.

Stars are shown apart as giants ((BP-RP)_0 > 0.8, M_G < 2.5 with the catalogue's A_V and distance), the brightest fifth
of the others of each cluster ("upper": turn-off and blue stragglers) and the rest ("main sequence"), which says little
of an age. A cluster's own age is the median of its members', or their posteriors multiplied ("product").
DIR gets the JSON of every fold and clusters.png.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from evaluate_real import boosted, numbers
from matplotlib.figure import Figure
from real_tables import CATALOGUE, R_V, catalogue, in_catalogue, kept, members
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from multistar.checks.metrics import coverage, scatter
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import decoded, predictions
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.predict import predict
from multistar.inference.stream import measurements
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model, load_model
from multistar.model.mixture import Mixture
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars
from multistar.status import BIT

LABELS = ("age", "ebv", "distance")
UNITS = {"age": "dex", "ebv": "mag", "distance": "ln"}  # of the differences that are measured
FOLDS, FEWEST = 5, 5  # members of a group, for a cluster to count
LOG_AGE = np.linspace(-3.0, 1.15, 84)  # log10 Gyr, where posteriors are multiplied
GIANT_COLOUR, GIANT_MAGNITUDE, UPPER = 0.8, 2.5, 0.2
AGE_EDGES = (-3.0, -1.0, -0.5, 0.1, 1.0)  # log10 Gyr
HOT_COLOUR = 0.25  # (BP - RP)_0 of 8000 K
A_G, E_COLOUR = 0.84, 0.42  # of Gaia's G and BP - RP, per A_V
ZERO_POINT = -0.035  # mas, of faint stars (Lindegren et al. 2021)
console = Console(width=150)


def scaled(name: str, value: np.ndarray) -> np.ndarray:
    """In which differences are measured: log10 of an age, E(B-V) itself, ln of a distance."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"age": np.log10, "ebv": np.asarray, "distance": np.log}[name](value)


def groups(frame: pd.DataFrame) -> np.ndarray:
    """(n,) "giants", "upper" or "main sequence"."""
    a_v = R_V * frame["ebv"]
    bright = frame["phot_g_mean_mag"] - 5 * np.log10(frame["distance"] * 100) - A_G * a_v
    colour = frame["phot_bp_mean_mag"] - frame["phot_rp_mean_mag"] - E_COLOUR * a_v
    giant = (colour > GIANT_COLOUR) & (bright < GIANT_MAGNITUDE)
    rank = bright.where(~giant).groupby(frame["cluster"]).rank(pct=True)
    return np.select([giant, rank <= UPPER], ["giants", "upper"], "main sequence")


def age_density(model: Model, mixture: Mixture, column: int) -> np.ndarray:
    """(n, grid) log density of log10 age at LOG_AGE, from the column of a mixture that is the age's."""
    z = np.asarray(to_even_scale(QUANTITIES["age"], 10**LOG_AGE))
    slot = model.vocabulary.slot("age")
    z = torch.tensor(
        (z - float(model.standardiser.center[slot])) / float(model.standardiser.scale[slot])
    )
    one = Mixture(
        *(x[:, column : column + 1] for x in (mixture.log_weight, mixture.mean, mixture.log_sigma))
    )
    wide = Mixture(*(x.expand(-1, len(z), -1) for x in (one.log_weight, one.mean, one.log_sigma)))
    value = z.float().expand(len(mixture.mean), -1)
    return wide.log_prob(value, torch.zeros_like(value)).numpy()


@torch.inference_mode()
def zero_shot(model: Model, stars: Stars) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Label -> (n, 3) median and 68 % interval; (n, grid) log density of the age, over that of a star without data."""
    table = predict(model, stars)
    guess = {
        x: np.stack([table[x + s].to_numpy() for s in ("", "_lower", "_upper")], 1) for x in LABELS
    }
    slot = torch.tensor([model.vocabulary.slot("age")])
    density, prior = np.empty((len(stars), len(LOG_AGE))), np.zeros(len(LOG_AGE))
    for rows, m in measurements(model, stars, "age of"):
        density[rows] = age_density(model, model.network.decode(model.network.encode(m), slot), 0)
        m.observed[:] = False
        prior = age_density(model, model.network.decode(model.network.encode(m), slot), 0)[0]
    return guess, density - prior


def tuned(base: Model, frame: pd.DataFrame, fold: np.ndarray, k: int, mode: str, most: int) -> dict:
    """Predictions for the clusters of fold k, learnt from at most `most` stars of the others, as lists for JSON."""
    rng = np.random.default_rng(k)
    train, test = rng.permutation(np.flatnonzero(fold != k))[:most], np.flatnonzero(fold == k)
    adapter = finetune(
        base,
        frame.iloc[train],
        list(LABELS),
        mode,
        config=FinetuneConfig(split="healpix"),
        quiet=False,
    )
    one, other = (read_stars(frame.iloc[rows]) for rows in (train, test))
    ours = predictions(adapter, other)
    result: dict[str, Any] = {
        x: np.stack([ours[x + s][0] for s in ("", "_lower", "_upper")], 1).tolist() for x in LABELS
    }
    place = [q.name for q in adapter.request.targets].index("age")
    parts = [
        age_density(adapter.model, mixture, place) for _, mixture, _ in decoded(adapter, other)
    ]
    held = np.histogram(
        scaled("age", one.scalars["age"].value), np.append(LOG_AGE, LOG_AGE[-1] + 0.05)
    )[0]
    prior = np.log(np.convolve(held / held.sum() + 1e-3, np.ones(5) / 5, "same"))
    result["density"] = np.round(np.concatenate(parts) - prior, 3).tolist()
    x, x_test = (numbers(base, stars, ()) for stars in (one, other))
    for name in LABELS:
        quantity = QUANTITIES[name]
        result[f"XGBoost {name}"] = from_even_scale(
            quantity, boosted(x, to_even_scale(quantity, one.scalars[name].value), x_test)
        ).tolist()
        result[f"median {name}"] = float(np.median(one.scalars[name].value))
    result["seconds"], result["test"] = adapter.provenance["steps"], test.tolist()
    return result


def agreement(frame: pd.DataFrame, guess: dict[str, np.ndarray], of: np.ndarray) -> None:
    """What members of one cluster must agree in: their spread beside that of all stars and beside the told errors."""
    table = Table("label", "stars", "within clusters", "all", "told error", title="Zero shot: MAD-std of members "
                  "about their cluster's median, of all stars about theirs, median width of intervals / 2")  # fmt: skip
    for name in LABELS:
        for group in dict.fromkeys(("all", *of)):
            rows = (of == group) | (group == "all")
            value = pd.DataFrame(
                dict(zip(("x", "low", "high"), scaled(name, guess[name][rows]).T, strict=True))
            )
            value["cluster"] = frame["cluster"].to_numpy()[rows]
            center = value.groupby("cluster")["x"].transform("median")
            within, whole = (
                scatter(value["x"].to_numpy(), np.asarray(c)) for c in (center, value["x"].median())
            )
            told = float(((value["high"] - value["low"]) / 2).median())
            cells = (f"{x:.3f}" for x in (within["mad_std"], whole["mad_std"], told))
            table.add_row(f"{name}, {UNITS[name]}", group, *cells)
    console.print(table)


def parallax_distance(frame: pd.DataFrame) -> pd.Series:
    """[kpc] by cluster, from the weighted mean of the members' parallaxes."""
    weight = frame["parallax_error"] ** -2
    mean = (frame["parallax"] * weight).groupby(frame["cluster"]).sum() / weight.groupby(
        frame["cluster"]
    ).sum()
    return 1 / (mean - ZERO_POINT)


def by_star(frame: pd.DataFrame, guesses: dict, of: np.ndarray) -> list[dict]:
    """Rows: label, group, who, scatter, bias and coverage against the cluster's value."""
    rows = []
    for name in LABELS:
        truth = frame[name].to_numpy()
        for group in dict.fromkeys(("all", *of)):
            here = (of == group) | (group == "all")
            for who, guess in guesses.items():
                value = guess[name][here]
                first = value[:, 0] if value.ndim == 2 else value
                row = {"label": name, "stars": f"{group}, {here.sum()}", "who": who}
                row |= scatter(scaled(name, first), scaled(name, truth[here]))
                if value.ndim == 2:
                    row["coverage"] = coverage(value[:, 1], value[:, 2], truth[here])
                rows.append(row)
    return rows


def cluster_values(frame: Any, guess: np.ndarray, name: str, rows: np.ndarray) -> Any:
    """By cluster: the median of its members' predictions and the catalogue's value, both scaled."""
    first = guess[:, 0] if guess.ndim == 2 else guess
    part = pd.DataFrame(
        {"cluster": frame["cluster"], "x": scaled(name, first), "truth": scaled(name, frame[name])}
    )
    found = (
        part[rows]
        .groupby("cluster")
        .agg(x=("x", "median"), truth=("truth", "first"), members=("x", "size"))
    )
    return found[found["members"] >= FEWEST]


def product(frame: Any, density: np.ndarray, rows: np.ndarray) -> Any:
    """By cluster: log10 age at the maximum of the members' likelihoods multiplied; one in twenty may be no member."""
    mixed = np.logaddexp(
        density,
        np.log(0.05)
        + np.maximum(density.mean(1, keepdims=True), density.max(1, keepdims=True) - 5),
    )
    total = pd.DataFrame(mixed[rows]).groupby(frame["cluster"].to_numpy()[rows]).sum()
    truth = frame[rows].groupby("cluster")["age"].agg(["first", "size"])
    found = pd.DataFrame(
        {"x": LOG_AGE[total.to_numpy().argmax(1)], "truth": np.log10(truth["first"])},
        index=total.index,
    )
    return found[truth["size"] >= FEWEST]


def by_age(frame: pd.DataFrame, guesses: dict, of: np.ndarray) -> None:
    """Ages of stars, cluster by age of the catalogue: young ones are outside of what the mock is made of."""
    log_age = np.log10(frame["age"].to_numpy())
    table = Table("log10 age of the cluster", "stars", "who", "bias", "MAD-std", "68 %")
    for low, high in itertools.pairwise(AGE_EDGES):
        for group in dict.fromkeys(of):
            here = (log_age >= low) & (log_age < high) & (of == group)
            for who in ("zero shot", "fine-tuned"):
                guess = guesses[who]["age"][here]
                size = scatter(np.log10(guess[:, 0]), log_age[here])
                told = coverage(guess[:, 1], guess[:, 2], frame["age"].to_numpy()[here])
                row = f"{low} ... {high}", f"{group}, {here.sum()}", who
                table.add_row(*row, f"{size['bias']:+.2f}", f"{size['mad_std']:.2f}", f"{told:.0%}")
    console.print(table)


def show_hot(frame: pd.DataFrame, flags: np.ndarray) -> None:
    """The mock has no stars above 8000 K: are those of the clusters noticed?"""
    colour = frame["phot_bp_mean_mag"] - frame["phot_rp_mean_mag"] - E_COLOUR * R_V * frame["ebv"]
    hot, flagged = (colour < HOT_COLOUR).to_numpy(), (flags & BIT["outside_training"]) > 0
    console.print(
        f"{hot.mean():.0%} of the members have (BP-RP)_0 < {HOT_COLOUR}, hotter than the mock's stars"
    )
    console.print(
        f"{flagged[hot].mean():.1%} of these are flagged, {flagged[~hot].mean():.1%} of the others"
    )


def show_stars(rows: list[dict]) -> None:
    table = Table(
        "label",
        "stars",
        "who",
        "MAD-std",
        "std",
        "bias",
        "68 %",
        title="Stars against their cluster's value",
    )
    for row in rows:
        told = f"{row['coverage']:.0%}" if "coverage" in row else ""
        cells = (f"{row[k]:.3f}" for k in ("mad_std", "std", "bias"))
        table.add_row(
            f"{row['label']}, {UNITS[row['label']]}", row["stars"], row["who"], *cells, told
        )
    console.print(table)


def by_cluster(frame: pd.DataFrame, guesses: dict, densities: dict, of: np.ndarray) -> dict:
    """(label, group, who) -> cluster_values; with a table of their scatter and rank correlation."""
    found: dict = {}
    for name in LABELS:
        for group in dict.fromkeys(("all", *of)):
            rows = (of == group) | (group == "all")
            for who, guess in guesses.items():
                found[name, group, who] = cluster_values(frame, guess[name], name, rows)
            if name == "age":
                for who, density in densities.items():
                    found[name, group, f"{who}, product"] = product(frame, density, rows)
    table = Table(
        "label",
        "members",
        "clusters",
        "who",
        "MAD-std",
        "std",
        "bias",
        "rank correlation",
        title="Clusters",
    )
    for (name, group, who), values in found.items():
        size = scatter(values["x"].to_numpy(), values["truth"].to_numpy())
        rank = (
            float(np.asarray(spearmanr(values["x"], values["truth"]))[0])
            if values["x"].nunique() > 5
            else np.nan
        )
        cells = (f"{x:.3f}" for x in (size["mad_std"], size["std"], size["bias"], rank))
        table.add_row(f"{name}, {UNITS[name]}", group, str(len(values)), who, *cells)
    console.print(table)
    return found


def picture(found: dict, path: Path) -> None:
    """Clusters' values, predicted against the catalogue's."""
    figure = Figure(figsize=(12.5, 8), layout="constrained")
    panels = [("age", "zero shot"), ("age", "fine-tuned"), ("age", "XGBoost"), ("ebv", "zero shot"),
              ("ebv", "fine-tuned"), ("distance", "zero shot")]  # fmt: skip
    for axis, (name, who) in zip(figure.subplots(2, 3).flat, panels, strict=True):
        for group, colour in (("main sequence", "C0"), ("upper", "C2"), ("giants", "C3")):
            values = found[name, group, who]
            axis.plot(values["truth"], values["x"], ".", color=colour, ms=4, alpha=0.6, label=group)
        ends = found[name, "all", who]["truth"].agg(["min", "max"])
        axis.plot(ends, ends, "k-", lw=0.8)
        unit = {"age": "log10 age [Gyr]", "ebv": "E(B-V) [mag]", "distance": "ln distance [kpc]"}[
            name
        ]
        axis.set(title=who, xlabel=f"catalogue, {unit}", ylabel="median of members")
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", help="folder of the real tables")
    parser.add_argument("--out", required=True, help="folder for JSON and picture")
    parser.add_argument(
        "--catalogue",
        help="CSV with the clusters' Cluster, logAge, AV, Dist; DATA's own without it",
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--mode", default="lora")
    parser.add_argument("--stars", type=int, default=6000, help="of other clusters to learn from")
    args = parser.parse_args()
    base, data, out = load_model(args.model), Path(args.data), Path(args.out)
    everything: Any = members(data)
    guess, density = zero_shot(base, stars := read_stars(everything))
    flagged = np.mean([bool(flag & BIT["outside_training"]) for flag in stars.flags])
    console.print(
        f"{len(everything)} members of {everything['cluster'].nunique()} clusters, {flagged:.0%} outside_training"
    )
    agreement(everything, guess, np.full(len(everything), "all"))
    without = everything.drop(columns=["parallax", "parallax_error"])
    photometric = predict(base, read_stars(without))["distance"].to_numpy()
    mean = everything["cluster"].map(parallax_distance(everything)).to_numpy()
    for name, value in (("with parallax", guess["distance"][:, 0]), ("without", photometric)):
        size = scatter(np.log(value), np.log(mean))
        console.print(f"ln distance of a star, {name}, against the cluster's mean parallax: "
                      f"MAD-std {size['mad_std']:.3f}, bias {size['bias']:+.3f}")  # fmt: skip
    frame: Any = in_catalogue(
        everything, catalogue(Path(args.catalogue) if args.catalogue else data / CATALOGUE)
    )
    place = pd.Index(everything["source_id"]).get_indexer(pd.Index(frame["source_id"]))
    of = groups(frame)
    guesses: dict = {"zero shot": {x: guess[x][place] for x in LABELS}}
    densities = {"zero shot": density[place]}
    agreement(frame, guesses["zero shot"], of)
    names = frame["cluster"].unique()
    order = np.random.default_rng(0).permutation(len(names))
    fold = frame["cluster"].map(dict(zip(names, order % FOLDS, strict=True))).to_numpy()
    gathered = {
        who: {x: np.full(frame.shape[0], np.nan) for x in LABELS} for who in ("XGBoost", "median")
    }
    ours = {x: np.full((len(frame), 3), np.nan) for x in LABELS}
    densities["fine-tuned"] = np.full((len(frame), len(LOG_AGE)), np.nan)
    for k in range(FOLDS):
        path = out / f"clusters-{args.mode}-{args.stars}-{k}.json"
        part = kept(path, lambda k=k: tuned(base, frame, fold, k, args.mode, args.stars))
        rows = part["test"]
        densities["fine-tuned"][rows] = part["density"]
        for x in LABELS:
            ours[x][rows] = part[x]
            for who in gathered:
                gathered[who][x][rows] = part[f"{who} {x}"]
    guesses |= {"fine-tuned": ours} | gathered
    stars_rows = kept(
        out / f"clusters-{args.mode}-{args.stars}.json",
        lambda: {"stars": by_star(frame, guesses, of)},
    )
    show_stars(stars_rows["stars"])
    by_age(frame, guesses, of)
    show_hot(frame, stars.flags[place])
    picture(by_cluster(frame, guesses, densities, of), out / "clusters.png")


if __name__ == "__main__":
    main()
