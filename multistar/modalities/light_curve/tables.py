"""Tables of light curves, one point or one star per row -> LightCurves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table
from astropy.time import Time, TimeDelta

from multistar.io.ids import id_numbers
from multistar.io.tables import Columns, read_columns
from multistar.modalities.light_curve.columns import (
    Names,
    days_per_unit,
    find_columns,
    id_column,
    in_one_unit,
    is_lists,
)
from multistar.modalities.light_curve.points import LightCurves, from_points

REJECTED = ("rejected_by_photometry", "rejected_by_variability")  # of Gaia's epoch photometry
JD_ZERO = 2454833.0  # of all times of which the file or object says what they count from (BKJD)
# JD from which `kepler_time`, `tess_time` ... of a mock survey count
MISSION_ZERO = {
    "kepler": 2454833.0,
    "kepler-long": 2454833.0,
    "k2": 2454833.0,
    "tess": 2457000.0,
    "gaia": 2455197.5,
}


def table_light_curves(
    source: Any,
    unit: str | None = None,
    columns: Mapping[str, str] | None = None,
    quality: str | int = "default",
) -> LightCurves:
    """Light curves of a table that `read_columns` takes.

    One point per row: columns for id, time, flux or mag, also error and band; the stars come out in the order in which
    they first occur. Points that Gaia rejects (REJECTED) are left out unless quality is "none".
    One star per row: the same with lists, and one band per row or a list of them; or `kepler_time`, `kepler_flux`,
    `kepler_flux_error`, `tess_time` ..., where the word in front becomes the band. Rows in = stars out.

    Arguments as of `read_light_curves`. Raises ValueError if columns lack, names or units contradict each other or
    say neither flux nor magnitude, or ids are no integers.
    """
    table = read_columns(_plain_times(source) if isinstance(source, Table) else _ragged(source))
    renamed = dict(columns or {})
    names = find_columns(table, renamed, unit)
    ids = _ids(table, renamed)
    if is_lists(table[names[0].time]):
        return _one_star_per_row(table, ids, names, unit)
    return _one_point_per_row(table, ids, names[0], unit, quality)


def days_since_zero(time: Time | TimeDelta) -> np.ndarray:
    """Days since JD_ZERO in the scale of `time`; a TimeDelta counts from nothing and stays as it is."""
    zero = 0.0 if isinstance(time, TimeDelta) else JD_ZERO
    whole: Any = time.jd1
    return plain_numbers((whole - zero) + time.jd2)


def plain_numbers(values: Any) -> np.ndarray:
    """Float64 without unit and mask; masked = NaN. For arrays, columns and quantities, masked or not."""
    values = getattr(values, "value", values)
    if hasattr(values, "unmasked"):
        return np.where(values.mask, np.nan, np.asarray(values.unmasked, np.float64))
    return np.ma.filled(np.ma.asarray(values, np.float64), np.nan)


def _one_point_per_row(
    table: Columns, ids, names: Names, unit: str | None, quality: str | int
) -> LightCurves:
    error = table.numbers(names.error) if names.error else None
    value, error, own_unit = in_one_unit(table, names, table.numbers(names.value), error, unit)
    time = table[names.time]
    days = (
        _from_dates(time)
        if time.dtype.kind == "M"
        else table.numbers(names.time) * days_per_unit(table, names.time)
    )
    rejected = None
    if quality != "none" and (present := [name for name in REJECTED if name in table]):
        rejected = np.any([_true(table[name]) for name in present], axis=0)
    band = table[names.band] if names.band else names.label
    return from_points(ids, days, value, error, band, unit=own_unit, rejected=rejected)


def _one_star_per_row(table: Columns, ids, all_names: list[Names], unit: str | None) -> LightCurves:
    star, time, value, error, band, units = [], [], [], [], [], set()
    for names in all_names:
        days, length = _end_to_end(table, names.time)
        flux = _numbers_beside(table, names.value, names.time, length, ids)
        sigma = (
            _numbers_beside(table, names.error, names.time, length, ids) if names.error else None
        )
        flux, sigma, own_unit = in_one_unit(table, names, flux, sigma, unit)
        star.append(np.repeat(np.arange(len(ids)), length))
        zero = MISSION_ZERO.get(names.label, JD_ZERO) - JD_ZERO
        time.append(days * days_per_unit(table, names.time) + zero)
        value.append(flux)
        error.append(np.full(len(flux), np.nan) if sigma is None else sigma)
        band.append(_bands_beside(table, names, length, ids))
        units.add(own_unit)
    if len(units) > 1:
        raise ValueError(
            f"{table.origin}: some columns hold magnitudes, others fluxes; name one set with columns="
        )
    star = np.concatenate(star)
    order = np.argsort(star, kind="stable") if len(all_names) > 1 else slice(None)
    first = np.concatenate([[0], np.cumsum(np.bincount(star, minlength=len(ids)))])
    time, value, error = (np.concatenate(parts)[order] for parts in (time, value, error))
    bands = pd.api.types.union_categoricals(band)[order]
    return from_points(ids, time, value, error, bands, unit=units.pop(), first=first)


def _ids(table: Columns, renamed: dict[str, str]) -> np.ndarray:
    name = id_column(table, renamed)
    raw = table[name]
    if raw.dtype.kind in "iu":
        return id_numbers(raw, table.origin, name)
    code, unique = pd.factorize(
        raw, use_na_sentinel=False
    )  # text is parsed once per star, not once per point
    return id_numbers(np.asarray(unique), table.origin, name)[code]


def _end_to_end(
    table: Columns, name: str, dtype: type = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """The lists of a column one after the other, and their lengths (n,); missing, or nothing but NaN = no points."""
    column = table[name]
    if column.ndim == 2:
        there = ~np.isnan(column).all(1) if column.dtype.kind == "f" else np.ones(len(column), bool)
        return column[there].reshape(-1).astype(dtype), np.where(there, column.shape[1], 0)
    lists = [x if isinstance(x, (np.ndarray, list, tuple)) else () for x in column]
    lists = [plain_numbers(x) if isinstance(x, np.ma.MaskedArray) else x for x in lists]
    length = np.fromiter(map(len, lists), np.int64, len(lists))
    try:
        flat = np.concatenate([np.empty(0, np.float32 if dtype is np.float64 else dtype), *lists])
        return flat.astype(dtype), length
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{table.origin}: column {name} must hold lists of numbers ({error})"
        ) from error


def _numbers_beside(
    table: Columns, name: str, beside: str, length: np.ndarray, ids, dtype: type = np.float64
):
    """The lists of a column end to end; ValueError where they are not as long as those of column `beside`."""
    column = table[name]
    if column.ndim == 2 and (length[length > 0] == column.shape[1]).all():
        return (
            column[length > 0].reshape(-1).astype(dtype)
        )  # NaN beside a time is a point without a value
    flat, found = _end_to_end(table, name, dtype)
    if np.any(found != length):
        row = int(np.argmax(found != length))
        raise ValueError(
            f"{table.origin}: row {row} (id {ids[row]}): {length[row]} values in {beside}, but {found[row]} in {name}"
        )
    return flat


def _bands_beside(table: Columns, names: Names, length: np.ndarray, ids) -> pd.Categorical:
    """The band of every point."""
    if names.band is None:
        return pd.Categorical.from_codes(np.zeros(length.sum(), np.int8), categories=[names.label])
    column = table[names.band]
    if is_lists(column) and length.any():
        return pd.Categorical(_numbers_beside(table, names.band, names.time, length, ids, object))
    of_star = pd.Categorical(column)
    return pd.Categorical.from_codes(
        np.repeat(of_star.codes, length), categories=of_star.categories
    )


def _from_dates(time: np.ndarray) -> np.ndarray:
    days = (time.astype("datetime64[us]") - np.datetime64("2009-01-01", "us")) / np.timedelta64(
        1, "D"
    )
    return np.where(np.isnat(time), np.nan, days)


def _true(column: np.ndarray) -> np.ndarray:
    """(n,) bool from booleans, numbers or the words of a CSV."""
    return pd.Series(column).astype(str).str.lower().isin(["true", "1", "1.0", "t"]).to_numpy()


def _plain_times(table: Table) -> Table:
    """astropy's Time columns become days since JD_ZERO."""
    times: dict[str, Any] = {
        x: table[x] for x in table.colnames if isinstance(table[x], (Time, TimeDelta))
    }
    out = table.copy(copy_data=False) if times else table
    for name, time in times.items():
        out.replace_column(name, days_since_zero(time))
    return out


def _ragged(source: Any) -> Any:
    """In a dict, lists of arrays of different lengths become columns of arrays."""
    if not isinstance(source, dict):
        return source
    out = dict(source)
    for name, values in source.items():
        if isinstance(values, (list, tuple)) and len({np.size(x) for x in values}) > 1:
            out[name] = np.empty(len(values), object)
            out[name][:] = [np.asarray(x) for x in values]
    return out
