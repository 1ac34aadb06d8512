"""source_id of stars: integers of up to 64 bits, whatever container they come in."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multistar import status
from multistar.io.tables import ID_COLUMNS, Columns, read_columns

EXACT_FLOAT_IDS = 2**53  # integers above this are not exact in float64


def read_ids(source: Any) -> np.ndarray:
    """(n,) int64 source_ids of a table that needs no other column; ValueError if one is missing."""
    table = read_columns(source)
    source_id, _ = ids_and_flags(table, {})
    if np.any(source_id < 0):
        raise ValueError(f"{table.origin}: row {np.argmax(source_id < 0)} has no source_id")
    return source_id


def target_ids(targets: Any) -> list[int]:
    """Ids to be looked for: integers or a table that `read_ids` takes; without repetition, in the order given."""
    if (
        isinstance(targets, Iterable)
        and not isinstance(targets, (str, Path, dict))
        and not hasattr(targets, "columns")
    ):
        ids = np.atleast_1d(np.asarray(targets))
        if ids.dtype.kind not in "iu":
            raise ValueError(
                f"targets must be integer ids or a table with source_id, got {ids[:3]!r}"
            )
    else:
        ids = read_ids(targets)
    if np.any(ids <= 0):
        raise ValueError(f"ids of stars are positive, found {ids[ids <= 0][0]}")
    return list(dict.fromkeys(int(star) for star in ids))


def ids_and_flags(table: Columns, renamed: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    names = [renamed["source_id"]] if "source_id" in renamed else list(ID_COLUMNS)
    name = next((n for n in names if n in table), None)
    if name is None:
        raise ValueError(
            f"{table.origin}: no column source_id; the table has {sorted(table.data)[:12]}. "
            "Name yours with --columns source_id=NAME; a row number will do"
        )
    source_id = id_numbers(table[name], table.origin, name)
    flags = np.zeros(len(source_id), np.uint16)
    missing = source_id < 0
    flags[missing] |= status.BIT["bad_id"]
    repeated = pd.Series(source_id).duplicated(keep=False).to_numpy() & ~missing
    flags[repeated] |= status.BIT["duplicate_id"]
    return source_id, flags


def id_numbers(raw: np.ndarray, origin: str, name: str) -> np.ndarray:
    """(n,) int64 ids from integers, whole floats or text digits; -1 = missing. ValueError for anything else."""
    if raw.dtype.kind in "iu":
        return np.maximum(raw.astype(np.int64), -1)
    return np.array([_one_id(x, origin, name) for x in raw], np.int64)


def _one_id(value, origin: str, name: str) -> int:
    if value is None or value is pd.NA or value != value:
        return -1
    if isinstance(value, (float, np.floating)):
        if not value.is_integer() or abs(value) > EXACT_FLOAT_IDS:
            raise ValueError(
                f"{origin}: column {name} holds the float {value!r}; a float cannot hold a 64-bit id exactly. "
                "Read or save the ids as integers or text"
            )
        return int(value)
    text = value.decode() if isinstance(value, bytes) else str(value)
    text = text.strip().removeprefix("Gaia DR3 ").removeprefix("Gaia DR4 ")
    if text.lower() in ("", "-1", "nan", "null", "none", "<na>"):
        return -1
    if not text.isdecimal() or int(text) >= 2**63:
        raise ValueError(f"{origin}: column {name} must hold integer ids, found {value!r}")
    return int(text)
