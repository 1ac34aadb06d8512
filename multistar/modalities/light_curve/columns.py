"""Which columns of a table hold light curves."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from multistar.io.columns import ID_COLUMNS, Columns

FIELDS = ("source_id", "time", "flux", "mag", "value", "error", "band")  # what `columns` can name
IDS = (*ID_COLUMNS, "id", "ID", "kic", "KIC", "epic", "EPIC", "tic", "TIC")
TIMES = ("time", "t", "bjd", "hjd", "jd", "mjd", "bkjd", "btjd", "obs_time")
KINDS = {"flux": ("flux",), "mag": ("mag", "magnitude")}
ERRORS = ("error", "err", "sigma")
ERROR_ENDINGS = ("_error", "_err", "_errors", "error", "err", "_sigma")
ERROR_BEGINNINGS = ("e_", "err_", "error_", "sigma_")
BANDS = ("band", "filter", "passband")
NOT_A_VALUE = re.compile(r"^(e|err|error|sigma)_|(err|errors?|sigma|snr|flag|quality)$")


@dataclass(frozen=True)
class Names:
    """The columns of one set of light curves in a table.

    Parameters
    ----------
    time, value : str
        Names of the columns of times and measurements.
    error, band : str or None
        Names of the columns of standard errors and bands, where there are any.
    kind : str or None
        "flux" or "mag" by the name of the column; None if the name does not tell.
    label : str
        The band where no column gives one.
    """

    time: str
    value: str
    error: str | None
    band: str | None
    kind: str | None
    label: str


def find_columns(table: Columns, renamed: dict[str, str], unit: str | None) -> list[Names]:
    """Find the columns of light curves by their names.

    Parameters
    ----------
    table : Columns
        One point or one star per row.
    renamed : dict of str to str
        Field (one of FIELDS) to column; comes before everything else.
    unit : str, optional
        "flux", "mag" or "relative", if the user says so.

    Returns
    -------
    list of Names
        One set of columns, or one for each mission that a table of lists has.

    Raises
    ------
    ValueError
        With the columns that there are, if one is missing or several could be meant.
    """
    _check_mapping(table, renamed)
    prefixes = [] if "time" in renamed else _find_prefixes(table)
    return [_find_names(table, prefix, renamed, unit) for prefix in prefixes or [""]]


def find_id_column(table: Columns, renamed: dict[str, str]) -> str:
    """Find the column of ids.

    Parameters
    ----------
    table, renamed
        As of `find_columns`.

    Returns
    -------
    str
        Its name.

    Raises
    ------
    ValueError
        If there is none, or if it does not hold one id per row.
    """
    name = renamed.get("source_id") or next((name for name in IDS if name in table), None)
    if name is None:
        raise ValueError(
            f"{table.origin}: no column source_id; {_list_columns(table)}. "
            "Name yours: columns={'source_id': ...}"
        )
    if table[name].ndim != 1:
        raise ValueError(
            f"{table.origin}: column {name} must hold one id per row, "
            f"its shape is {table[name].shape}"
        )
    return name


def is_lists(column: np.ndarray) -> bool:
    """Say whether each row holds a list; a column whose rows hold nothing passes for one."""
    if column.ndim == 2:
        return True
    if column.dtype != object:
        return False
    for value in column:
        if value is not None and not isinstance(value, float):
            return isinstance(value, (np.ndarray, list, tuple))
    return True


def _find_prefixes(table: Columns) -> list[str]:
    """What stands in front of `time` and `flux` or `mag` in columns of lists: "kepler_" ..."""
    prefixes = []
    words = [word for words in KINDS.values() for word in words]
    for name in table.data:
        if not name.endswith("_time") or not is_lists(table[name]):
            continue
        prefix = name.removesuffix("time")
        if any(f"{prefix}{word}" in table for word in words):
            prefixes.append(prefix)
    return prefixes


def _find_names(table: Columns, prefix: str, renamed: dict[str, str], unit: str | None) -> Names:
    """The columns of the light curves whose names begin with `prefix`."""
    # of names that differ in capitals only, the first of the table is taken
    lower = {}
    for name in reversed(table.data):
        if name.startswith(prefix):
            lower[name.removeprefix(prefix).lower()] = name
    time = renamed.get("time") or _first_present(lower, TIMES)
    if time is None:
        raise ValueError(
            f"{table.origin}: no column {prefix}time; {_list_columns(table)}. "
            "Name yours: columns={'time': ...}"
        )
    named = [field for field in (*KINDS, "value") if field in renamed]
    if named:
        value = renamed[named[0]]
        kind = named[0] if named[0] in KINDS else None
        errors = _error_names(value.lower())
    else:
        value, kind = _find_value(table, lower, unit)
        short = value.removeprefix(prefix).lower()
        errors = [*_error_names(short), *_error_names(kind), *ERRORS]
    return Names(
        time=time,
        value=value,
        error=renamed.get("error") or _first_present(lower, errors),
        band=renamed.get("band") or _first_present(lower, BANDS),
        kind=kind,
        label=prefix.removesuffix("_") or "unknown",
    )


def _find_value(table: Columns, lower: dict[str, str], unit: str | None) -> tuple[str, str]:
    """The column of the measurements, and whether its name says "flux" or "mag".

    `flux` and `mag` come before longer names; of both, the one with errors before the other, and
    flux before mag.
    """
    kinds = [kind for kind in KINDS if unit is None or (kind == "mag") == (unit == "mag")]
    candidates = {kind: _value_names(lower, kind) for kind in kinds}
    present = [kind for kind in kinds if candidates[kind]]
    if not present:
        raise ValueError(
            f"{table.origin}: no column {' or '.join(kinds)}; {_list_columns(table)}. "
            f"Name yours: columns={{'{kinds[0]}': ...}}"
        )
    with_errors = [kind for kind in present if _has_errors(lower, candidates[kind][0])]
    kind = (with_errors or present)[0]
    found = candidates[kind]
    if len(found) > 1:
        raise ValueError(
            f"{table.origin}: any of {sorted(found)} could be meant; "
            f"name one: columns={{'{kind}': ...}}"
        )
    return lower[found[0]], kind


def _value_names(lower: dict[str, str], kind: str) -> list[str]:
    """Names in small letters that could be measurements: the plain one, or all longer ones."""
    plain = [word for word in KINDS[kind] if word in lower]
    if plain:
        return plain[:1]
    pattern = re.compile(f"^{kind}|{kind}$")
    return [name for name in lower if pattern.search(name) and not NOT_A_VALUE.search(name)]


def _has_errors(lower: dict[str, str], value: str) -> bool:
    return _first_present(lower, _error_names(value)) is not None


def _error_names(value: str) -> list[str]:
    ending = [f"{value}{end}" for end in ERROR_ENDINGS]
    beginning = [f"{start}{value}" for start in ERROR_BEGINNINGS]
    return ending + beginning


def _first_present(lower: dict[str, str], words: Iterable[str]) -> str | None:
    return next((lower[word] for word in words if word in lower), None)


def _check_mapping(table: Columns, renamed: dict[str, str]) -> None:
    unknown = sorted(set(renamed) - set(FIELDS))
    if unknown:
        raise ValueError(f"columns: unknown {unknown}; known are {list(FIELDS)}")
    absent = sorted(column for column in renamed.values() if column not in table)
    if absent:
        raise ValueError(f"{table.origin}: no column {absent}; {_list_columns(table)}")


def _list_columns(table: Columns) -> str:
    return f"the table has {sorted(table.data)[:20]}"
