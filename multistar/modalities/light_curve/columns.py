"""Which columns of a table hold light curves, and in what units."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np

from multistar.io.tables import ID_COLUMNS, Columns

FIELDS = ("source_id", "time", "flux", "mag", "value", "error", "band")  # what `columns` can name
IDS = (*ID_COLUMNS, "id", "ID", "kic", "KIC", "epic", "EPIC", "tic", "TIC")
TIMES = ("time", "t", "bjd", "hjd", "jd", "mjd", "bkjd", "btjd", "obs_time")
KINDS = {"flux": ("flux",), "mag": ("mag", "magnitude")}
ERRORS = ("error", "err", "sigma")
BANDS = ("band", "filter", "passband")
NOT_A_VALUE = re.compile(r"^(e|err|error|sigma)_|(err|errors?|sigma|snr|flag|quality)$")


@dataclass(frozen=True)
class Names:
    """The columns of one set of light curves in a table."""

    time: str
    value: str
    error: str | None
    band: str | None
    kind: str | None  # "flux" or "mag" by the name of the column; None = the name does not tell
    label: str  # the band where no column gives one


def find_columns(table: Columns, renamed: dict[str, str], unit: str | None) -> list[Names]:
    """One set of columns, or one for each mission that a table of lists has.

    renamed (field -> column) comes before everything else. Raises ValueError, with the columns that there are, if one
    is missing or several could be meant.
    """
    _check_mapping(table, renamed)
    prefixes = [] if "time" in renamed else _prefixes(table)
    return [_names(table, prefix, renamed, unit) for prefix in prefixes or [""]]


def id_column(table: Columns, renamed: dict[str, str]) -> str:
    """ValueError if there is none, or if it does not hold one id per row."""
    name = renamed.get("source_id") or next((name for name in IDS if name in table), None)
    if name is None:
        raise ValueError(
            f"{table.origin}: no column source_id; {_has(table)}. Name yours: columns={{'source_id': ...}}"
        )
    if table[name].ndim != 1:
        raise ValueError(
            f"{table.origin}: column {name} must hold one id per row, its shape is {table[name].shape}"
        )
    return name


def unit_of_values(
    kind: str | None, stated: u.UnitBase | None, asked: str | None, where: str
) -> str:
    """ "flux", "mag" or "relative", from the name of the column, the unit that the file states and what the user says.

    Raises ValueError if they contradict each other, or if none of them tells.
    """
    said = {
        "its name": kind,
        "its unit": None
        if stated is None or _is_number(stated)
        else "mag"
        if _is_mag(stated)
        else "flux",
        "unit=": "flux" if asked == "relative" else asked,
    }
    found = {by: what for by, what in said.items() if what}
    if not found:
        raise ValueError(
            f"{where}: flux or magnitude? Say unit='flux', 'mag' or 'relative' (which is flux/median - 1)"
        )
    if len(set(found.values())) > 1:
        text = ", ".join(f"{by} says {what}" for by, what in found.items())
        raise ValueError(f"{where}: {text}; name the right column, or correct unit=")
    return asked or next(iter(found.values()))


def in_one_unit(
    table: Columns, names: Names, value: Any, error: Any, unit: str | None
) -> tuple[Any, Any, str]:
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
        raise ValueError(
            f"{table.origin}: column {name} is in {unit}, expected {str(wanted) or 'a plain number'}"
        )
    factor: Any = unit.to(wanted)
    return float(factor)


def days_per_unit(table: Columns, name: str) -> float:
    """From the unit of a column of times to days. Missions write `BJD - 2454833, days` where a unit should stand."""
    julian = re.match(r"\w*JD\b", str(table.unit.get(name)))
    return 1.0 if julian else _factor(table, name, u.d)


def _is_mag(unit: u.UnitBase) -> bool:
    return _is_zero_pointed(unit) or unit.is_equivalent(u.mag)


def _is_zero_pointed(unit: u.UnitBase) -> bool:
    return hasattr(unit, "physical_unit")  # mag(AB) and the like


def _is_number(unit: u.UnitBase) -> bool:
    return not _is_zero_pointed(unit) and unit.is_equivalent(u.dimensionless_unscaled)


def is_lists(column: np.ndarray) -> bool:
    """Does each row hold a list? A column of which no row holds anything passes for one."""
    if column.ndim == 2 or column.dtype != object:
        return column.ndim == 2
    return isinstance(
        next((x for x in column if x is not None and not isinstance(x, float)), ()),
        (np.ndarray, list, tuple),
    )


def _prefixes(table: Columns) -> list[str]:
    """ "kepler_", "tess_" ...: what stands in front of `time` and `flux` or `mag` in columns of lists."""
    found = [
        name.removesuffix("time")
        for name in table.data
        if name.endswith("_time") and is_lists(table[name])
    ]
    return [
        p for p in found if any(f"{p}{word}" in table for words in KINDS.values() for word in words)
    ]


def _names(table: Columns, prefix: str, renamed: dict[str, str], unit: str | None) -> Names:
    """The columns of the light curves whose names begin with `prefix`."""
    lower = {
        name.removeprefix(prefix).lower(): name
        for name in reversed(table.data)
        if name.startswith(prefix)
    }
    time = renamed.get("time") or _first(lower, TIMES)
    if time is None:
        raise ValueError(
            f"{table.origin}: no column {prefix}time; {_has(table)}. Name yours: columns={{'time': ...}}"
        )
    fields = [field for field in (*KINDS, "value") if field in renamed]
    if fields:
        value, kind = renamed[fields[0]], fields[0] if fields[0] in KINDS else None
        errors = _error_names(value.lower())
    else:
        value, kind = _value(table, lower, unit)
        errors = [*_error_names(value.removeprefix(prefix).lower()), *_error_names(kind), *ERRORS]
    error = renamed.get("error") or _first(lower, errors)
    return Names(
        time,
        value,
        error,
        renamed.get("band") or _first(lower, BANDS),
        kind,
        prefix.removesuffix("_") or "unknown",
    )


def _value(table: Columns, lower: dict[str, str], unit: str | None) -> tuple[str, str]:
    """The column of the measurements, and whether its name says "flux" or "mag".

    `flux` and `mag` come before longer names; of both, the one with errors before the other, and flux before mag.
    """
    kinds = [kind for kind in KINDS if unit is None or (kind == "mag") == (unit == "mag")]
    found = {}
    for kind in kinds:
        like = [
            low
            for low in lower
            if re.search(f"^{kind}|{kind}$", low) and not NOT_A_VALUE.search(low)
        ]
        found[kind] = [low for low in KINDS[kind] if low in lower][:1] or like
    kind = max(
        (k for k in kinds if found[k]),
        key=lambda k: bool(_first(lower, _error_names(found[k][0]))),
        default="",
    )
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
    return [f"{value}{end}" for end in endings] + [
        f"{start}{value}" for start in ("e_", "err_", "error_", "sigma_")
    ]


def _first(lower: dict[str, str], words: Iterable[str]) -> str | None:
    return next((lower[word] for word in words if word in lower), None)


def _check_mapping(table: Columns, renamed: dict[str, str]) -> None:
    if unknown := sorted(set(renamed) - set(FIELDS)):
        raise ValueError(f"columns: unknown {unknown}; known are {list(FIELDS)}")
    if absent := sorted(column for column in renamed.values() if column not in table):
        raise ValueError(f"{table.origin}: no column {absent}; {_has(table)}")


def _has(table: Columns) -> str:
    return f"the table has {sorted(table.data)[:20]}"
