"""Light curves of many stars in flat arrays: made from points, selected, joined, matched to a list of ids."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from multistar import status

UNITS = ("flux", "mag", "relative")
POSSIBLE_MAG = (-30.0, 40.0)  # differential magnitudes too; 99.99 and -999 stand for "missing"
PER_MAG = np.log(10) / 2.5  # relative flux per magnitude
MAX_NEGATIVE = 0.25  # of the fluxes of a star and band; more is noise about zero
MAX_BANDS = 127  # int8


@dataclass(frozen=True)
class LightCurves:
    """Light curves of n stars, one after the other in flat arrays."""

    source_id: np.ndarray  # (n,) int64; -1 = missing
    first: np.ndarray  # (n + 1,) int64; points of star i are first[i]:first[i + 1]; may be empty
    time: (
        np.ndarray
    )  # (N,) float64 d, increasing within a star and band-mixed; the zero point is free
    flux: (
        np.ndarray
    )  # (N,) float64 relative to the median of the star in its band: flux / median - 1
    sigma: np.ndarray  # (N,) float64 same unit; NaN = unknown
    band: np.ndarray  # (N,) int8 index into bands
    bands: tuple[str, ...]  # names, e.g. ("kepler",), ("g", "bp", "rp")
    flags: np.ndarray  # (n,) uint16 bits of status.BIT
    dropped: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # reason -> (n,) number of points left out

    def __post_init__(self):
        n, points = len(self.source_id), len(self.time)
        lengths = {name: len(getattr(self, name)) for name in ("flux", "sigma", "band")}
        if set(lengths.values()) != {points}:
            raise ValueError(
                f"every point needs flux, sigma and band: {points} times, but {lengths}"
            )
        if (
            len(self.flags) != n
            or len(self.first) != n + 1
            or (self.first[0], self.first[-1]) != (0, points)
        ):
            raise ValueError(
                f"{n} stars need {n} flags and {n + 1} bounds from 0 to {points}, got {self.first!r:.80}"
            )

    def __len__(self) -> int:
        return len(self.source_id)

    def of(self, i: int) -> "LightCurves":
        """Star i alone."""
        return self.select([i])

    def select(self, rows) -> "LightCurves":
        """The given stars (slice, indices or boolean mask)."""
        rows = np.arange(len(self))[rows]
        points = _points_of(self.first, rows)
        return LightCurves(
            self.source_id[rows],
            _bounds(np.diff(self.first)[rows]),
            self.time[points],
            self.flux[points],
            self.sigma[points],
            self.band[points],
            self.bands,
            self.flags[rows],
            {reason: number[rows] for reason, number in self.dropped.items()},
        )


@dataclass
class _Points:
    """Points of n stars in any order, on their way into LightCurves."""

    star: np.ndarray  # (N,) 0 ... n - 1
    time: np.ndarray
    value: np.ndarray
    sigma: np.ndarray
    band: np.ndarray
    flags: np.ndarray  # (n,)
    dropped: dict[str, np.ndarray]

    def drop(self, which: np.ndarray, reason: str, flag: str | None = None) -> None:
        """Leave these points (N,) bool out, count them for their star, flag it."""
        if not which.any():
            return
        number = np.bincount(self.star[which], minlength=len(self.flags))
        self.dropped[reason] = self.dropped.get(reason, 0) + number
        if flag:
            self.flags[number > 0] |= status.BIT[flag]
        self.take(~which)

    def take(self, points: np.ndarray) -> None:
        for name in ("star", "time", "value", "sigma", "band"):
            setattr(self, name, getattr(self, name)[points])

    def sort(self) -> None:
        """By star, time, band; of several points of one star, band and time the first stays."""
        star, time, band = (np.diff(x) for x in (self.star, self.time, self.band.astype(np.int16)))
        if not np.all((star > 0) | (star == 0) & ((time > 0) | (time == 0) & (band >= 0))):
            self.take(np.lexsort((self.band, self.time, self.star)))
            star, time, band = (
                np.diff(x) for x in (self.star, self.time, self.band.astype(np.int16))
            )
        again = (star == 0) & (time == 0) & (band == 0)
        self.drop(np.append(False, again)[: len(self.time)], "duplicate_time")

    def light_curves(self, source_id: np.ndarray, bands: tuple[str, ...]) -> LightCurves:
        length = np.bincount(self.star, minlength=len(source_id))
        self.flags[length == 0] |= status.BIT["no_data"]
        bounds = _bounds(length)
        return LightCurves(
            source_id,
            bounds,
            self.time,
            self.value,
            self.sigma,
            self.band,
            bands,
            self.flags,
            self.dropped,
        )


def from_points(
    source_id,
    time,
    value,
    error=None,
    band: Any = "unknown",
    *,
    unit: str,
    first=None,
    rejected=None,
    dropped=None,
) -> LightCurves:
    """Light curves from points in any order, made relative to the median of each star in each band.

    source_id  (N,) int64, one per point: stars come out in the order in which they first occur, and points without
               an id (< 0) are left out. With `first` (n + 1,) it is (n,), one per star, whose points are
               first[i]:first[i + 1]; every star comes out in its place, also without points or id
    time       (N,) d from any zero point; only differences are ever used
    value      (N,) in `unit`: "flux" (any scale above zero), "mag", or "relative" (flux / median - 1 already)
    error      (N,) standard error in the same unit; None or NaN = unknown
    band       one name, or (N,) names
    rejected   (N,) bool, points that the survey itself rejects
    dropped    reason -> (n,) number of points that the caller has already left out of the stars of `first`

    Left out and counted: "quality" (rejected), "not_finite" (time or value), "impossible" (magnitudes outside
    POSSIBLE_MAG), "duplicate_time" (of one band; the first stays), "bad_median" (flux of a star and band whose median
    is <= 0, or of which more than a quarter is negative: relative to it nothing makes sense). Errors <= 0 or infinite
    become NaN. "impossible", "bad_median" and bad errors flag the star `bad_value`; a star without points is `no_data`.
    Raises ValueError for an unknown unit, lengths that differ, or more than 127 bands.
    """
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}")
    time, value = (np.asarray(x, np.float64) for x in (time, value))
    sigma = np.full(len(time), np.nan) if error is None else np.asarray(error, np.float64)
    code, bands = _band_codes(band, len(time))
    ids, star = _stars(
        np.asarray(source_id, np.int64), None if first is None else np.asarray(first), len(time)
    )
    lengths = {
        "time": len(time),
        "value": len(value),
        "error": len(sigma),
        "band": len(code),
        "source_id": len(star),
    }
    if len(set(lengths.values())) > 1:
        raise ValueError(f"a light curve needs arrays of one length, got {lengths}")
    points = _Points(
        star, time, value, sigma, code, np.zeros(len(ids), np.uint16), dict(dropped or {})
    )
    if rejected is not None:
        points.drop(np.asarray(rejected, bool), "quality")
    if first is None:
        points.drop(ids[points.star] < 0, "no_id")
    _flag_ids(ids, points.flags)
    points.drop(~(np.isfinite(points.time) & np.isfinite(points.value)), "not_finite")
    if unit == "mag":
        low, high = POSSIBLE_MAG
        points.drop(~((points.value > low) & (points.value < high)), "impossible", "bad_value")
    points.sort()
    _ignore_bad_errors(points)
    _make_relative(points, unit, len(bands))
    return points.light_curves(ids, bands)


def concatenate(parts: Sequence[LightCurves]) -> LightCurves:
    """The stars of all parts one after the other, none joined; bands are united."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        raise ValueError("no light curves to concatenate")
    bands = tuple(dict.fromkeys(name for p in parts for name in p.bands))
    _check_bands(bands)
    new = [np.array([bands.index(name) for name in p.bands] or [0], np.int8) for p in parts]
    ids, time, flux, sigma, flags = (
        np.concatenate([getattr(p, name) for p in parts])
        for name in ("source_id", "time", "flux", "sigma", "flags")
    )
    dropped = {
        reason: np.concatenate([p.dropped.get(reason, np.zeros(len(p), np.int64)) for p in parts])
        for reason in dict.fromkeys(reason for p in parts for reason in p.dropped)
    }
    _flag_ids(ids, flags)
    band = np.concatenate([codes[p.band] for codes, p in zip(new, parts, strict=True)])
    first = _bounds(np.concatenate([np.diff(p.first) for p in parts]))
    return LightCurves(ids, first, time, flux, sigma, band, bands, flags, dropped)


def match(curves: LightCurves, source_id: np.ndarray) -> LightCurves:
    """One light curve per given id (m,), in that order: all curves of the id joined, or an empty one.

    Each curve keeps the median that it was divided by, as quarters and sectors should. Ids < 0 match nothing.
    """
    source_id = np.asarray(source_id, np.int64)
    unique, place = np.unique(source_id, return_inverse=True)
    target = np.searchsorted(unique, curves.source_id)
    found = (curves.source_id >= 0) & np.isin(curves.source_id, unique)
    rows = np.flatnonzero(found)
    rows = rows[np.argsort(target[rows], kind="stable")]
    target = target[rows]
    flags = np.zeros(len(unique), np.uint16)
    kept = np.uint16(~(status.BIT["no_data"] | status.BIT["duplicate_id"]))
    np.bitwise_or.at(flags, target, curves.flags[rows] & kept)
    _flag_ids(unique, flags)
    dropped = {
        reason: np.bincount(target, number[rows], len(unique)).astype(np.int64)
        for reason, number in curves.dropped.items()
    }
    at = _points_of(curves.first, rows)
    star = np.repeat(target, np.diff(curves.first)[rows])
    points = _Points(
        star, curves.time[at], curves.flux[at], curves.sigma[at], curves.band[at], flags, dropped
    )
    points.sort()
    joined = points.light_curves(unique, curves.bands)
    return joined if np.array_equal(unique, source_id) else joined.select(place)


def join(curves: LightCurves) -> LightCurves:
    """One light curve per id, in the order in which they first occur; curves without an id stay apart, at the end."""
    known = curves.source_id >= 0
    if len(np.unique(curves.source_id[known])) == np.sum(known):
        return curves
    ids = np.asarray(pd.unique(curves.source_id[known]))
    return concatenate([match(curves, ids), curves.select(~known)])


def _stars(
    source_id: np.ndarray, first: np.ndarray | None, n_points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the stars (n,) and the star of each point (N,)."""
    if first is None:
        star, ids = pd.factorize(np.maximum(source_id, -1))
        return np.asarray(ids), star
    if (
        len(first) != len(source_id) + 1
        or first[0] != 0
        or first[-1] != n_points
        or np.any(np.diff(first) < 0)
    ):
        raise ValueError(
            f"{len(source_id)} stars of {n_points} points cannot have the bounds {first!r:.80}"
        )
    return np.maximum(source_id, -1), np.repeat(np.arange(len(source_id)), np.diff(first))


def _band_codes(band, n_points: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) int8 and the names, in alphabetical order; a missing name is "unknown"."""
    if isinstance(band, str):
        return np.zeros(n_points, np.int8), (band,)
    names = pd.Categorical(band)
    words = [(x.decode() if isinstance(x, bytes) else str(x)).strip() for x in names.categories]
    known, merged = np.unique(
        [*words, "unknown"], return_inverse=True
    )  # code -1, a missing name, is the last of them
    if not np.any(names.codes < 0) and "unknown" not in words:
        known, merged = np.unique(words, return_inverse=True)
    _check_bands(known)
    return merged.astype(np.int8)[names.codes], tuple(str(name) for name in known)


def _check_bands(bands: Sequence[str] | np.ndarray) -> None:
    if len(bands) > MAX_BANDS:
        raise ValueError(
            f"at most {MAX_BANDS} bands can be told apart, found {len(bands)}: {list(bands)[:5]} ..."
        )


def _flag_ids(source_id: np.ndarray, flags: np.ndarray) -> None:
    missing = source_id < 0
    flags[missing] |= status.BIT["bad_id"]
    flags[pd.Series(source_id).duplicated(keep=False).to_numpy() & ~missing] |= status.BIT[
        "duplicate_id"
    ]


def _ignore_bad_errors(points: _Points) -> None:
    bad = ~np.isnan(points.sigma) & ~((points.sigma > 0) & np.isfinite(points.sigma))
    points.flags[points.star[bad]] |= status.BIT["bad_value"]
    points.sigma = np.where(bad, np.nan, points.sigma)


def _make_relative(points: _Points, unit: str, n_bands: int) -> None:
    """value and sigma -> flux / median - 1, with the median of the star in the band of the point."""
    if unit == "relative":
        return
    group = points.star * n_bands + points.band
    median = pd.Series(points.value).groupby(group).transform("median").to_numpy()
    if unit == "mag":
        flux = 10 ** (-0.4 * (points.value - median))
        points.value, points.sigma = flux - 1, PER_MAG * points.sigma * flux
        return
    negative = (
        np.bincount(group, points.value < 0)[group] > MAX_NEGATIVE * np.bincount(group)[group]
    )
    scale = np.where(median > 0, median, 1)
    points.value, points.sigma = points.value / scale - 1, points.sigma / scale
    points.drop(~(median > 0) | negative, "bad_median", "bad_value")


def _bounds(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _points_of(first: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Indices of all points of the given stars, star by star."""
    length = np.diff(first)[rows]
    shift = first[rows] - _bounds(length)[:-1]
    return np.arange(length.sum()) + np.repeat(shift, length)
