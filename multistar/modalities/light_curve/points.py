"""Points in any order -> LightCurves; points that cannot be used are left out and counted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from multistar import status
from multistar.modalities.light_curve.curves import LightCurves, bounds_of_lengths, flag_ids

UNITS = ("flux", "mag", "relative")
# Differential magnitudes are possible too; 99.99 and -999 stand for "missing".
POSSIBLE_MAG = (-30.0, 40.0)
PER_MAG = np.log(10) / 2.5  # relative flux per magnitude
MAX_NEGATIVE = 0.25  # of the fluxes of a star and band; more is noise about zero
MAX_BANDS = 127  # int8


def from_points(
    source_id, time, value, error=None, band: Any = "unknown", *, unit: str, first=None
) -> LightCurves:
    """Make light curves from points in any order, relative to the median of each star and band.

    Parameters
    ----------
    source_id : (N,) or (n,) int64
        One id per point: the stars come out in the order in which they first occur, and points
        without an id (< 0) are left out. With `first` it is one id per star, and every star comes
        out in its place, also one without points or without an id.
    time : (N,) float
        In days from any zero point; only differences are ever used.
    value : (N,) float
        In `unit`.
    error : (N,) float, optional
        Standard error in the same unit; None or NaN = unknown.
    band : str or (N,) of str
        One name for all points, or one for each.
    unit : str
        "flux" (on any scale above zero), "mag", or "relative" (already flux / median - 1).
    first : (n + 1,) int, optional
        Star i has the points ``first[i]:first[i + 1]``.

    Returns
    -------
    LightCurves
        The points that can be used; the others are counted in `dropped`, see Notes.

    Raises
    ------
    ValueError
        For an unknown unit, lengths that differ, or more than 127 bands.

    Notes
    -----
    These points are left out and counted:

    - "no_id": the point has no id;
    - "not_finite": its time or value is not finite;
    - "impossible": its magnitude lies outside POSSIBLE_MAG;
    - "duplicate_time": another point of the star has the same time and band; the first one stays;
    - "bad_median": the flux of the star in this band has a median <= 0 or is negative in more than
      a quarter of its points, so nothing makes sense relative to it.

    Errors <= 0 or infinite become NaN. "impossible", "bad_median" and bad errors set the flag
    `bad_value` of the star; a star without points has the flag `no_data`.

    Examples
    --------
    >>> curves = from_points([7, 7, 7], [0, 1, 2], [10, 20, 30], unit="flux")
    >>> curves.flux.tolist()
    [-0.5, 0.0, 0.5]
    """
    return gather_points(source_id, time, value, error, band, first).to_light_curves(unit)


@dataclass
class PointList:
    """N points of n stars in any order, on their way into LightCurves.

    Parameters
    ----------
    source_id : (n,) int64
        Identifier of each star; -1 = missing.
    star : (N,) int
        The star of each point, from 0 to n - 1.
    time, value, sigma : (N,) float64
        Time in days; value and its standard error (NaN = unknown) in one unit.
    band : (N,) int8
        Index into `bands`.
    bands : tuple of str
        Names of the bands.
    keep_missing_ids : bool
        Whether stars without an id keep their points.
    flags : (n,) uint16
        Bits of `status.BIT`; starts with none.
    dropped : dict of str to (n,) int64
        Number of points of each star that were left out, by reason.
    """

    source_id: np.ndarray
    star: np.ndarray
    time: np.ndarray
    value: np.ndarray
    sigma: np.ndarray
    band: np.ndarray
    bands: tuple[str, ...]
    keep_missing_ids: bool = True
    flags: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint16))
    dropped: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        if not len(self.flags):
            self.flags = np.zeros(len(self.source_id), np.uint16)

    def drop(self, which: np.ndarray, reason: str, flag: str | None = None) -> None:
        """Leave points out and count them for their star.

        Parameters
        ----------
        which : (N,) bool
            The points to be left out.
        reason : str
            Key of `dropped`.
        flag : str, optional
            Name in `status.BIT` of a flag that their stars get.
        """
        if not which.any():
            return
        number = np.bincount(self.star[which], minlength=len(self.flags))
        self.dropped[reason] = self.dropped.get(reason, 0) + number
        if flag:
            self.flags[number > 0] |= status.BIT[flag]
        self.take(~which)

    def take(self, points: np.ndarray) -> None:
        """Keep these points (indices or mask), in this order."""
        for name in ("star", "time", "value", "sigma", "band"):
            setattr(self, name, getattr(self, name)[points])

    def sort(self) -> None:
        """Sort by star, time and band; of points that agree in all three the first stays."""
        if not self._is_sorted():
            self.take(np.lexsort((self.band, self.time, self.star)))
        star, time, band = self._steps()
        repeats = (star == 0) & (time == 0) & (band == 0)
        self.drop(np.append(False, repeats)[: len(self.time)], "duplicate_time")

    def to_light_curves(self, unit: str) -> LightCurves:
        """Leave out what cannot be used and make the rest relative, as `from_points` says."""
        if unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}")
        if not self.keep_missing_ids:
            self.drop(self.source_id[self.star] < 0, "no_id")
        flag_ids(self.source_id, self.flags)
        finite = np.isfinite(self.time) & np.isfinite(self.value)
        self.drop(~finite, "not_finite")
        if unit == "mag":
            low, high = POSSIBLE_MAG
            possible = (self.value > low) & (self.value < high)
            self.drop(~possible, "impossible", "bad_value")
        self.sort()
        self._ignore_bad_errors()
        if unit == "mag":
            self._make_magnitudes_relative()
        elif unit == "flux":
            self._make_fluxes_relative()
        return self.as_light_curves()

    def as_light_curves(self) -> LightCurves:
        """Return the points, which must be sorted and relative; flag the stars without any."""
        length = np.bincount(self.star, minlength=len(self.source_id))
        self.flags[length == 0] |= status.BIT["no_data"]
        return LightCurves(
            source_id=self.source_id,
            first=bounds_of_lengths(length),
            time=self.time,
            flux=self.value,
            sigma=self.sigma,
            band=self.band,
            bands=self.bands,
            flags=self.flags,
            dropped=self.dropped,
        )

    def _steps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Differences (N - 1,) of star, time and band from point to point."""
        # int16, because the difference of two int8 may overflow
        band = self.band.astype(np.int16)
        return np.diff(self.star), np.diff(self.time), np.diff(band)

    def _is_sorted(self) -> bool:
        star, time, band = self._steps()
        within_star = (time > 0) | ((time == 0) & (band >= 0))
        return bool(np.all((star > 0) | ((star == 0) & within_star)))

    def _ignore_bad_errors(self) -> None:
        """Make errors that are not above zero and finite unknown, and flag their stars."""
        good = (self.sigma > 0) & np.isfinite(self.sigma)
        bad = ~np.isnan(self.sigma) & ~good
        self.flags[self.star[bad]] |= status.BIT["bad_value"]
        self.sigma = np.where(bad, np.nan, self.sigma)

    def _medians(self, group: np.ndarray) -> np.ndarray:
        """(N,) median value of all points in the group (N,) of each point."""
        groups = pd.Series(self.value).groupby(group)
        return groups.transform("median").to_numpy()

    def _groups(self) -> np.ndarray:
        """(N,) int: a number for the star and band of each point."""
        return self.star * len(self.bands) + self.band

    def _make_magnitudes_relative(self) -> None:
        median = self._medians(self._groups())
        flux = 10 ** (-0.4 * (self.value - median))
        self.value = flux - 1
        self.sigma = PER_MAG * self.sigma * flux

    def _make_fluxes_relative(self) -> None:
        group = self._groups()
        median = self._medians(group)
        number = np.bincount(group)[group]
        number_negative = np.bincount(group, self.value < 0)[group]
        scale = np.where(median > 0, median, 1)
        self.value = self.value / scale - 1
        self.sigma = self.sigma / scale
        bad = ~(median > 0) | (number_negative > MAX_NEGATIVE * number)
        self.drop(bad, "bad_median", "bad_value")


def gather_points(source_id, time, value, error=None, band: Any = "unknown", first=None):
    """Put the columns of points into a PointList.

    Parameters
    ----------
    source_id, time, value, error, band, first
        As of `from_points`.

    Returns
    -------
    PointList
        All points as they are given.

    Raises
    ------
    ValueError
        If lengths differ, or for more than 127 bands.
    """
    time = np.asarray(time, np.float64)
    value = np.asarray(value, np.float64)
    sigma = np.full(len(time), np.nan) if error is None else np.asarray(error, np.float64)
    code, bands = _encode_bands(band, len(time))
    source_id = np.asarray(source_id, np.int64)
    if first is None:
        star, ids = pd.factorize(np.maximum(source_id, -1))
        ids = np.asarray(ids)
    else:
        ids = np.maximum(source_id, -1)
        star = _expand_bounds(np.asarray(first), len(ids), len(time))
    columns = {"time": time, "value": value, "error": sigma, "band": code, "source_id": star}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"a light curve needs arrays of one length, got {lengths}")
    return PointList(ids, star, time, value, sigma, code, bands, first is not None)


def check_bands(bands: Sequence[str] | np.ndarray) -> None:
    """Raise ValueError if there are more bands than an int8 can tell apart."""
    if len(bands) > MAX_BANDS:
        raise ValueError(
            f"at most {MAX_BANDS} bands can be told apart, "
            f"found {len(bands)}: {list(bands)[:5]} ..."
        )


def _expand_bounds(first: np.ndarray, n_stars: int, n_points: int) -> np.ndarray:
    """(N,) star of each point, from the bounds (n + 1,) of the stars."""
    length = np.diff(first)
    has_ends = len(length) == n_stars and first[0] == 0 and first[-1] == n_points
    if not has_ends or np.any(length < 0):
        raise ValueError(
            f"{n_stars} stars of {n_points} points cannot have the bounds {first!r:.80}"
        )
    return np.repeat(np.arange(n_stars), length)


def _encode_bands(band, n_points: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) int8 and the names, in alphabetical order; a missing name is "unknown"."""
    if isinstance(band, str):
        return np.zeros(n_points, np.int8), (band,)
    names = pd.Categorical(band)
    words = [_band_name(category) for category in names.categories]
    if "unknown" in words or np.any(names.codes < 0):
        # a missing name has the code -1, which is the last of the words
        words.append("unknown")
    known, merged = np.unique(words, return_inverse=True)
    check_bands(known)
    return merged.astype(np.int8)[names.codes], tuple(str(name) for name in known)


def _band_name(category: Any) -> str:
    text = category.decode() if isinstance(category, bytes) else str(category)
    return text.strip()
