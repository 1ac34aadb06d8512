"""Tables of light curves, one point or one star per row -> LightCurves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table
from astropy.time import Time, TimeDelta

from multistar.io.columns import Columns
from multistar.io.ids import id_numbers
from multistar.io.tables import read_columns
from multistar.modalities.light_curve.columns import Names, find_columns, find_id_column, is_lists
from multistar.modalities.light_curve.curves import LightCurves, bounds_of_lengths
from multistar.modalities.light_curve.lists import StarLists
from multistar.modalities.light_curve.points import from_points, gather_points
from multistar.modalities.light_curve.units import (
    convert_to_one_unit,
    days_per_unit,
    plain_numbers,
)

REJECTED = ("rejected_by_photometry", "rejected_by_variability")  # of Gaia's epoch photometry
# JD of all times of which the file or object says what they count from (BKJD)
JD_ZERO = 2454833.0
DATE_ZERO = np.datetime64("2009-01-01", "us")  # of columns of dates
# JD from which `kepler_time`, `tess_time` ... of a mock survey count
MISSION_ZERO = {
    "kepler": 2454833.0,
    "kepler-long": 2454833.0,
    "k2": 2454833.0,
    "tess": 2457000.0,
    "gaia": 2455197.5,
    "asas": 2450000.0,
    "ztf": 2450000.0,
}


def read_light_curve_table(
    source: Any,
    unit: str | None = None,
    columns: Mapping[str, str] | None = None,
    quality: str | int = "default",
) -> LightCurves:
    """Read the light curves of a table.

    Parameters
    ----------
    source
        Anything that `read_columns` takes, in one of two forms.

        One point per row: columns for id, time, flux or mag, also error and band; the stars come
        out in the order in which they first occur.

        One star per row: the same with lists, and one band per row or a list of them; or
        `kepler_time`, `kepler_flux`, `kepler_flux_error`, `tess_time` ..., where the word in front
        becomes the band. Rows in = stars out.
    unit, columns
        As of `read_light_curves`.
    quality : str or int
        Points that Gaia rejects (REJECTED) are left out unless it is "none".

    Returns
    -------
    LightCurves
        Each relative to its own median in each band.

    Raises
    ------
    ValueError
        If columns lack, names or units contradict each other or say neither flux nor magnitude, or
        ids are no integers.
    """
    plain = _convert_times(source) if isinstance(source, Table) else _wrap_ragged_lists(source)
    table = read_columns(plain)
    renamed = dict(columns or {})
    names = find_columns(table, renamed, unit)
    ids = _read_ids(table, renamed)
    if is_lists(table[names[0].time]):
        return _read_one_star_per_row(table, ids, names, unit)
    return _read_one_point_per_row(table, ids, names[0], unit, quality)


def days_since_zero(time: Time | TimeDelta) -> np.ndarray:
    """Return the days since JD_ZERO in the scale of `time`.

    A TimeDelta counts from nothing and stays as it is.
    """
    zero = 0.0 if isinstance(time, TimeDelta) else JD_ZERO
    whole: Any = time.jd1
    return plain_numbers((whole - zero) + time.jd2)


def _read_one_point_per_row(
    table: Columns, ids, names: Names, unit: str | None, quality: str | int
) -> LightCurves:
    value = table.numbers(names.value)
    error = table.numbers(names.error) if names.error else None
    value, error, own_unit = convert_to_one_unit(table, names, value, error, unit)
    time = table[names.time]
    if time.dtype.kind == "M":
        days = _days_of_dates(time)
    else:
        days = table.numbers(names.time) * days_per_unit(table, names.time)
    band = table[names.band] if names.band else names.label
    points = gather_points(ids, days, value, error, band)
    if quality != "none":
        points.drop(_find_rejected(table), "quality")
    return points.to_light_curves(own_unit)


def _find_rejected(table: Columns) -> np.ndarray:
    """(n,) bool: rows that the survey itself rejects."""
    rejected = np.zeros(len(table), bool)
    for name in REJECTED:
        if name in table:
            rejected |= _parse_booleans(table[name])
    return rejected


def _read_one_star_per_row(
    table: Columns, ids: np.ndarray, sets: list[Names], unit: str | None
) -> LightCurves:
    """All sets of columns of each star put together, those of the first set first."""
    stars, times, values, errors, bands = [], [], [], [], []
    units = set()
    for names in sets:
        lists = StarLists(table, names, ids)
        value, error, own_unit = convert_to_one_unit(
            table, names, lists.values(), lists.errors(), unit
        )
        zero = MISSION_ZERO.get(names.label, JD_ZERO) - JD_ZERO
        stars.append(lists.stars())
        times.append(lists.time * days_per_unit(table, names.time) + zero)
        values.append(value)
        errors.append(np.full(len(value), np.nan) if error is None else error)
        bands.append(lists.bands())
        units.add(own_unit)
    if len(units) > 1:
        raise ValueError(
            f"{table.origin}: some columns hold magnitudes, others fluxes; "
            "name one set with columns="
        )
    star = np.concatenate(stars)
    first = bounds_of_lengths(np.bincount(star, minlength=len(ids)))
    order = np.argsort(star, kind="stable") if len(sets) > 1 else slice(None)
    return from_points(
        ids,
        np.concatenate(times)[order],
        np.concatenate(values)[order],
        np.concatenate(errors)[order],
        pd.api.types.union_categoricals(bands)[order],
        unit=units.pop(),
        first=first,
    )


def _read_ids(table: Columns, renamed: dict[str, str]) -> np.ndarray:
    name = find_id_column(table, renamed)
    raw = table[name]
    if raw.dtype.kind in "iu":
        return id_numbers(raw, table.origin, name)
    # text is parsed once per star, not once per point
    code, unique = pd.factorize(raw, use_na_sentinel=False)
    return id_numbers(np.asarray(unique), table.origin, name)[code]


def _days_of_dates(time: np.ndarray) -> np.ndarray:
    since = time.astype("datetime64[us]") - DATE_ZERO
    return np.where(np.isnat(time), np.nan, since / np.timedelta64(1, "D"))


def _parse_booleans(column: np.ndarray) -> np.ndarray:
    """(n,) bool from booleans, numbers or the words of a CSV."""
    words = pd.Series(column).astype(str).str.lower()
    return words.isin(["true", "1", "1.0", "t"]).to_numpy()


def _convert_times(table: Table) -> Table:
    """astropy's Time columns become days since JD_ZERO."""
    names = [x for x in table.colnames if isinstance(table[x], (Time, TimeDelta))]
    if not names:
        return table
    converted = table.copy(copy_data=False)
    for name in names:
        time: Any = table[name]
        converted.replace_column(name, days_since_zero(time))
    return converted


def _wrap_ragged_lists(source: Any) -> Any:
    """In a dict, lists of arrays of different lengths become columns of arrays."""
    if not isinstance(source, dict):
        return source
    wrapped = dict(source)
    for name, values in source.items():
        if not isinstance(values, (list, tuple)):
            continue
        lengths = {np.size(x) for x in values}
        if len(lengths) > 1:
            wrapped[name] = np.empty(len(values), object)
            wrapped[name][:] = [np.asarray(x) for x in values]
    return wrapped
