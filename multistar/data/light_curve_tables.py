"""Tables of light curves, one point or one star per row -> LightCurves."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.table import Table
from astropy.time import Time, TimeDelta

from multistar.data.light_curves import LightCurves, from_points
from multistar.data.stars import id_numbers
from multistar.data.tables import ID_COLUMNS, Columns, read_columns

FIELDS = ("source_id", "time", "flux", "mag", "value", "error", "band")  # what `columns` can name
IDS = (*ID_COLUMNS, "id", "ID", "kic", "KIC", "epic", "EPIC", "tic", "TIC")
TIMES = ("time", "t", "bjd", "hjd", "jd", "mjd", "bkjd", "btjd", "obs_time")
KINDS = {"flux": ("flux",), "mag": ("mag", "magnitude")}
ERRORS = ("error", "err", "sigma")
BANDS = ("band", "filter", "passband")
REJECTED = ("rejected_by_photometry", "rejected_by_variability")  # of Gaia's epoch photometry
NOT_A_VALUE = re.compile(r"^(e|err|error|sigma)_|(err|errors?|sigma|snr|flag|quality)$")
JD_ZERO = 2454833.0  # of all times of which the file or object says what they count from (BKJD)
# JD from which `kepler_time`, `tess_time` ... of a mock survey count
MISSION_ZERO = {"kepler": 2454833.0, "kepler-long": 2454833.0, "k2": 2454833.0, "tess": 2457000.0, "gaia": 2455197.5}


@dataclass(frozen=True)
class _Names:
    """The columns of one set of light curves in a table."""

    time: str
    value: str
    error: str | None
    band: str | None
    kind: str | None  # "flux" or "mag" by the name of the column; None = the name does not tell
    label: str  # the band where no column gives one


def table_light_curves(
    source: Any, unit: str | None = None, columns: Mapping[str, str] | None = None, quality: str | int = "default"
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
    _check_mapping(table, renamed)
    ids = _ids(table, renamed)
    prefixes = [] if "time" in renamed else _prefixes(table)
    names = [_names(table, prefix, renamed, unit) for prefix in prefixes or [""]]
    if _is_lists(table[names[0].time]):
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


def unit_of_values(kind: str | None, stated: u.UnitBase | None, asked: str | None, where: str) -> str:
    """ "flux", "mag" or "relative", from the name of the column, the unit that the file states and what the user says.

    Raises ValueError if they contradict each other, or if none of them tells.
    """
    said = {
        "its name": kind,
        "its unit": None if stated is None or _is_number(stated) else "mag" if _is_mag(stated) else "flux",
        "unit=": "flux" if asked == "relative" else asked,
    }
    found = {by: what for by, what in said.items() if what}
    if not found:
        raise ValueError(f"{where}: flux or magnitude? Say unit='flux', 'mag' or 'relative' (which is flux/median - 1)")
    if len(set(found.values())) > 1:
        text = ", ".join(f"{by} says {what}" for by, what in found.items())
        raise ValueError(f"{where}: {text}; name the right column, or correct unit=")
    return asked or next(iter(found.values()))


def _one_point_per_row(table: Columns, ids, names: _Names, unit: str | None, quality: str | int) -> LightCurves:
    error = table.numbers(names.error) if names.error else None
    value, error, own_unit = _in_unit(table, names, table.numbers(names.value), error, unit)
    time = table[names.time]
    days = _from_dates(time) if time.dtype.kind == "M" else table.numbers(names.time) * _days(table, names.time)
    rejected = None
    if quality != "none" and (present := [name for name in REJECTED if name in table]):
        rejected = np.any([_true(table[name]) for name in present], axis=0)
    band = table[names.band] if names.band else names.label
    return from_points(ids, days, value, error, band, unit=own_unit, rejected=rejected)


def _one_star_per_row(table: Columns, ids, all_names: list[_Names], unit: str | None) -> LightCurves:
    star, time, value, error, band, units = [], [], [], [], [], set()
    for names in all_names:
        days, length = _end_to_end(table, names.time)
        flux = _numbers_beside(table, names.value, names.time, length, ids)
        sigma = _numbers_beside(table, names.error, names.time, length, ids) if names.error else None
        flux, sigma, own_unit = _in_unit(table, names, flux, sigma, unit)
        star.append(np.repeat(np.arange(len(ids)), length))
        zero = MISSION_ZERO.get(names.label, JD_ZERO) - JD_ZERO
        time.append(days * _days(table, names.time) + zero)
        value.append(flux)
        error.append(np.full(len(flux), np.nan) if sigma is None else sigma)
        band.append(_bands_beside(table, names, length, ids))
        units.add(own_unit)
    if len(units) > 1:
        raise ValueError(f"{table.origin}: some columns hold magnitudes, others fluxes; name one set with columns=")
    star = np.concatenate(star)
    order = np.argsort(star, kind="stable") if len(all_names) > 1 else slice(None)
    first = np.concatenate([[0], np.cumsum(np.bincount(star, minlength=len(ids)))])
    time, value, error = (np.concatenate(parts)[order] for parts in (time, value, error))
    bands = pd.api.types.union_categoricals(band)[order]
    return from_points(ids, time, value, error, bands, unit=units.pop(), first=first)


def _ids(table: Columns, renamed: dict[str, str]) -> np.ndarray:
    name = renamed.get("source_id") or next((name for name in IDS if name in table), None)
    if name is None:
        raise ValueError(
            f"{table.origin}: no column source_id; {_has(table)}. Name yours: columns={{'source_id': ...}}"
        )
    raw = table[name]
    if raw.ndim != 1:
        raise ValueError(f"{table.origin}: column {name} must hold one id per row, its shape is {raw.shape}")
    if raw.dtype.kind in "iu":
        return id_numbers(raw, table.origin, name)
    code, unique = pd.factorize(raw, use_na_sentinel=False)  # text is parsed once per star, not once per point
    return id_numbers(np.asarray(unique), table.origin, name)[code]


def _prefixes(table: Columns) -> list[str]:
    """ "kepler_", "tess_" ...: what stands in front of `time` and `flux` or `mag` in columns of lists."""
    found = [name.removesuffix("time") for name in table.data if name.endswith("_time") and _is_lists(table[name])]
    return [p for p in found if any(f"{p}{word}" in table for words in KINDS.values() for word in words)]


def _names(table: Columns, prefix: str, renamed: dict[str, str], unit: str | None) -> _Names:
    """The columns of the light curves whose names begin with `prefix`."""
    lower = {name.removeprefix(prefix).lower(): name for name in reversed(table.data) if name.startswith(prefix)}
    time = renamed.get("time") or _first(lower, TIMES)
    if time is None:
        raise ValueError(f"{table.origin}: no column {prefix}time; {_has(table)}. Name yours: columns={{'time': ...}}")
    fields = [field for field in (*KINDS, "value") if field in renamed]
    if fields:
        value, kind = renamed[fields[0]], fields[0] if fields[0] in KINDS else None
        errors = _error_names(value.lower())
    else:
        value, kind = _value(table, lower, unit)
        errors = [*_error_names(value.removeprefix(prefix).lower()), *_error_names(kind), *ERRORS]
    error = renamed.get("error") or _first(lower, errors)
    return _Names(
        time, value, error, renamed.get("band") or _first(lower, BANDS), kind, prefix.removesuffix("_") or "unknown"
    )


def _value(table: Columns, lower: dict[str, str], unit: str | None) -> tuple[str, str]:
    """The column of the measurements, and whether its name says "flux" or "mag".

    `flux` and `mag` come before longer names; of both, the one with errors before the other, and flux before mag.
    """
    kinds = [kind for kind in KINDS if unit is None or (kind == "mag") == (unit == "mag")]
    found = {}
    for kind in kinds:
        like = [low for low in lower if re.search(f"^{kind}|{kind}$", low) and not NOT_A_VALUE.search(low)]
        found[kind] = [low for low in KINDS[kind] if low in lower][:1] or like
    kind = max((k for k in kinds if found[k]), key=lambda k: bool(_first(lower, _error_names(found[k][0]))), default="")
    if not kind:
        wanted = " or ".join(kinds)
        raise ValueError(
            f"{table.origin}: no column {wanted}; {_has(table)}. Name yours: columns={{'{kinds[0]}': ...}}"
        )
    if len(found[kind]) > 1:
        raise ValueError(
            f"{table.origin}: any of {sorted(found[kind])} could be meant; name one: columns={{'{kind}': ...}}"
        )
    return lower[found[kind][0]], kind


def _error_names(value: str) -> list[str]:
    endings = ("_error", "_err", "_errors", "error", "err", "_sigma")
    return [f"{value}{end}" for end in endings] + [f"{start}{value}" for start in ("e_", "err_", "error_", "sigma_")]


def _first(lower: dict[str, str], words: Iterable[str]) -> str | None:
    return next((lower[word] for word in words if word in lower), None)


def _in_unit(table: Columns, names: _Names, value: Any, error: Any, unit: str | None) -> tuple[Any, Any, str]:
    """Values and errors in one unit, where the table states any; and "flux", "mag" or "relative"."""
    stated = table.unit.get(names.value)
    unit = unit_of_values(names.kind, stated, unit, f"{table.origin}: column {names.value}")
    wanted = {"mag": u.mag, "relative": u.dimensionless_unscaled}.get(unit, stated)
    if wanted is not None:
        value = value * _factor(table, names.value, wanted)
        if error is not None and names.error:
            error = error * _factor(table, names.error, wanted)
    return value, error, unit


def _factor(table: Columns, name: str, wanted: u.UnitBase) -> float:
    """From the unit of a column to `wanted`; 1 if the table states none. Plain numbers are taken to be in `wanted`."""
    unit = table.unit.get(name)
    if (
        unit is None
        or unit == wanted
        or unit == u.dimensionless_unscaled
        or (wanted == u.mag and _is_zero_pointed(unit))
    ):
        return 1.0
    if not unit.is_equivalent(wanted):
        raise ValueError(f"{table.origin}: column {name} is in {unit}, expected {str(wanted) or 'a plain number'}")
    factor: Any = unit.to(wanted)
    return float(factor)


def _days(table: Columns, name: str) -> float:
    """From the unit of a column of times to days. Missions write `BJD - 2454833, days` where a unit should stand."""
    julian = re.match(r"\w*JD\b", str(table.unit.get(name)))
    return 1.0 if julian else _factor(table, name, u.d)


def _is_mag(unit: u.UnitBase) -> bool:
    return _is_zero_pointed(unit) or unit.is_equivalent(u.mag)


def _is_zero_pointed(unit: u.UnitBase) -> bool:
    return hasattr(unit, "physical_unit")  # mag(AB) and the like


def _is_number(unit: u.UnitBase) -> bool:
    return not _is_zero_pointed(unit) and unit.is_equivalent(u.dimensionless_unscaled)


def _is_lists(column: np.ndarray) -> bool:
    """Does each row hold a list? A column of which no row holds anything passes for one."""
    if column.ndim == 2 or column.dtype != object:
        return column.ndim == 2
    return isinstance(
        next((x for x in column if x is not None and not isinstance(x, float)), ()), (np.ndarray, list, tuple)
    )


def _end_to_end(table: Columns, name: str, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """The lists of a column one after the other, and their lengths (n,); missing = no points."""
    column = table[name]
    if column.ndim == 2:
        return column.reshape(-1).astype(dtype), np.full(len(column), column.shape[1])
    lists = [x if isinstance(x, (np.ndarray, list, tuple)) else () for x in column]
    lists = [plain_numbers(x) if isinstance(x, np.ma.MaskedArray) else x for x in lists]
    length = np.fromiter(map(len, lists), np.int64, len(lists))
    try:
        flat = np.concatenate([np.empty(0, np.float32 if dtype is np.float64 else dtype), *lists])
        return flat.astype(dtype), length
    except (TypeError, ValueError) as error:
        raise ValueError(f"{table.origin}: column {name} must hold lists of numbers ({error})") from error


def _numbers_beside(table: Columns, name: str, beside: str, length: np.ndarray, ids, dtype: type = np.float64):
    """The lists of a column end to end; ValueError where they are not as long as those of column `beside`."""
    flat, found = _end_to_end(table, name, dtype)
    if np.any(found != length):
        row = int(np.argmax(found != length))
        raise ValueError(
            f"{table.origin}: row {row} (id {ids[row]}): {length[row]} values in {beside}, but {found[row]} in {name}"
        )
    return flat


def _bands_beside(table: Columns, names: _Names, length: np.ndarray, ids) -> pd.Categorical:
    """The band of every point."""
    if names.band is None:
        return pd.Categorical.from_codes(np.zeros(length.sum(), np.int8), categories=[names.label])
    column = table[names.band]
    if _is_lists(column) and length.any():
        return pd.Categorical(_numbers_beside(table, names.band, names.time, length, ids, object))
    of_star = pd.Categorical(column)
    return pd.Categorical.from_codes(np.repeat(of_star.codes, length), categories=of_star.categories)


def _from_dates(time: np.ndarray) -> np.ndarray:
    days = (time.astype("datetime64[us]") - np.datetime64("2009-01-01", "us")) / np.timedelta64(1, "D")
    return np.where(np.isnat(time), np.nan, days)


def _true(column: np.ndarray) -> np.ndarray:
    """(n,) bool from booleans, numbers or the words of a CSV."""
    return pd.Series(column).astype(str).str.lower().isin(["true", "1", "1.0", "t"]).to_numpy()


def _plain_times(table: Table) -> Table:
    """astropy's Time columns become days since JD_ZERO."""
    times: dict[str, Any] = {x: table[x] for x in table.colnames if isinstance(table[x], (Time, TimeDelta))}
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


def _check_mapping(table: Columns, renamed: dict[str, str]) -> None:
    if unknown := sorted(set(renamed) - set(FIELDS)):
        raise ValueError(f"columns: unknown {unknown}; known are {list(FIELDS)}")
    if absent := sorted(column for column in renamed.values() if column not in table):
        raise ValueError(f"{table.origin}: no column {absent}; {_has(table)}")


def _has(table: Columns) -> str:
    return f"the table has {sorted(table.data)[:20]}"
