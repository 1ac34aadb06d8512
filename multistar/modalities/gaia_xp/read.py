"""Gaia XP coefficients in a table, whatever their layout."""

import re
import warnings
from dataclasses import dataclass

import numpy as np

from multistar import status
from multistar.io.tables import Columns

XP_BANDS = ("bp", "rp")
BASIS_ID = {"bp": 56, "rp": 57}  # of the basis functions of Gaia DR3
LARGEST = 1e12  # e-/s; no star is as bright
MAX_ORDERS = 200  # more is a file gone wrong, not a future release
VECTORS = tuple(
    f"{b}_coefficient{part}" for b in XP_BANDS for part in ("s", "_errors", "_correlations")
)
# `bp_coeff_0`, `bp_coefficients_0`, `bp_0` / `e_bp_coeff_0`, `bp_coefficient_errors_0`, ...
# Longer numbers are no orders, but dates (`bp_20230101`).
_SPLIT = {
    "value": r"{b}(?:_coeff|_coef|_coefficient|_coefficients)?_(\d{{1,3}})",
    "error": r"(?:e_|err_){b}(?:_coeff|_coef|_coefficient|_coefficients)?_(\d{{1,3}})"
    r"|{b}(?:_coeff|_coef|_coefficient)_errors?_(\d{{1,3}})",
}


@dataclass
class XPCoefficients:
    """value, sigma (n, n_orders) float64 in e-/s; NaN value = not observed, NaN sigma = unknown."""

    value: np.ndarray
    sigma: np.ndarray


def read_xp(columns: Columns, all_orders: bool = False) -> dict[str, XPCoefficients]:
    """BP and RP coefficients of a table; a band that it does not have is left out.

    Reads vector columns (`bp_coefficients`; arrays, lists, or the archive's strings) and split
    columns (`bp_coeff_0` ...). The number of orders is that of the file. Orders from
    `bp_n_relevant_bases` on are below the noise by the archive's own test, and become unobserved
    unless `all_orders`.
    """
    found = {}
    for band in XP_BANDS:
        value = _matrix(columns, band, "value")
        if value is None:
            continue
        sigma = _matrix(columns, band, "error")
        if sigma is None:
            sigma = np.full_like(value, np.nan)
        if sigma.shape != value.shape:
            raise ValueError(
                f"{columns.origin}: {band} has {value.shape[1]} coefficients but "
                f"{sigma.shape[1]} errors per star"
            )
        if not all_orders:
            _truncate(columns, band, value)
        _check_basis(columns, band)
        found[band] = XPCoefficients(value, sigma)
    return found


def _check_basis(columns: Columns, band: str) -> None:
    """Warn if the file names basis functions that this version does not know.

    Coefficients of others (those of a later release) are numbers of another meaning.
    """
    name = f"{band}_basis_function_id"
    if name not in columns:
        return
    columns.used[name] = f"basis of XP {band}"
    ids = columns.numbers(name)
    other = np.unique(ids[np.isfinite(ids) & (ids != BASIS_ID[band])])
    if len(other):
        named = ", ".join(f"{number:g}" for number in other[:3])
        warnings.warn(
            f"{columns.origin}: {band} coefficients are of the basis functions {named}; known are "
            f"{BASIS_ID[band]}, those of Gaia DR3. What is said of these stars from {band} is not "
            "to be trusted: use sampled spectra, or a version of multistar for that release",
            stacklevel=2,
        )


def archive_columns(
    xp: dict[str, XPCoefficients], correlation: dict[str, np.ndarray] | None = None
) -> dict:
    """Columns of the archive's XP_CONTINUOUS table, as GaiaXPy and `read_xp` want them.

    The inverse of `read_xp`.

    correlation (n, orders, orders) by band, zero if not given: its upper triangle is written
    column by column. All orders count as relevant and the standard deviation is 1, so errors are
    what they say.
    """
    columns = {}
    for band, coefficients in xp.items():
        n, orders = coefficients.value.shape
        column, row = np.tril_indices(orders, -1)  # row < column, in order of columns
        packed = correlation[band][:, row, column] if correlation else np.zeros((n, len(row)))
        columns |= {
            f"{band}_basis_function_id": np.full(n, BASIS_ID[band], np.int16),
            f"{band}_n_parameters": np.full(n, orders, np.int16),
            f"{band}_n_relevant_bases": np.full(n, orders, np.int16),
            f"{band}_standard_deviation": np.ones(n),
            f"{band}_coefficients": coefficients.value,
            f"{band}_coefficient_errors": coefficients.sigma,
            f"{band}_coefficient_correlations": packed,
        }
    return columns


def _truncate(columns: Columns, band: str, value: np.ndarray) -> None:
    name = f"{band}_n_relevant_bases"
    if name in columns:
        columns.used[name] = f"relevant orders of {band}"
        relevant = columns.numbers(name)
        relevant = np.where(relevant >= 1, relevant, np.inf)
        value[np.arange(value.shape[1]) >= relevant[:, None]] = np.nan


def _matrix(columns: Columns, band: str, part: str) -> np.ndarray | None:
    name = f"{band}_coefficients" if part == "value" else f"{band}_coefficient_errors"
    what = f"XP {band}" if part == "value" else f"error of XP {band}"
    if name in columns:
        columns.used[name] = what
        return _vector_column(columns, name)
    pattern = re.compile(_SPLIT[part].format(b=band))
    numbered = {}
    for column in columns.data:
        if match := pattern.fullmatch(column):
            numbered[int(next(g for g in match.groups() if g is not None))] = column
    if not numbered:
        return None
    _check_orders(columns.origin, f"split {band} columns", max(numbered) + 1)
    missing = sorted(set(range(max(numbered) + 1)) - set(numbered))
    if missing:
        raise ValueError(
            f"{columns.origin}: split {band} columns lack orders {missing[:5]} (have up to "
            f"{max(numbered)})"
        )
    columns.used |= dict.fromkeys(numbered.values(), what)
    return np.stack([columns.numbers(numbered[i]) for i in sorted(numbered)], -1)


def _vector_column(columns: Columns, name: str) -> np.ndarray:
    values = columns[name]
    if values.ndim == 2 and values.dtype.kind in "iuf":
        _check_orders(columns.origin, f"column {name}", values.shape[1])
        return np.array(values, np.float64)
    if values.ndim != 1:
        raise ValueError(
            f"{columns.origin}: column {name} must hold one vector per star, its shape is "
            f"{values.shape}"
        )
    rows = [_parse(value, columns.origin, name, i) for i, value in enumerate(values)]
    width = max((len(row) for row in rows), default=0)
    _check_orders(columns.origin, f"column {name}", width)
    out = np.full((len(rows), width), np.nan)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _check_orders(origin: str, what: str, orders: int) -> None:
    """Before anything of this length is made."""
    if orders > MAX_ORDERS:
        raise ValueError(
            f"{origin}: {what}: {orders} coefficients per star; at most {MAX_ORDERS} make sense"
        )


def _parse(value, origin: str, name: str, row: int) -> np.ndarray:
    """One star's vector; missing -> empty."""
    if value is None or (np.isscalar(value) and value != value):  # None or NaN
        return np.empty(0)
    if isinstance(value, str):
        _check_orders(origin, f"column {name}, row {row}", value.count(",") + 1)
        text = (
            value.strip()
            .strip("()[]{}")
            .replace("null", "nan")
            .replace("None", "nan")
            .replace("--", "nan")
        )
        try:
            return np.array([float(x) for x in text.split(",")]) if text else np.empty(0)
        except ValueError as error:
            raise ValueError(
                f"{origin}: column {name}, row {row}: cannot read {value[:40]!r}... as numbers"
            ) from error
    try:
        vector = np.ma.filled(np.ma.asarray(value, np.float64), np.nan)
    except (TypeError, ValueError):  # a structure, or lists of several lengths
        vector = None
    if vector is None or vector.ndim != 1:
        raise ValueError(
            f"{origin}: column {name}, row {row}: expected one number or a vector, got "
            f"{value!r:.60}"
        )
    return vector


def check_xp(xp: dict[str, XPCoefficients], flags: np.ndarray) -> None:
    """Make impossible coefficients and errors unobserved, in place, and flag their stars (n,)."""
    for band in xp.values():
        impossible = np.isinf(band.value) | (np.abs(band.value) > LARGEST)
        possible_sigma = (band.sigma > 0) & np.isfinite(band.sigma)
        bad_sigma = ~np.isnan(band.sigma) & ~possible_sigma
        observed = ~np.isnan(band.value)
        flags[(impossible | (bad_sigma & observed)).any(1)] |= status.BIT["bad_value"]
        band.value[impossible] = np.nan
        band.sigma[bad_sigma | impossible] = np.nan
