"""What a dust map says of E(B-V), with its error: evidence of `predict --dust`.

A map in three dimensions is asked at the star's distance. One of the whole line of sight holds also
the dust behind the star: of it, the star has the share that lies in front of it in a disc of dust.
The disc's heights and the errors were chosen on mock stars, whose dust is lumpy, and are the same
for the sky.
"""

import warnings
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from multistar.inference.dust_maps import (
    NEAREST,
    OPTIONS,
    Reddening,
    open_map,
    positions,
)
from multistar.inference.given import Given
from multistar.inference.predict import predict
from multistar.modalities.scalars.read import Scalar
from multistar.model.checkpoint import Model
from multistar.stars import Stars

# E(B-V) [mag] over what a map gives: of SFD Schlafly & Finkbeiner (2011), of Bayestar its authors'
# web page (from memory).
SCALE = {"sfd": 0.86, "bayestar": 0.884}
SCALE_HEIGHT, SCALE_LENGTH = 0.1, 8.0  # kpc, of the dust along a line of sight
MAP_ERROR = 0.16  # of E(B-V) (Schlegel, Finkbeiner & Davis 1998)
LEAST_ERROR = 0.01  # mag
LUMPINESS = 0.45  # error of the share f in front of a star, over sqrt(f (1 - f))
FARTHEST = 30.0  # kpc


def share_in_front(distance: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Share of the dust of a line of sight that lies before a distance.

    Parameters
    ----------
    distance : (n,) ndarray
        kpc.
    latitude : (n,) ndarray
        Galactic latitude, rad.

    Returns
    -------
    (n,) ndarray
    """
    opacity = np.abs(np.sin(latitude)) / SCALE_HEIGHT + 1 / SCALE_LENGTH
    return 1 - np.exp(-distance * opacity)


def reddening_in_front(
    stars: Stars, source: Any, distance: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[Scalar, Reddening]:
    """Ask a dust map for the reddening of stars at uncertain distances.

    Parameters
    ----------
    stars : Stars
        With positions, or ids of Gaia.
    source : str or object
        A map as of `dust_maps.reddening`, in mag of E(B-V), or of the units that SCALE knows.
    distance : tuple of (n,) ndarray
        Median, and the ends of the 68 % interval, kpc.

    Returns
    -------
    ebv : Scalar
        E(B-V) and its error, mag; NaN where the map knows nothing.
    read : Reddening
        What was read of the map, of the whole line of sight where it has no distances.

    Raises
    ------
    ValueError, ImportError, FileNotFoundError
        As `dust_maps.reddening`.
    """
    name = source if isinstance(source, str) else type(source).__name__
    query = open_map(source) if isinstance(source, str) else source
    place, origin = positions(stars)
    known = np.isfinite(place.ra.deg)
    at = place[known]

    def ask(far: np.ndarray) -> np.ndarray:
        where = SkyCoord(at, distance=np.clip(far[known], NEAREST, FARTHEST) * u.kpc)
        found = np.asarray(query(where, **OPTIONS.get(name, {})), np.float64)
        return SCALE.get(name, 1.0) * np.where(found >= 0, found, np.nan)

    n = len(stars)
    if not known.any():
        raise ValueError(f"no star has a position ({origin}): a dust map says nothing of them")
    whole = ask(np.full(n, FARTHEST))
    if np.isnan(whole).all():
        raise ValueError(
            f"the map {name} knows none of {known.sum()} positions ({origin}): "
            "is this part of the sky in it?"
        )
    nearest = ask(np.full(n, NEAREST))
    has_distances = not np.allclose(nearest, whole, rtol=1e-3, equal_nan=True)
    if has_distances:
        middle, near, far = (ask(d) for d in distance)
        error = MAP_ERROR * middle
    else:
        latitude = at.galactic.b.rad
        share, nearer, farther = (share_in_front(d[known], latitude) for d in distance)
        middle, near, far = (whole * part for part in (share, nearer, farther))
        error = whole * np.hypot(MAP_ERROR * share, LUMPINESS * np.sqrt(share * (1 - share)))
    error = np.hypot(np.hypot(error, (far - near) / 2), LEAST_ERROR)
    value, sigma, read = np.full((3, n), np.nan)
    value[known], sigma[known], read[known] = middle, error, whole
    holes = int(np.isnan(whole).sum())
    kind = "in three dimensions" if has_distances else "of the whole line of sight"
    result = Reddening(read, f"map {name} {kind}, {origin}", int((~known).sum()), holes)
    return Scalar(value, sigma), result


def with_dust(
    model: Model, stars: Stars, source: Any, given: Given
) -> tuple[Stars, dict[str, float | None]]:
    """Tell stars the E(B-V) of a dust map at the distance that all the rest says.

    Parameters
    ----------
    model : Model
    stars : Stars
    source : str or object
        As for `reddening_in_front`.
    given : mapping
        Labels that are given already, which the distance may need.

    Returns
    -------
    stars : Stars
        With E(B-V) from the map.
    given : dict
        With "ebv", to be predicted with.

    Raises
    ------
    ValueError
        If E(B-V) is given already or is no label of the model, and as `reddening_in_front`.
    """
    if "ebv" in given:
        raise ValueError("E(B-V) is given already; choose either that or a dust map")
    if not {"ebv", "distance"} <= set(model.vocabulary.labels):
        raise ValueError("a dust map needs a model with the labels ebv and distance")
    guess = predict(model, stars, True, labels=["distance"], given=given)
    distance = tuple(guess[f"distance{end}"].to_numpy() for end in ("", "_lower", "_upper"))
    ebv, read = reddening_in_front(stars, source, (distance[0], distance[1], distance[2]))
    if read.no_position or read.holes:
        warnings.warn(
            f"{read.origin}: {read.no_position} of {len(stars)} stars have no position, and of "
            f"{read.holes} the map knows nothing; their dust is predicted without it",
            stacklevel=3,
        )
    scalars = dict(stars.scalars) | {"ebv": ebv}
    return stars.with_blocks(scalars=scalars), {**given, "ebv": None}
