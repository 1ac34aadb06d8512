"""Columns of lists, one star per row -> points one after the other."""

import numpy as np
import pandas as pd

from multistar.io.columns import Columns
from multistar.modalities.light_curve.columns import Names, is_lists
from multistar.modalities.light_curve.units import plain_numbers


class StarLists:
    """One set of columns of light curves in a table of n stars, with N points in all.

    Parameters
    ----------
    table : Columns
        Lists, or vectors of one length; missing lists, or nothing but NaN in a vector of times, are
        no points.
    names : Names
        The columns.
    ids : (n,) int64
        Of the rows, for messages.

    Attributes
    ----------
    time : (N,) float64
        The times of all stars, in the unit of the column.
    length : (n,) int
        Number of points of each star.

    Raises
    ------
    ValueError
        For lists of anything but numbers.
    """

    def __init__(self, table: Columns, names: Names, ids: np.ndarray):
        self.table = table
        self.names = names
        self.ids = ids
        self.time, self.length = _flatten(table, names.time)

    def stars(self) -> np.ndarray:
        """Return the row (N,) of each point."""
        rows = np.arange(len(self.length))
        return np.repeat(rows, self.length)

    def values(self) -> np.ndarray:
        """Return the measurements (N,); ValueError if they are not as many as the times."""
        return self._beside_times(self.names.value)

    def errors(self) -> np.ndarray | None:
        """Return the standard errors (N,); None without a column of them."""
        return self._beside_times(self.names.error) if self.names.error else None

    def bands(self) -> pd.Categorical:
        """Return the band of every point, from a list, one name per star, or the label."""
        if self.names.band is None:
            codes = np.zeros(self.length.sum(), np.int8)
            return pd.Categorical.from_codes(codes, categories=[self.names.label])
        column = self.table[self.names.band]
        if is_lists(column) and self.length.any():
            return pd.Categorical(self._beside_times(self.names.band, object))
        of_star = pd.Categorical(column)
        codes = np.repeat(of_star.codes, self.length)
        return pd.Categorical.from_codes(codes, categories=of_star.categories)

    def _beside_times(self, name: str, dtype: type = np.float64) -> np.ndarray:
        """The lists of a column one after the other; ValueError where they are not as long."""
        column = self.table[name]
        has_points = self.length > 0
        if column.ndim == 2 and (self.length[has_points] == column.shape[1]).all():
            # NaN beside a time is a point without a value
            return column[has_points].reshape(-1).astype(dtype)
        flat, length = _flatten(self.table, name, dtype)
        if np.any(length != self.length):
            row = int(np.argmax(length != self.length))
            raise ValueError(
                f"{self.table.origin}: row {row} (id {self.ids[row]}): {self.length[row]} values "
                f"in {self.names.time}, but {length[row]} in {name}"
            )
        return flat


def _flatten(table: Columns, name: str, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """The lists of a column one after the other (N,), and their lengths (n,)."""
    column = table[name]
    if column.ndim == 2:
        there = np.ones(len(column), bool)
        if column.dtype.kind == "f":
            there = ~np.isnan(column).all(1)
        flat = column[there].reshape(-1).astype(dtype)
        return flat, np.where(there, column.shape[1], 0)
    lists = [_plain_list(value) for value in column]
    length = np.fromiter(map(len, lists), np.int64, len(lists))
    # without any list there would be nothing to concatenate
    empty = np.empty(0, np.float32 if dtype is np.float64 else dtype)
    try:
        return np.concatenate([empty, *lists]).astype(dtype), length
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{table.origin}: column {name} must hold lists of numbers ({error})"
        ) from error


def _plain_list(value):
    """A list as it is, masked entries as NaN; a missing list is empty."""
    if isinstance(value, np.ma.MaskedArray):
        return plain_numbers(value)
    return value if isinstance(value, (np.ndarray, list, tuple)) else ()
