"""Whether stated shares of the truth lie in the intervals: what `check calibration` measured."""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from multistar.plots.style import INK, LINE, SERIES, new_figure, styled

COLUMNS = 4  # panels in a row
STATED = 0.68


def plot_calibration(result: dict | str | Path) -> Figure:
    """Draw a histogram of PIT values for each label, and the coverage in all bins.

    Histograms are flat if the posteriors are calibrated.

    Parameters
    ----------
    result : dict, str or Path
        What `check_calibration` gave, or the folder (or its calibration.json) it was written to.

    Returns
    -------
    Figure

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it holds something else.
    """
    if not isinstance(result, dict):
        result = _load(Path(result))
    labels, joint = result["labels"], result["joint"]
    histograms = []
    for name, label in labels.items():
        histograms.append((name, label["pit_histogram"], label["coverage"]["68%"]))
    if "tarp_histogram" in joint:
        share = joint["tarp_coverage"]["68%"]
        histograms.append(("joint (TARP)", joint["tarp_histogram"], share))
    panels = len(histograms) + 1
    rows = -(-panels // COLUMNS)
    with styled():
        picture = new_figure(2.6 * COLUMNS, 2.2 * rows)
        axes = list(picture.subplots(rows, COLUMNS, squeeze=False).flat)
        for axis, (name, density, share) in zip(axes, histograms, strict=False):
            edges = np.linspace(0, 1, len(density) + 1)
            axis.stairs(density, edges, fill=True, color=SERIES[5])
            axis.axhline(1, color=INK, lw=1)
            axis.set(title=f"{name}: {share:.0%} in 68 %", ylim=(0, 2.5), xlabel="PIT")
        _draw_bins(axes[panels - 1], labels)
        for axis in axes[panels:]:
            axis.set_visible(False)
    return picture


def _load(path: Path) -> dict:
    file = path / "calibration.json" if path.is_dir() else path
    try:
        result = json.loads(file.read_text())
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not a JSON file") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}: not a JSON file: {error}") from error
    if not isinstance(result, dict) or not {"labels", "joint"} <= set(result):
        raise ValueError(f"{file}: not a result of multistar check calibration")
    return result


def _draw_bins(axis, labels: dict[str, dict]) -> None:
    """One point for each bin of each label."""
    for i, label in enumerate(labels.values()):
        shares = []
        for parts in label["bins"].values():
            shares += [part["coverage"]["68%"] for part in parts]
        axis.scatter(np.full(len(shares), i), shares, s=10, color=SERIES[0], lw=0)
    axis.axhline(STATED, color=INK, lw=1)
    axis.grid(axis="y", color=LINE, lw=0.5)
    axis.set(title="68 % coverage by bin", ylim=(0.4, 1))
    axis.set_xticks(range(len(labels)), list(labels), rotation=60)
