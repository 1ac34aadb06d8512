"""Units of light curves: flux, magnitude or relative flux, times in days, plain numbers."""

import re
from typing import Any

import astropy.units as u
import numpy as np

from multistar.io.columns import Columns
from multistar.modalities.light_curve.columns import Names


def decide_unit(kind: str | None, stated: u.UnitBase | None, asked: str | None, where: str) -> str:
    """Decide what the values of a light curve are.

    Parameters
    ----------
    kind : str, optional
        "flux" or "mag", if the name of the column says so.
    stated : astropy unit, optional
        The unit that the file states.
    asked : str, optional
        "flux", "mag" or "relative", if the user says so.
    where : str
        Table and column, for messages.

    Returns
    -------
    str
        "flux", "mag" or "relative".

    Raises
    ------
    ValueError
        If they contradict each other, or if none of them tells.
    """
    said = {
        "its name": kind,
        "its unit": _kind_of_unit(stated),
        "--unit": "flux" if asked == "relative" else asked,
    }
    found = {by: what for by, what in said.items() if what}
    if not found:
        raise ValueError(
            f"{where}: flux or magnitude? "
            "Say --unit flux, mag or relative, which is flux/median - 1 (unit='flux' in Python)"
        )
    if len(set(found.values())) > 1:
        text = ", ".join(f"{by} says {what}" for by, what in found.items())
        raise ValueError(f"{where}: {text}; name the right column, or correct --unit (unit=)")
    return asked or next(iter(found.values()))


def convert_to_one_unit(
    table: Columns, names: Names, value: Any, error: Any, unit: str | None
) -> tuple[Any, Any, str]:
    """Bring values and errors into one unit, where the table states any.

    Parameters
    ----------
    table : Columns
        With the units of its columns.
    names : Names
        The columns of the values and errors.
    value, error : array
        What they hold; the error may be None.
    unit : str, optional
        "flux", "mag" or "relative", if the user says so.

    Returns
    -------
    value, error : array
        In one unit; plain numbers are taken to be in it.
    unit : str
        "flux", "mag" or "relative".

    Raises
    ------
    ValueError
        As `decide_unit`, and for units that do not convert.
    """
    stated = table.unit.get(names.value)
    where = f"{table.origin}: column {names.value}"
    unit = decide_unit(names.kind, stated, unit, where)
    wanted = {"mag": u.mag, "relative": u.dimensionless_unscaled}.get(unit, stated)
    if wanted is not None:
        value = value * _conversion_factor(table, names.value, wanted)
        if error is not None and names.error:
            error = error * _conversion_factor(table, names.error, wanted)
    return value, error, unit


def days_per_unit(table: Columns, name: str) -> float:
    """Return the factor from the unit of a column of times to days; 1 if none is stated.

    Missions write ``BJD - 2454833, days`` where a unit should stand.
    """
    is_julian_date = re.match(r"\w*JD\b", str(table.unit.get(name)))
    return 1.0 if is_julian_date else _conversion_factor(table, name, u.d)


def plain_numbers(values: Any) -> np.ndarray:
    """Return float64 numbers without unit and mask; masked = NaN.

    Parameters
    ----------
    values : array, column or quantity
        Masked or not.
    """
    values = getattr(values, "value", values)
    if hasattr(values, "unmasked"):
        return np.where(values.mask, np.nan, np.asarray(values.unmasked, np.float64))
    return np.ma.filled(np.ma.asarray(values, np.float64), np.nan)


def _conversion_factor(table: Columns, name: str, wanted: u.UnitBase) -> float:
    """From the unit of a column to `wanted`; 1 if the table states none."""
    unit = table.unit.get(name)
    if unit is None or unit == wanted or unit == u.dimensionless_unscaled:
        return 1.0
    if wanted == u.mag and _is_zero_pointed(unit):
        return 1.0
    if not unit.is_equivalent(wanted):
        raise ValueError(
            f"{table.origin}: column {name} is in {unit}, "
            f"expected {str(wanted) or 'a plain number'}"
        )
    factor: Any = unit.to(wanted)
    return float(factor)


def _kind_of_unit(unit: u.UnitBase | None) -> str | None:
    """ "flux" or "mag"; None for a plain number, which may be either."""
    if unit is None:
        return None
    if _is_zero_pointed(unit) or unit.is_equivalent(u.mag):
        return "mag"
    return None if unit.is_equivalent(u.dimensionless_unscaled) else "flux"


def _is_zero_pointed(unit: u.UnitBase) -> bool:
    """Whether it is mag(AB) or the like."""
    return hasattr(unit, "physical_unit")
