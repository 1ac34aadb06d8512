"""Light curves put together: of several sources, by id, and one per star."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from multistar import status
from multistar.modalities.light_curve.curves import (
    LightCurves,
    bounds_of_lengths,
    flag_ids,
    indices_of_points,
)
from multistar.modalities.light_curve.points import PointList, check_bands


def concatenate(parts: Sequence[LightCurves]) -> LightCurves:
    """Put the stars of all parts one after the other; none are joined, and bands are united.

    Parameters
    ----------
    parts : sequence of LightCurves
        At least one.

    Returns
    -------
    LightCurves
        An id that occurs in several parts is flagged `duplicate_id`.

    Raises
    ------
    ValueError
        If there are no parts, or more than 127 bands in all.
    """
    if len(parts) == 1:
        return parts[0]
    if not parts:
        raise ValueError("no light curves to concatenate")
    bands = tuple(dict.fromkeys(name for part in parts for name in part.bands))
    check_bands(bands)
    lengths = np.concatenate([np.diff(part.first) for part in parts])
    source_id = np.concatenate([part.source_id for part in parts])
    flags = np.concatenate([part.flags for part in parts])
    flag_ids(source_id, flags)
    return LightCurves(
        source_id=source_id,
        first=bounds_of_lengths(lengths),
        time=np.concatenate([part.time for part in parts]),
        flux=np.concatenate([part.flux for part in parts]),
        sigma=np.concatenate([part.sigma for part in parts]),
        band=np.concatenate([_recode_bands(part, bands) for part in parts]),
        bands=bands,
        flags=flags,
        dropped=_concatenate_dropped(parts),
    )


def match(curves: LightCurves, source_id: np.ndarray) -> LightCurves:
    """Find one light curve for each id: all curves of the id joined, or an empty one.

    Each curve keeps the median that it was divided by, as quarters and sectors should.

    Parameters
    ----------
    curves : LightCurves
        Any number of curves per id.
    source_id : (m,) int64
        The ids that are looked for, in any order; ids < 0 match nothing.

    Returns
    -------
    LightCurves
        m light curves, in the order of `source_id`.
    """
    source_id = np.asarray(source_id, np.int64)
    unique, place = np.unique(source_id, return_inverse=True)
    found = (curves.source_id >= 0) & np.isin(curves.source_id, unique)
    rows = np.flatnonzero(found)
    target = np.searchsorted(unique, curves.source_id[rows])
    order = np.argsort(target, kind="stable")
    joined = _join_rows(curves, rows[order], target[order], unique)
    if np.array_equal(unique, source_id):
        return joined
    return joined.select(place)


def join(curves: LightCurves) -> LightCurves:
    """Join the curves of each id into one, in the order in which the ids first occur.

    Parameters
    ----------
    curves : LightCurves
        Any number of curves per id.

    Returns
    -------
    LightCurves
        One light curve per id; curves without an id stay apart, at the end.
    """
    known = curves.source_id >= 0
    ids = np.asarray(pd.unique(curves.source_id[known]))
    if len(ids) == np.sum(known):
        return curves
    return concatenate([match(curves, ids), curves.select(~known)])


def _recode_bands(part: LightCurves, bands: tuple[str, ...]) -> np.ndarray:
    """(N,) int8 indices of the part's points into `bands`."""
    codes = [bands.index(name) for name in part.bands]
    return np.array(codes or [0], np.int8)[part.band]


def _concatenate_dropped(parts: Sequence[LightCurves]) -> dict[str, np.ndarray]:
    """Numbers of dropped points of all parts, 0 where a part does not know the reason."""
    dropped = {}
    for reason in dict.fromkeys(reason for part in parts for reason in part.dropped):
        numbers = [part.dropped.get(reason, np.zeros(len(part), np.int64)) for part in parts]
        dropped[reason] = np.concatenate(numbers)
    return dropped


def _join_rows(
    curves: LightCurves, rows: np.ndarray, target: np.ndarray, source_id: np.ndarray
) -> LightCurves:
    """Light curves of the ids (n,), of which `target[i]` gets the points of `rows[i]`."""
    flags = np.zeros(len(source_id), np.uint16)
    kept = np.uint16(~(status.BIT["no_data"] | status.BIT["duplicate_id"]))
    np.bitwise_or.at(flags, target, curves.flags[rows] & kept)
    flag_ids(source_id, flags)
    dropped = {}
    for reason, number in curves.dropped.items():
        total = np.bincount(target, number[rows], len(source_id))
        dropped[reason] = total.astype(np.int64)
    at = indices_of_points(curves.first, rows)
    points = PointList(
        source_id=source_id,
        star=np.repeat(target, np.diff(curves.first)[rows]),
        time=curves.time[at],
        value=curves.flux[at],
        sigma=curves.sigma[at],
        band=curves.band[at],
        bands=curves.bands,
        flags=flags,
        dropped=dropped,
    )
    points.sort()
    return points.as_light_curves()
