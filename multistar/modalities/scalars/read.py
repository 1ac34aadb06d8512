"""Columns of numbers -> quantities in their units, with errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np

from multistar import status
from multistar.io.tables import Columns
from multistar.io.untrusted import parse_unit
from multistar.modalities.modality import ReadOptions
from multistar.quantities import AB_OFFSET, Quantity

MAG_PER_RELATIVE_FLUX = 2.5 / np.log(10)
LARGEST_SIGMA = 1e8  # of any quantity; a larger error is a word for "none" or "unknown"
# An error that large is one of a value that is as large, in a small unit.
LARGEST_RATIO = 100.0


@dataclass
class Scalar:
    """One quantity of n stars.

    Attributes
    ----------
    value, sigma : (n,) float64 ndarray
        In the quantity's unit; NaN value = not observed, NaN sigma = unknown error.
    """

    value: np.ndarray
    sigma: np.ndarray


def read_scalars(table: Columns, options: ReadOptions, flags: np.ndarray) -> dict[str, Scalar]:
    """Read all quantities that the table has; bits of impossible values are set in `flags` (n,).

    Raises
    ------
    ValueError
        If a column holds no numbers, or its unit does not convert.
    """
    found = {}
    for name, quantity in options.quantities.items():
        if quantity.kind == "label" and not _is_wanted(name, options):
            continue
        scalar = _read_scalar(table, quantity, options.columns, flags)
        if scalar is not None:
            found[name] = scalar
    return found


def _is_wanted(label: str, options: ReadOptions) -> bool:
    if isinstance(options.labels, bool):
        return options.labels
    return label in options.labels


def _read_scalar(
    table: Columns, quantity: Quantity, renamed: Mapping[str, str], flags: np.ndarray
) -> Scalar | None:
    column = renamed.get(quantity.name) or _first_present(quantity.columns, table)
    if column is None:
        return None
    table.used[column] = quantity.name
    value = _in_unit(table, column, quantity)
    sigma = _read_sigma(table, quantity, renamed, len(value))
    low, high = quantity.valid
    impossible = ~np.isnan(value) & ~((value >= low) & (value <= high))
    # divided, as values near the largest float would overflow
    absurd = (sigma >= LARGEST_SIGMA) & ~(sigma / LARGEST_RATIO <= np.abs(value))
    bad_sigma = ~np.isnan(sigma) & ((sigma <= 0) | absurd)
    if quantity.kind == "label":
        # without its error, a label of which nothing is known would be learnt as if it were exact
        impossible |= absurd & ~np.isnan(value)
    flags[impossible | (bad_sigma & ~np.isnan(value))] |= status.BIT["bad_value"]
    value = np.where(impossible, np.nan, value)
    sigma = np.where(bad_sigma | impossible, np.nan, sigma)
    return Scalar(value, sigma)


def _read_sigma(
    table: Columns, quantity: Quantity, renamed: Mapping[str, str], n: int
) -> np.ndarray:
    error = renamed.get(f"{quantity.name}_error") or _first_present(quantity.error_columns, table)
    if error is not None:
        table.used[error] = f"error of {quantity.name}"
        return _in_unit(table, error, quantity, is_error=True)
    ratio = _first_present(quantity.snr_columns, table)
    if ratio is None:
        return np.full(n, np.nan)
    table.used[ratio] = f"error of {quantity.name}"
    signal_to_noise = table.numbers(ratio)
    return MAG_PER_RELATIVE_FLUX / np.where(signal_to_noise > 0, signal_to_noise, np.nan)


def _first_present(names: tuple[str, ...], table: Columns) -> str | None:
    return next((name for name in names if name in table), None)


def _in_unit(table: Columns, name: str, quantity: Quantity, is_error: bool = False) -> np.ndarray:
    """Values in the quantity's unit, converted where the file states another.

    ValueError, which names both units, where none of the ways between them is known.
    """
    values = table.numbers(name)
    unit = table.unit.get(name)
    if unit is None or unit == u.dimensionless_unscaled or str(unit) == quantity.unit:
        return values
    if isinstance(unit, u.FunctionUnitBase):
        shift = 0.0 if is_error else _shift_of_logarithm(unit, quantity)
        if shift is not None:
            return values + shift
    else:
        factor = _factor(unit, quantity)
        if factor is not None:
            return values * factor
    raise ValueError(
        f"{table.origin}: column {name} is in {unit}, expected {quantity.unit or 'a plain number'}"
        f"{' (Vega)' if quantity.name in AB_OFFSET else ''}; convert it, or correct its unit"
    )


def _factor(unit: u.UnitBase, quantity: Quantity) -> float | None:
    """By which values are multiplied; None if the units measure different things."""
    wanted = parse_unit(quantity.unit.replace("Msun", "solMass"))
    if isinstance(unit, u.UnrecognizedUnit) or not unit.is_equivalent(wanted):
        return None
    factor: Any = unit.to(wanted)
    # astropy takes magnitudes for dex * -0.4, which no column means
    return factor if factor > 0 else None


def _shift_of_logarithm(unit: u.FunctionUnitBase, quantity: Quantity) -> float | None:
    """What is added to values such as mag(AB) or dex(cm s-2); None if they are something else."""
    physical: Any = unit.physical_unit
    if isinstance(unit, u.MagUnit):
        is_ab = quantity.kind == "magnitude" and physical == u.AB
        return -AB_OFFSET[quantity.name] if is_ab and quantity.name in AB_OFFSET else None
    if not isinstance(unit, u.DexUnit) or quantity.unit != "dex":
        return None
    plain = u.cm / u.s**2 if quantity.name == "logg" else u.dimensionless_unscaled
    if not physical.is_equivalent(plain):
        return None
    return float(np.log10(physical.to(plain)))
