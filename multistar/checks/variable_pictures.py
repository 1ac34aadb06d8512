"""Folded light curves of variable stars, of the mock and, where there are any, of the sky beside."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from multistar.checks.real.mock_teacher import GAIA_CLASSES, mock_classes
from multistar.checks.real.variability import read_gaia_epochs
from multistar.mock.light_curves import light_curve_of
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.features import SUMMARY, compute_features
from multistar.modalities.light_curve.points import from_points
from multistar.plots.style import SERIES, new_figure, styled

SEED = 77  # of mock stars that no model has seen
STARS = 1500  # of each selection
PER_CLASS = 4
MISSION = "gaia"
LONG = 10.0  # d: slower stars are drawn in time, not folded


def draw_variables(real: Path | None = None) -> Figure:
    """Draw Gaia light curves of each class: four mock stars, four of the sky below them.

    Parameters
    ----------
    real : Path, optional
        The folder of real tables; without it there are mock stars alone.

    Returns
    -------
    Figure
        A column for each class of Gaia's table of variables.
    """
    samples = {"mock": _mock_curves()}
    if real is not None:
        folder = real / "lightcurves"
        samples["Gaia DR3"] = read_gaia_epochs(
            str(folder / "gaia_dr3_epoch_photometry.parquet"),
            str(folder / "gaia_dr3_variability_labels.csv"),
        )
    names = sorted(set(GAIA_CLASSES.values()))
    with styled():
        picture = new_figure(2.1 * len(names), 1.5 * PER_CLASS * len(samples))
        axes = picture.subplots(PER_CLASS * len(samples), len(names), squeeze=False)
        for number, (origin, (curves, kinds)) in enumerate(samples.items()):
            for column, name in enumerate(names):
                rows = np.flatnonzero(kinds == name)[:PER_CLASS]
                for place, row in enumerate(rows):
                    axis = axes[number * PER_CLASS + place, column]
                    _draw_curve(axis, curves.of(int(row)), SERIES[number])
                axes[number * PER_CLASS, column].set_title(f"{name}, {origin}", fontsize=8)
    return picture


def _draw_curve(axis, curve: LightCurves, colour: str) -> None:
    """Magnitudes folded at twice the period that the view found, two cycles; slow stars in time."""
    period = np.exp(compute_features(curve).value[0, list(SUMMARY).index("ln_period")])
    magnitude = -2.5 * np.log10(np.maximum(1 + curve.flux, 1e-3))
    slow = not period < LONG
    x = curve.time - curve.time[0] if slow else curve.time / (2 * period) % 1
    axis.plot(x, magnitude, ".", color=colour, ms=3)
    axis.invert_yaxis()
    axis.set_xlabel("d" if slow else f"phase, {2 * period:.3g} d", fontsize=7, labelpad=1)
    axis.tick_params(labelsize=6)


def _mock_curves() -> tuple[LightCurves, np.ndarray]:
    """Light curves of mock variables, and their classes in Gaia's table."""
    parts, kinds = [], []
    for selection in ("pulsators", "close-binaries"):
        table = pa.concat_tables(survey(STARS, SurveyConfig(SEED, selection)))
        own = mock_classes(table)
        for name in sorted(set(own) & set(GAIA_CLASSES)):
            rows = np.flatnonzero(own == name)[:PER_CLASS]
            parts += table.take(rows).to_pylist()
            kinds += [GAIA_CLASSES[name]] * len(rows)
    shuffled = np.random.default_rng(SEED).permutation(len(parts))
    curves = [light_curve_of(parts[i], MISSION, SEED) for i in shuffled]
    points = from_points(
        np.array([parts[i]["source_id"] for i in shuffled]),
        np.concatenate([curve.time for curve in curves]),
        np.concatenate([curve.flux for curve in curves]),
        np.concatenate([curve.flux_error for curve in curves]),
        MISSION,
        unit="flux",
        first=np.cumsum([0, *(len(curve.time) for curve in curves)]),
    )
    return points, np.array(kinds)[shuffled]
