"""Columns of numbers -> quantities in their units, with errors."""

from collections.abc import Mapping
from dataclasses import dataclass

import astropy.units as u
import numpy as np

from multistar import status
from multistar.io.tables import Columns
from multistar.modalities.modality import ReadOptions
from multistar.quantities import Quantity

MAG_PER_RELATIVE_FLUX = 2.5 / np.log(10)
LARGEST_SIGMA = 1e8  # of any quantity; a larger error is a word for "none"


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
    value = _in_unit(table, column, quantity)
    sigma = _read_sigma(table, quantity, renamed, len(value))
    low, high = quantity.valid
    impossible = ~np.isnan(value) & ~((value >= low) & (value <= high))
    possible_sigma = (sigma > 0) & np.isfinite(sigma) & (sigma < LARGEST_SIGMA)
    bad_sigma = ~np.isnan(sigma) & ~possible_sigma
    flags[impossible | (bad_sigma & ~np.isnan(value))] |= status.BIT["bad_value"]
    value = np.where(impossible, np.nan, value)
    sigma = np.where(bad_sigma | impossible, np.nan, sigma)
    return Scalar(value, sigma)


def _read_sigma(
    table: Columns, quantity: Quantity, renamed: Mapping[str, str], n: int
) -> np.ndarray:
    error = renamed.get(f"{quantity.name}_error") or _first_present(quantity.error_columns, table)
    if error is not None:
        return _in_unit(table, error, quantity)
    ratio = _first_present(quantity.snr_columns, table)
    if ratio is None:
        return np.full(n, np.nan)
    signal_to_noise = table.numbers(ratio)
    return MAG_PER_RELATIVE_FLUX / np.where(signal_to_noise > 0, signal_to_noise, np.nan)


def _first_present(names: tuple[str, ...], table: Columns) -> str | None:
    return next((name for name in names if name in table), None)


def _in_unit(table: Columns, name: str, quantity: Quantity) -> np.ndarray:
    """Values converted to the quantity's unit where the file states another."""
    values = table.numbers(name)
    unit = table.unit.get(name)
    if unit is None or unit == u.dimensionless_unscaled:
        return values
    # logarithmic units such as mag(AB) or dex(cm s-2) have a physical unit within
    is_logarithmic = getattr(unit, "physical_unit", None) is not None
    if is_logarithmic or (unit in (u.mag, u.dex) and quantity.unit in ("mag", "dex")):
        return values
    wanted = u.Unit(quantity.unit.replace("Msun", "solMass"))
    if not unit.is_equivalent(wanted):
        expected = quantity.unit or "a plain number"
        raise ValueError(f"{table.origin}: column {name} is in {unit}, expected {expected}")
    return values * unit.to(wanted)
