"""How good a model is on the held-out stars of the tables that it was trained on, beside XGBoost."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from multistar.checks.baselines import trees
from multistar.checks.metrics import coverage, scatter
from multistar.checks.report import Report
from multistar.checks.results import print_rows
from multistar.inference.predict import predict
from multistar.io.tables import read_columns
from multistar.model.checkpoint import Model
from multistar.plots.style import STAR, in_style, new_figure
from multistar.stars import Stars, concatenate_stars
from multistar.training.data import held_out, read_labelled, tables
from multistar.training.run import RunConfig

MOST_LEARNT, MOST_JUDGED = 50_000, 10_000  # stars, evenly over all tables


@dataclass(frozen=True)
class Judgement:
    """Predictions for held-out stars: label -> arrays (n,) in its unit.

    Attributes
    ----------
    known, error : dict of ndarray
        The table's labels and their errors, which are 0 where the table has none.
    middle, lower, upper : dict of ndarray
        Ours.
    trees : dict of ndarray
        XGBoost's; empty where it is not installed.
    units : dict of str
    learnt : int
        Stars that XGBoost had.
    """

    known: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    middle: dict[str, np.ndarray]
    lower: dict[str, np.ndarray]
    upper: dict[str, np.ndarray]
    trees: dict[str, np.ndarray]
    units: dict[str, str]
    learnt: int


def judge_training(run: RunConfig, model: Model, quiet: bool = False) -> Judgement:
    """Predict the stars that a run held out, and let XGBoost learn from the others.

    Parameters
    ----------
    run : RunConfig
    model : Model
        That of the run.
    quiet : bool
        Show no progress bar.
    """
    learnt, judged = _split(run)
    names = model.vocabulary.labels
    table = predict(model, judged, quiet)
    ours = {}
    for ending in ("", "_lower", "_upper"):
        ours[ending] = {name: table[name + ending].to_numpy() for name in names}
    try:
        import xgboost  # noqa: F401
    except ImportError:
        theirs = {}
    else:
        theirs = trees(model, learnt, judged, names)
    return Judgement(
        {name: judged.scalars[name].value for name in names},
        {name: np.nan_to_num(judged.scalars[name].sigma) for name in names},
        ours[""],
        ours["_lower"],
        ours["_upper"],
        theirs,
        {name: model.vocabulary.quantity(name).unit for name in names},
        len(learnt),
    )


def _split(run: RunConfig) -> tuple[Stars, Stars]:
    """Stars that were learnt from and stars that were held out, from all tables of a run."""
    files = tables(run.data.train)
    parts: tuple[list[Stars], list[Stars]] = ([], [])
    for file in files:
        stars = read_labelled(read_columns(file), run.data)
        out = held_out(stars.source_id, run.data.held_out)
        for part, which, most in zip(parts, (~out, out), (MOST_LEARNT, MOST_JUDGED), strict=True):
            every = max(1, int(which.sum()) * len(files) // most)
            part.append(stars.select(np.flatnonzero(which)[::every]))
    learnt, judged = (concatenate_stars(part) for part in parts)
    return learnt, judged


def score(found: Judgement) -> list[dict[str, str]]:
    """Compare with the table's labels, a row per label: heads of columns -> cells.

    The 68 % intervals are of the truth; for 'held' they are widened by the labels' own errors.
    """
    rows = []
    for name, known in found.known.items():
        middle, error = found.middle[name], found.error[name]
        low = middle - np.hypot(middle - found.lower[name], error)
        high = middle + np.hypot(found.upper[name] - middle, error)
        ours = scatter(middle, known)
        row = {"label": f"{name} [{found.units[name]}]" if found.units[name] else name}
        row["stars"] = f"{int(np.isfinite(known).sum()):,}"
        row["MAD-std"] = f"{ours['mad_std']:.3g}"
        row["bias"] = f"{ours['bias']:+.2g}"
        seen = np.isfinite(known)
        row["in 68 %"] = f"{coverage(low[seen], high[seen], known[seen]):.0%}"
        if found.trees:
            theirs = scatter(found.trees[name], known)
            row["XGB MAD-std"] = f"{theirs['mad_std']:.3g}"
            row["ratio"] = f"{ours['mad_std'] / theirs['mad_std']:.2f}"
        rows.append(row)
    return rows


def make_training_report(run: RunConfig, model: Model, quiet: bool = False) -> Report:
    """Judge a model on its run's held-out stars: print a table, and return the page."""
    found = judge_training(run, model, quiet)
    rows = score(found)
    report = Report("A model of one's own")
    stars = max(int(np.isfinite(known).sum()) for known in found.known.values())
    text = (
        f"{stars:,} stars that were held out by a hash of their ids; they also calibrated the "
        "intervals. Residuals are against the table's own labels, errors and all. 'in 68 %' is the "
        "share of labels in the 68 % intervals, widened by the labels' errors. "
    )
    if found.trees:
        text += f"XGBoost had the same inputs of {found.learnt:,} of the other stars; ratios below 1 are better."
    else:
        text += (
            "XGBoost is not installed (pip install 'multistar[trees]'), so nothing stands beside."
        )
    report.section("On the held-out stars", text)
    report.table(list(rows[0]), [list(row.values()) for row in rows])
    print_rows("residuals against the labels of held-out stars", rows)
    report.section("Predicted against the table's labels")
    names = ", ".join(found.known)
    report.figure(_draw(found), f"predicted against known {names} around the 1:1 line")
    return report


@in_style
def _draw(found: Judgement) -> Figure:
    n = len(found.known)
    columns = min(n, 4)
    rows = -(-n // columns)
    figure = new_figure(3.4 * columns, 3.3 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, (name, known) in zip(axes, found.known.items(), strict=False):
        seen = np.isfinite(known)
        limits = np.percentile(known[seen], [0.5, 99.5])
        unit = f" [{found.units[name]}]" if found.units[name] else ""
        style = {"gridsize": 50, "bins": "log", "mincnt": 1}
        axis.hexbin(known[seen], found.middle[name][seen], extent=(*limits, *limits), **style)
        axis.plot(limits, limits, color=STAR, lw=1)
        axis.set(xlabel=f"{name}{unit} of the table", ylabel="predicted", xlim=limits, ylim=limits)
    for axis in list(axes)[n:]:
        axis.remove()
    return figure
