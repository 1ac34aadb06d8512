"""Light curves for the rows of a mock survey: written beside them, or made on the fly from the row and the seed."""

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
    "variability_class": "variability",
    "pulsation_period": "pulsation_period",
    "pulsation_amplitude": "pulsation_amplitude",
}
EDGE_ON = 90.0  # deg; the spin of single stars is drawn nowhere, their spot amplitude says it all


def star_parameters(row: Mapping) -> StarParameters:
    """The physical state of a star from one row (column -> value) of a mock survey."""
    state = {field: row[column] for field, column in COLUMNS.items()}
    state["source_id"] = int(state["source_id"])
    state["inclination"] = state["inclination"] if np.isfinite(state["inclination"]) else EDGE_ON
    state["flux_ratio"] = float(np.nan_to_num(state["flux_ratio"]))
    return StarParameters(**state, helium_burning=row["phase"] == "clump")


def light_curve_of(row: Mapping, mission: str, seed: int) -> LightCurve:
    """The light curve of one row (column -> value) of a survey of this seed, as it would have been written."""
    return light_curve(star_parameters(row), mission, seed)


def with_views(table: pa.Table, mission: str, seed: int) -> pa.Table:
    """Rows with `light_curve_value` and `light_curve_sigma`: what a model sees of a mission's light curve, 5 kB a star.

    The points themselves, up to 2 MB a star, are not kept. See LightCurveFeatures for them.
    """
    curves = [
        light_curve_of(row, mission, seed)
        for row in table.select([*COLUMNS.values(), "phase"]).to_pylist()
    ]
    first = np.concatenate([[0], np.cumsum([len(c.time) for c in curves])]).astype(np.int64)
    time, flux, error = (np.concatenate([getattr(c, part) for c in curves]) for part in PARTS)
    ids = table["source_id"].to_numpy()
    seen = compute_features(
        from_points(ids, time, flux, error, mission.removesuffix("-long"), unit="flux", first=first)
    )
    for name, array in vars(seen).items():
        column = pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), N_SLOTS)
        table = table.append_column(f"light_curve_{name}", column)
    return table


def with_light_curves(table: pa.Table, missions: Sequence[str], seed: int) -> pa.Table:
    """Rows of a survey with `kepler_time` [d], `kepler_flux`, `kepler_flux_error` (relative) and so on: lists."""
    rows = table.select([*COLUMNS.values(), "phase"]).to_pylist()
    for mission in missions:
        curves = [light_curve_of(row, mission, seed) for row in rows]
        for part, dtype in PARTS.items():
            values = [getattr(curve, part).astype(dtype) for curve in curves]
            table = table.append_column(
                f"{mission}_{part}", pa.array(values, pa.list_(pa.from_numpy_dtype(dtype)))
            )
    return table
