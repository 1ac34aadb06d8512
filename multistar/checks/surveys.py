"""Do surveys agree? The same stars through different surveys: labels, and their stated errors."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multistar.checks.metrics import scatter
from multistar.checks.report import Report
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.modalities import LabelScale
from multistar.model.checkpoint import Model
from multistar.stars import Stars

OWNED = ("surveys.json", "surveys.html")
FEWEST = 10  # stars in common
OWN = "each survey's own"


def compare_surveys(
    model: Model, surveys: Mapping[str, Stars], scale: str = "", labels: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Compare the labels that a model gives the same stars in different surveys.

    Parameters
    ----------
    model : Model
    surveys : mapping of str to Stars
        Each as one survey saw them; the same `source_id` is the same star.
    scale : str
        Scale on which all labels are asked, one that the model knows; "" for what the tables say.
    labels : sequence of str
        The labels that are compared; all of the model without it.

    Returns
    -------
    list of dict
        For every two surveys with stars in common and every label, of the first minus the second:
        `n` stars, `bias` (median) and `mad_std` in the label's unit, and `bias_sigma` and
        `mad_std_sigma` in units of the predicted errors. Where these are right, the last two are 0
        and 1.

    Raises
    ------
    ValueError
        If no two surveys have stars in common, or the model does not know the scale.
    """
    names = labels or model.vocabulary.labels
    tables = {}
    for name, stars in surveys.items():
        table = predict(model, on_scale(stars, scale) if scale else stars, quiet=True, labels=names)
        tables[name] = {column: table[column].to_numpy() for column in _columns(names)}
    rows = []
    for one, other in itertools.combinations(surveys, 2):
        ids = (surveys[one].source_id, surveys[other].source_id)
        common, first, second = np.intersect1d(*ids, return_indices=True)
        if len(common) < FEWEST:
            continue
        pair = {"surveys": f"{one} - {other}", "scale": scale or OWN}
        ours = {column: values[first] for column, values in tables[one].items()}
        theirs = {column: values[second] for column, values in tables[other].items()}
        rows += [pair | _compare_label(ours, theirs, label) for label in names]
    if not rows:
        raise ValueError(
            f"no two of {list(surveys)} have {FEWEST} stars of the same source_id; nothing can be "
            "compared"
        )
    return rows


def _compare_label(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], label: str
) -> dict[str, Any]:
    """How far a label of the same stars differs, in its unit and in stated errors."""
    difference = one[label] - other[label]
    sigma = np.hypot(_half_width(one, label), _half_width(other, label))
    zero = np.zeros(len(difference))
    plain, relative = scatter(difference, zero), scatter(difference / sigma, zero)
    return {
        "label": label,
        "n": len(difference),
        "bias": plain["bias"],
        "mad_std": plain["mad_std"],
        "bias_sigma": relative["bias"],
        "mad_std_sigma": relative["mad_std"],
    }


def _columns(labels: Sequence[str]) -> list[str]:
    return [f"{label}{end}" for label in labels for end in ("", "_lower", "_upper")]


def _half_width(table: Mapping[str, np.ndarray], label: str) -> np.ndarray:
    return (table[f"{label}_upper"] - table[f"{label}_lower"]) / 2


def on_scale(stars: Stars, scale: str) -> Stars:
    """The same stars, with their labels asked on a scale."""
    return stars.with_blocks(**{LabelScale.name: np.full(len(stars), scale)})


def check_surveys(model: Model, surveys: Mapping[str, Stars], scale: str = "") -> dict[str, Any]:
    """Compare surveys on their own scales and, if one is named, on a common one.

    Returns
    -------
    dict
        `surveys`, how many stars each has; `rows` of compare_surveys; `model`, its hash.
    """
    rows = compare_surveys(model, surveys)
    if scale:
        rows += compare_surveys(model, surveys, scale)
    numbers = {name: len(stars) for name, stars in surveys.items()}
    return {"model": model.hash, "surveys": numbers, "rows": rows}


def write_surveys(result: dict[str, Any], out: str | Path, overwrite: bool = False) -> None:
    """Write what check_surveys found to a folder, as JSON and as a page."""
    page = Report("The same stars through different surveys")
    page.section(
        "Differences of labels",
        "First minus second survey. In units of the predicted errors (sigma), a bias of 0 and a "
        "MAD-std of 1 say that the surveys agree as well as the model claims.",
    )
    rows = result["rows"]
    cells = [[f"{x:.3g}" if isinstance(x, float) else str(x) for x in row.values()] for row in rows]
    page.table([name.replace("_", " ") for name in rows[0]], cells)
    with atomic_write(out, overwrite, OWNED) as temporary:
        temporary.mkdir()
        (temporary / "surveys.json").write_text(json.dumps(result, indent=1))
        page.write(temporary / "surveys.html")
