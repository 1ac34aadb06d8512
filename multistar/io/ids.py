"""source_id of stars: integers of up to 64 bits, whatever container they come in."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multistar import status
from multistar.io.columns import ID_COLUMNS, Columns
from multistar.io.tables import read_columns

CATALOGUE_PREFIXES = ("Gaia DR3 ", "Gaia DR4 ")
WORDS_FOR_MISSING = ("", "-1", "nan", "null", "none", "<na>")
ROW_NUMBER = "#"  # in the place of a column of ids


def read_ids(source: Any) -> np.ndarray:
    """Read the ids of a table that needs no other column.

    Parameters
    ----------
    source
        Anything that `read_columns` takes.

    Returns
    -------
    (n,) int64
        One id per row.

    Raises
    ------
    ValueError
        If there is no column of ids, or a row has none.
    """
    table = read_columns(source)
    source_id, _ = ids_and_flags(table, {})
    if np.any(source_id < 0):
        raise ValueError(f"{table.origin}: row {np.argmax(source_id < 0)} has no source_id")
    return source_id


def target_ids(targets: Any) -> list[int]:
    """Read the ids of stars that are to be looked for.

    Parameters
    ----------
    targets : sequence of int, or a table that `read_ids` takes
        An id may occur more than once.

    Returns
    -------
    list of int
        Each id once, in the order given.

    Raises
    ------
    ValueError
        If the targets are no integers, or not positive.
    """
    is_table = isinstance(targets, (str, Path, dict)) or hasattr(targets, "columns")
    if is_table or not isinstance(targets, Iterable):
        ids = read_ids(targets)
    else:
        ids = np.atleast_1d(np.asarray(targets))
        if ids.dtype.kind not in "iu":
            raise ValueError(
                f"targets must be integer ids or a table with source_id, got {ids[:3]!r}"
            )
    if np.any(ids <= 0):
        raise ValueError(f"ids of stars are positive, found {ids[ids <= 0][0]}")
    return list(dict.fromkeys(int(star) for star in ids))


def ids_and_flags(table: Columns, renamed: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the ids of a table and flag those that are missing or occur more than once.

    Parameters
    ----------
    table : Columns
        n rows.
    renamed : dict of str to str
        May name the column of ids under "source_id", or ROW_NUMBER for numbers of rows; otherwise
        it is one of ID_COLUMNS.

    Returns
    -------
    source_id : (n,) int64
        -1 = missing.
    flags : (n,) uint16
        Bits `bad_id` and `duplicate_id` of `status.BIT`.

    Raises
    ------
    ValueError
        If there is no column of ids, or it holds something else.
    """
    if renamed.get("source_id") == ROW_NUMBER:
        numbers = np.arange(table.first_row, table.first_row + len(table))
        return numbers, np.zeros(len(table), np.uint16)
    names = [renamed["source_id"]] if "source_id" in renamed else ID_COLUMNS
    name = next((name for name in names if name in table), None)
    if name is None:
        raise ValueError(
            f"{table.origin}: no column source_id; the table has {sorted(table.data)[:12]}. "
            f"Name yours with --columns source_id=NAME; source_id={ROW_NUMBER} counts the rows"
        )
    table.used[name] = "source_id"
    source_id = id_numbers(table[name], table.origin, name)
    missing = source_id < 0
    repeated = pd.Series(source_id).duplicated(keep=False).to_numpy() & ~missing
    flags = np.zeros(len(source_id), np.uint16)
    flags[missing] |= status.BIT["bad_id"]
    flags[repeated] |= status.BIT["duplicate_id"]
    return source_id, flags


def id_numbers(raw: np.ndarray, origin: str, name: str) -> np.ndarray:
    """Convert ids to integers.

    Parameters
    ----------
    raw : (n,) array
        Integers, whole floats that are exact (below 2^53 in float64, 2^24 in float32), or digits
        as text, also after "Gaia DR3".
    origin, name : str
        Of the table and the column, for messages.

    Returns
    -------
    (n,) int64
        -1 = missing.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> id_numbers(np.array(["Gaia DR3 17", ""]), "table", "source_id").tolist()
    [17, -1]
    """
    if raw.dtype.kind in "iu":
        return np.maximum(raw.astype(np.int64), -1)
    return np.array([_id_number(value, origin, name) for value in raw], np.int64)


def _id_number(value, origin: str, name: str) -> int:
    if value is None or value is pd.NA or value != value:
        return -1
    if isinstance(value, (float, np.floating)):
        kind = type(value) if isinstance(value, np.floating) else np.float64
        # all whole numbers below this are exact; at and above it, neighbours look the same
        exact = 2 ** (np.finfo(kind).nmant + 1)
        if not value.is_integer() or abs(value) >= exact:
            raise ValueError(
                f"{origin}: column {name} holds the {kind.__name__} {value!r}; whole numbers are exact in "
                f"it below {exact} only, and it cannot hold a 64-bit id exactly. Read or save the "
                "ids as integers or text"
            )
        return max(int(value), -1)
    text = value.decode() if isinstance(value, bytes) else str(value)
    text = text.strip()
    for prefix in CATALOGUE_PREFIXES:
        text = text.removeprefix(prefix)
    if text.lower() in WORDS_FOR_MISSING:
        return -1
    if not text.isdecimal() or int(text) >= 2**63:
        raise ValueError(f"{origin}: column {name} must hold integer ids, found {value!r}")
    return int(text)
