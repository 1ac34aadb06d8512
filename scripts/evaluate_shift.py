"""How far are real stars from mock ones, as the model sees them? One number and one picture per table.

    python scripts/evaluate_shift.py DATA --out DIR [--part lamost giants members field] [--real DIR]

Every real star gets a mock twin: the nearest in G, BP - RP and (with parallaxes) M_G of a new mock survey, each taken
once, with the same measurements missing, and noise added until its errors are those of the real star. Stars without
a twin nearby are left out, and counted. Then, for what is left:

told apart   AUC, in five folds, of classifiers that tell real stars from twins by the model's embedding (logistic
             regression; LightGBM) and by the values that it reads (LightGBM); beside twins against second twins: 0.5
flagged      share that the model calls outside_training, of real stars and of twins
colours      median difference of each colour between real stars and their twins: what is off by how many magnitudes
levelled     the first and the last anew, after one constant per band has put these differences to zero
zero shot    error of labels of real stars, and of their twins, whose truth is known; --real DIR, the folder that
             evaluate_real.py filled, adds what fine-tuning leaves of it (giants: with spectroscopic labels as inputs)

DIR gets the JSON of every table, shift.png and the mock surveys. Needs the extra `variability` (LightGBM).
"""

import argparse
import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from real_tables import LAMOST, OLDEST, giants, kept, lamost, members
from rich.console import Console
from rich.table import Table
from scipy.spatial import KDTree
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from multistar.checks.metrics import scatter
from multistar.inference.embed import embed
from multistar.inference.predict import predict
from multistar.inference.stream import shown
from multistar.io.files import atomic_write
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.model.checkpoint import Model, load_model
from multistar.model.mismatch import ZERO_POINTS
from multistar.stars import Scalar, Stars, read_stars
from multistar.status import BIT

SEED, FOLDS, MOST = 31, 5, 2500
NEAR = {
    "g": 0.5,
    "colour": 0.05,
    "absolute": 0.5,
}  # mag; a twin is no farther than 1 in these units together
MOCK = {"all-sky": 30000, "kepler-like": 20000}
LABELS = ("teff", "logg", "m_h", "mass", "age")
MAGNITUDE_ERROR = 0.005  # mag, of those that follow from XP
console = Console(width=150)


def tables(folder: Path) -> dict[str, Any]:
    """Part -> (selection of the mock, maker of its Stars)."""

    def kepler_giants() -> Stars:
        known = {"teff": "TEFF", "logg": "LOGG", "m_h": "FE_H", "mass": "Mcorr", "age": "Age"}
        frame = giants(folder).rename(columns={theirs: ours for ours, theirs in known.items()})
        frame["age"] = frame["age"].where(frame["age"] < OLDEST)
        seen = frame["phot_g_mean_mag"].notna() & frame["parallax"].notna()
        names = ("source_id", "phot_", "parallax", "j_m", "h_m", "ks_m", *LABELS)
        return read_stars(frame.loc[seen, [c for c in frame if c.startswith(names)]])

    def field() -> Stars:
        stars = read_stars(folder / "xp" / "gaia_dr3_xp_continuous_field.fits")
        for band in ("bp", "rp"):
            value = synthetic_magnitudes(stars.xp)[band]
            stars.scalars[band] = Scalar(value, np.full(len(stars), MAGNITUDE_ERROR))
        return stars

    return {
        "lamost": ("all-sky", lambda: read_stars(lamost(folder), LAMOST)),
        "giants": ("kepler-like", kepler_giants),
        "members": ("all-sky", lambda: read_stars(members(folder))),
        "field": ("all-sky", field),
    }


def mock_stars(selection: str, out: Path) -> Stars:
    path = out / f"mock-{selection}.parquet"
    if not path.exists():
        made = pa.concat_tables(
            survey(MOCK[selection], SurveyConfig(seed=SEED, selection=selection))
        )
        with atomic_write(path) as temporary:
            pq.write_table(made, temporary)
    return read_stars(path)


def place(stars: Stars) -> np.ndarray:
    """(n, 2 or 3) G, BP - RP and M_G in units of NEAR; M_G of the arcsinh kind, which every parallax has."""
    s = stars.scalars
    columns = [s["g"].value / NEAR["g"], (s["bp"].value - s["rp"].value) / NEAR["colour"]]
    if "parallax" in s:
        size = s["parallax"].value / 100 * 10 ** (0.2 * s["g"].value)  # 10 ** (0.2 M_G)
        columns.append(5 / np.log(10) * np.arcsinh(size / 2) / NEAR["absolute"])
    return np.stack(columns, 1)


def twins(
    real: Stars, mock: Stars, taken: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of real stars and of their nearest mock star that is not `taken` (n_mock,), which is then."""
    if "parallax" not in real.scalars:
        mock = dataclasses.replace(
            mock, scalars={k: v for k, v in mock.scalars.items() if k != "parallax"}
        )
    free, x = np.flatnonzero(~taken), place(real)
    x = np.where(np.isfinite(x), x, 1e6)
    apart, nearest = map(np.asarray, KDTree(place(mock)[free]).query(x, k=20))
    pairs = []
    for row in rng.permutation(len(x)).tolist():
        near = free[nearest[row][apart[row] < 1]]
        untaken = near[~taken[near]]
        if len(untaken):
            taken[untaken[0]] = True
            pairs.append((row, untaken[0]))
    rows, mine = np.array(pairs, int).reshape(-1, 2).T
    return rows, mine


def as_observed(mock: Stars, real: Stars, rng: np.random.Generator) -> Stars:
    """Mock stars, row by row with what is missing and the errors of real ones; no longer known as mock stars.

    What the model adds to magnitudes of the sky (ZERO_POINTS) is taken from theirs.
    """

    def worse(value, sigma, like, like_sigma):
        extra = np.sqrt(np.maximum(np.nan_to_num(like_sigma) ** 2 - sigma**2, 0))
        noisy = value + extra * rng.normal(size=value.shape)
        return np.where(np.isfinite(like), noisy, np.nan), like_sigma

    def moved(name: str) -> np.ndarray:
        return mock.scalars[name].value - ZERO_POINTS.get(name, 0.0)

    measured = {k: s for k, s in real.scalars.items() if k in mock.scalars and k not in LABELS}
    scalars = {
        k: Scalar(*worse(moved(k), mock.scalars[k].sigma, s.value, s.sigma))
        for k, s in measured.items()
    }
    ratio = 10 ** (-0.4 * (mock.scalars["g"].value - real.scalars["g"].value))[:, None]
    xp = {b: XPCoefficients(*worse(mock.xp[b].value, mock.xp[b].sigma, x.value * ratio, x.sigma * ratio))
          for b, x in real.xp.items()}  # fmt: skip
    return Stars(mock.source_id, np.zeros_like(mock.flags), scalars, xp)


def only_read(stars: Stars, model: Model) -> Stars:
    names = [*model.vocabulary.measurements, *LABELS]
    return dataclasses.replace(
        stars, scalars={k: s for k, s in stars.scalars.items() if k in names}
    )


def auc(one: np.ndarray, other: np.ndarray, linear: bool) -> float:
    """Of telling the rows of two arrays apart, in folds."""
    lightgbm: Any = importlib.import_module("lightgbm")
    x, y = np.concatenate([one, other]), np.repeat([0, 1], [len(one), len(other)])
    odds = np.empty(len(y))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y):
        if linear:
            guess = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        else:
            guess = lightgbm.LGBMClassifier(
                n_estimators=150, num_leaves=15, learning_rate=0.08, n_jobs=1, verbose=-1
            )
        odds[test] = guess.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
    return float(roc_auc_score(y, odds))


def vectors(model: Model, stars: Stars) -> np.ndarray:
    return np.stack(embed(model, stars, quiet=True)["embedding"].to_numpy())


def values(model: Model, stars: Stars) -> np.ndarray:
    m = shown(model, stars, False)
    return np.where(m.observed.numpy(), m.value.numpy(), np.nan)


def colours(real: Stars, twin: Stars) -> dict[str, list[float]]:
    """Colour with G -> median of real - twin, and the standard error of it [mag]."""
    out = {}
    for band in ("bp", "rp", "j", "h", "ks", "w1", "w2"):
        if band in real.scalars and band in twin.scalars:
            apart = [s.scalars["g"].value - s.scalars[band].value for s in (real, twin)]
            step = apart[0] - apart[1]
            step = step[np.isfinite(step)]
            if len(step) > 30:
                out[f"G-{band.upper()}"] = [
                    float(np.median(step)),
                    float(1.25 * step.std() / np.sqrt(len(step))),
                ]
    return out


def levelled(real: Stars, shifts: dict[str, list[float]]) -> Stars:
    """A constant added to G, J, H, Ks, W1, W2, so that colours agree with those of the twins; BP and RP stay."""
    gaia = np.mean([shifts[name][0] for name in ("G-BP", "G-RP")])
    constant = {name.removeprefix("G-").lower(): step - gaia for name, (step, _) in shifts.items()}
    constant |= {"g": -gaia, "bp": 0.0, "rp": 0.0}
    scalars = {k: Scalar(s.value + constant.get(k, 0.0), s.sigma) for k, s in real.scalars.items()}
    return dataclasses.replace(real, scalars=scalars, flags=np.zeros_like(real.flags))


def accuracy(
    model: Model, real: Stars, level: Stars, twin: Stars, truth: dict[str, np.ndarray]
) -> dict:
    """Label -> scatter of zero-shot predictions of real stars against the catalogue, of twins against the truth."""
    ours, again, others = (predict(model, stars, quiet=True) for stars in (real, level, twin))
    return {
        name: {"real": scatter(ours[name].to_numpy(), real.scalars[name].value),
               "levelled": scatter(again[name].to_numpy(), real.scalars[name].value),
               "twins": scatter(others[name].to_numpy(), truth[name])}
        for name in LABELS if name in real.scalars and np.isfinite(real.scalars[name].value).sum() > 50
    }  # fmt: skip


def measure(model: Model, everything: Stars, mock: Stars) -> dict:
    rng = np.random.default_rng(0)
    everything = only_read(everything, model)
    some = everything.select(np.sort(rng.permutation(len(everything))[:MOST]))
    taken = np.zeros(len(mock), bool)
    rows, first = twins(some, mock, taken, rng)
    real = some.select(rows)
    again, second = twins(real, mock, taken, rng)
    one, two = (
        as_observed(mock.select(first), real, rng),
        as_observed(mock.select(second), real.select(again), rng),
    )
    shifts = colours(real, one)
    real = dataclasses.replace(real, flags=np.zeros_like(real.flags))
    level = levelled(real, shifts)
    seen = {"real": real, "one": one, "two": two, "level": level}
    sees = {name: (vectors(model, stars), values(model, stars)) for name, stars in seen.items()}

    def apart(name: str) -> dict[str, float]:
        (space, read), (space_, read_) = sees[name], sees["one"]
        return dict(
            linear=auc(space, space_, True),
            trees=auc(space, space_, False),
            values=auc(read, read_, False),
        )

    embed(model, everything, quiet=True)  # sets flags
    flagged = {"all real": everything, "real": real, "twins": one}
    truth = {name: mock.extra[f"true_{name}"][first] for name in LABELS}
    return {
        "stars": len(some), "twins": len(rows), "colours": shifts,
        "flagged": {name: float(np.mean((s.flags & BIT["outside_training"]) > 0)) for name, s in flagged.items()},
        "auc": apart("real"), "control": apart("two"), "levelled": apart("level"),
        "accuracy": accuracy(model, real, level, one, truth),
    }  # fmt: skip


def tuned(folder: Path, part: str, name: str) -> float:
    """MAD-std that evaluate_real.py found after fine-tuning, over what is there of its draws or folds; NaN for none."""
    pattern = {"lamost": "lamost-lora-5000-*.json", "giants": "kepler-lora-no-cn-*.json"}.get(
        part, "none"
    )
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(pattern))]
    found = [x[name]["multistar"]["mad_std"] for x in found if name in x]
    return float(np.mean(found)) if found else np.nan


def show(results: dict[str, dict], real: Path | None) -> None:
    table = Table("table", "stars with a twin", "linear probe", "trees", "trees on values", "flagged: all", "twinned",
                  "twins", title="AUC of real against mock, levelled, mock against mock; outside_training")  # fmt: skip
    for part, r in results.items():
        three = ("auc", "levelled", "control")
        cells = (
            ", ".join(f"{r[who][k]:.2f}" for who in three) for k in ("linear", "trees", "values")
        )
        flagged = (f"{r['flagged'][k]:.1%}" for k in ("all real", "real", "twins"))
        table.add_row(part, f"{r['twins']} of {r['stars']}", *cells, *flagged)
    console.print(table)
    heads = [
        f"{who}: {what}" for who in ("twins", "real", "levelled") for what in ("MAD-std", "bias")
    ]
    table = Table("table", "label", *heads, "fine-tuned", title="Zero shot")
    for part, r in results.items():
        for name, x in r["accuracy"].items():
            numbers = [
                x[who][k] for who in ("twins", "real", "levelled") for k in ("mad_std", "bias")
            ]
            numbers.append(tuned(real, part, name) if real else np.nan)
            table.add_row(part, name, *(f"{n:.3g}" for n in numbers))
    console.print(table)
    names = list(dict.fromkeys(name for r in results.values() for name in r["colours"]))
    table = Table("table", *names, title="Real - twin [mag]")
    for part, r in results.items():
        shifts = (r["colours"].get(name) for name in names)
        table.add_row(part, *("" if s is None else f"{s[0]:+.3f} +- {s[1]:.3f}" for s in shifts))
    console.print(table)


def picture(results: dict[str, dict], path: Path) -> None:
    """Left: AUC of each table; right: how far each colour is off."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    for i, (key, label) in enumerate(
        (
            ("linear", "embedding, linear"),
            ("trees", "embedding, trees"),
            ("values", "values, trees"),
        )
    ):
        at = np.arange(len(results)) + 0.25 * (i - 1)
        left.bar(at, [r["auc"][key] for r in results.values()], 0.23, label=label)
        left.plot(at, [r["control"][key] for r in results.values()], "k_", ms=12)
        left.plot(at, [r["levelled"][key] for r in results.values()], "kx", ms=5)
    left.set(
        xticks=range(len(results)),
        xticklabels=list(results),
        ylim=(0.4, 1.25),
        ylabel="AUC real / mock (line: mock / mock, cross: levelled)",
    )
    left.legend(fontsize=8, loc="upper left", ncols=2)
    names = list(dict.fromkeys(name for r in results.values() for name in r["colours"]))
    for i, (part, r) in enumerate(results.items()):
        for name, (step, error) in r["colours"].items():
            right.errorbar(names.index(name) + 0.12 * (i - 1.5), step, error, fmt="o", color=f"C{i}",
                           label=part if name == "G-RP" else None)  # fmt: skip
    right.axhline(0, color="black", lw=0.6)
    right.set(xticks=range(len(names)), xticklabels=names, ylabel="real - mock twin [mag]")
    right.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", help="folder of the real tables")
    parser.add_argument("--out", required=True, help="folder for JSON, picture and mock surveys")
    parser.add_argument("--part", nargs="*", default=["lamost", "giants", "members", "field"])
    parser.add_argument("--real", help="folder that evaluate_real.py filled")
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    model, out = load_model(args.model), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    results = {}
    for part in args.part:
        selection, make = tables(Path(args.data))[part]
        results[part] = kept(
            out / f"shift-{part}.json", lambda: measure(model, make(), mock_stars(selection, out))
        )  # noqa: B023
    show(results, Path(args.real) if args.real else None)
    picture(results, out / "shift.png")


if __name__ == "__main__":
    main()
