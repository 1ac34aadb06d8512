"""Light curves for the rows of a mock survey, made on the fly from the row and the seed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from multistar.mock.variability.light_curve import LightCurve, StarParameters, light_curve
from multistar.modalities.light_curve.features import N_SLOTS, compute_features
from multistar.modalities.light_curve.points import from_points

PARTS = {"time": np.float64, "flux": np.float32, "flux_error": np.float32}
# StarParameters field -> column of a mock survey
COLUMNS = {
    "source_id": "source_id",
    "mass": "true_mass",
    "radius": "radius",
    "teff": "true_teff",
    "g_mag": "phot_g_mean_mag",
    "rp_mag": "phot_rp_mean_mag",
    "rotation_period": "rotation_period",
    "spot_amplitude": "spot_amplitude",
    "orbital_period": "orbital_period",
    "inclination": "inclination",
    "radius_ratio": "radius_ratio",
    "scaled_axis": "scaled_axis",
    "flux_ratio": "flux_ratio",
    "mass_ratio": "mass_ratio",
    "companion_teff": "companion_teff",
    "fill_out": "fill_out",
    "variability_class": "variability",
    "pulsation_period": "pulsation_period",
    "pulsation_amplitude": "pulsation_amplitude",
}
EDGE_ON = 90.0  # deg; the spin of single stars is drawn nowhere, their spot amplitude says it all


def star_parameters(row: Mapping) -> StarParameters:
    """Physical state of a star from one row (column -> value) of a mock survey."""
    state = {field: row[column] for field, column in COLUMNS.items()}
    state["source_id"] = int(state["source_id"])
    state["helium_burning"] = row["phase"] == "clump"
    if not np.isfinite(state["inclination"]):
        state["inclination"] = EDGE_ON
    if not np.isfinite(state["flux_ratio"]):
        state["flux_ratio"] = 0.0  # a single star
    return StarParameters(**state)


def light_curve_of(row: Mapping, mission: str, seed: int) -> LightCurve:
    """Make the light curve of one row of a mock survey, as it would have been written.

    Parameters
    ----------
    row : mapping
        Column -> value.
    mission : str
        A name in `MISSIONS`.
    seed : int
        Seed of the survey.
    """
    return light_curve(star_parameters(row), mission, seed)


def _make_curves(table: pa.Table, mission: str, seed: int) -> list[LightCurve]:
    rows = table.select([*COLUMNS.values(), "phase"]).to_pylist()
    return [light_curve_of(row, mission, seed) for row in rows]


def with_views(table: pa.Table, mission: str, seed: int) -> pa.Table:
    """Add what a model sees of a mission's light curves, 5 kB a star.

    The points themselves, up to 2 MB a star, are not kept. The slots are those of
    `multistar.modalities.light_curve.features`.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of a mock survey.
    mission : str
        A name in `MISSIONS`.
    seed : int
        Seed of the survey.

    Returns
    -------
    pyarrow.Table
        With the list columns `light_curve_value` and `light_curve_sigma`.
    """
    curves = _make_curves(table, mission, seed)
    lengths = [len(curve.time) for curve in curves]
    points = from_points(
        table["source_id"].to_numpy(),
        np.concatenate([curve.time for curve in curves]),
        np.concatenate([curve.flux for curve in curves]),
        np.concatenate([curve.flux_error for curve in curves]),
        mission.removesuffix("-long"),
        unit="flux",
        first=np.cumsum([0, *lengths]).astype(np.int64),
    )
    for name, array in vars(compute_features(points)).items():
        column = pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), N_SLOTS)
        table = table.append_column(f"light_curve_{name}", column)
    return table


def with_light_curves(table: pa.Table, missions: Sequence[str], seed: int) -> pa.Table:
    """Add light curves as list columns.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of a mock survey.
    missions : sequence of str
        Names in `MISSIONS`.
    seed : int
        Seed of the survey.

    Returns
    -------
    pyarrow.Table
        With `kepler_time` [d], `kepler_flux`, `kepler_flux_error` (relative) and so on.
    """
    for mission in missions:
        curves = _make_curves(table, mission, seed)
        for part, dtype in PARTS.items():
            values = [getattr(curve, part).astype(dtype) for curve in curves]
            column = pa.array(values, pa.list_(pa.from_numpy_dtype(dtype)))
            table = table.append_column(f"{mission}_{part}", column)
    return table
