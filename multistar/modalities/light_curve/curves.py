"""LightCurves: the light curves of many stars in flat arrays."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from multistar import status


@dataclass(frozen=True)
class LightCurves:
    """Light curves of n stars with N points in all, one star after the other.

    Parameters
    ----------
    source_id : (n,) int64
        Identifier of each star; -1 = missing.
    first : (n + 1,) int64
        Star i has the points ``first[i]:first[i + 1]``, which may be none.
    time : (N,) float64
        In days from any zero point. It increases within a star, whose bands are mixed.
    flux : (N,) float64
        Relative to the median of the star in its band: flux / median - 1.
    sigma : (N,) float64
        Standard error in the same unit; NaN = unknown.
    band : (N,) int8
        Index into `bands`.
    bands : tuple of str
        Names of the bands, for example ("kepler",) or ("g", "bp", "rp").
    flags : (n,) uint16
        Bits of `status.BIT`.
    dropped : dict of str to (n,) int64
        Number of points of each star that were left out, by reason.

    Raises
    ------
    ValueError
        If the arrays do not fit together.
    """

    source_id: np.ndarray
    first: np.ndarray
    time: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    band: np.ndarray
    bands: tuple[str, ...]
    flags: np.ndarray
    dropped: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        n = len(self.source_id)
        points = len(self.time)
        lengths = {name: len(getattr(self, name)) for name in ("flux", "sigma", "band")}
        if set(lengths.values()) != {points}:
            raise ValueError(
                f"every point needs flux, sigma and band: {points} times, but {lengths}"
            )
        right_lengths = len(self.flags) == n and len(self.first) == n + 1
        if not right_lengths or self.first[0] != 0 or self.first[-1] != points:
            raise ValueError(
                f"{n} stars need {n} flags and {n + 1} bounds from 0 to {points}, "
                f"got {self.first!r:.80}"
            )

    def __len__(self) -> int:
        return len(self.source_id)

    def of(self, i: int) -> "LightCurves":
        """Return star i alone."""
        return self.select([i])

    def select(self, rows) -> "LightCurves":
        """Return the given stars in the given order.

        Parameters
        ----------
        rows : slice, sequence of int or (n,) bool
            Which stars; an index may occur more than once.

        Returns
        -------
        LightCurves
            The chosen stars with their flags and numbers of dropped points.
        """
        rows = np.arange(len(self))[rows]
        points = indices_of_points(self.first, rows)
        length = np.diff(self.first)[rows]
        dropped = {reason: number[rows] for reason, number in self.dropped.items()}
        return LightCurves(
            source_id=self.source_id[rows],
            first=bounds_of_lengths(length),
            time=self.time[points],
            flux=self.flux[points],
            sigma=self.sigma[points],
            band=self.band[points],
            bands=self.bands,
            flags=self.flags[rows],
            dropped=dropped,
        )


def bounds_of_lengths(lengths: np.ndarray) -> np.ndarray:
    """Return (n + 1,) int64 bounds of n stretches of these lengths in one flat array."""
    ends = np.cumsum(lengths)
    return np.concatenate([[0], ends]).astype(np.int64)


def indices_of_points(first: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the indices of all points of the given stars, star by star.

    Parameters
    ----------
    first : (n + 1,) int64
        Bounds of the stars, as of `LightCurves`.
    rows : (m,) int
        The stars.
    """
    length = np.diff(first)[rows]
    shift = first[rows] - bounds_of_lengths(length)[:-1]
    return np.arange(length.sum()) + np.repeat(shift, length)


def flag_ids(source_id: np.ndarray, flags: np.ndarray) -> None:
    """Set the bits `bad_id` and `duplicate_id` in the flags (n,) of stars with these ids (n,)."""
    missing = source_id < 0
    repeated = pd.Series(source_id).duplicated(keep=False).to_numpy()
    flags[missing] |= status.BIT["bad_id"]
    flags[repeated & ~missing] |= status.BIT["duplicate_id"]
