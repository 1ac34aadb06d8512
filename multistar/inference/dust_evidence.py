"""What a dust map says of E(B-V), with its error: evidence of `predict --dust`.

A map in three dimensions is asked at the star's distance. One of the whole line of sight holds also
the dust behind the star: of it, the star has the share that lies in front of it in a disc of dust.
The disc's heights and the errors were chosen on mock stars, whose dust is lumpy, and are the same
for the sky.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from multistar.inference.dust_maps import (
    NEAREST,
    Reddening,
    name_map,
    open_map,
    positions,
    query_map,
)
from multistar.inference.given import Given
from multistar.inference.predict import predict
from multistar.modalities.scalars.read import Scalar
from multistar.model.checkpoint import Model
from multistar.stars import Stars

# E(B-V) [mag] over what a map gives: of SFD Schlafly & Finkbeiner (2011), of Bayestar its authors'
# web page (from memory).
SCALE = {"sfd": 0.86, "bayestar": 0.884}
SCALE_HEIGHT, SCALE_LENGTH = 0.09, 8.0  # kpc, of the dust along a line of sight
CAVITY = 0.1  # kpc around the Sun without dust
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
    behind_the_cavity = np.maximum(distance - CAVITY, 0.0)
    return 1 - np.exp(-behind_the_cavity * opacity)


def reddening_in_front(
    stars: Stars, query: Any, distance: Sequence[np.ndarray]
) -> tuple[Scalar, Reddening]:
    """Ask a dust map for the reddening of stars at uncertain distances.

    Parameters
    ----------
    stars : Stars
        With positions, or ids of Gaia.
    query : object
        An opened map, in mag of E(B-V) or in the units that SCALE knows.
    distance : sequence of (n,) ndarray
        Median, and the ends of the 68 % interval, kpc.

    Returns
    -------
    ebv : Scalar
        E(B-V) and its error, mag; NaN where the map knows nothing.
    read : Reddening
        What the map says of the whole line of sight, in its own units.

    Raises
    ------
    ValueError
        If no star can have a position.
    """
    whole = query_map(stars, query, np.full(len(stars), FARTHEST))
    nearest = query_map(stars, query, np.full(len(stars), NEAREST))
    if np.allclose(nearest.ebv, whole.ebv, rtol=1e-3, equal_nan=True):
        place, _ = positions(stars)
        shares = [share_in_front(d, place.galactic.b.rad) for d in distance]
        middle, near, far = (whole.ebv * share for share in shares)
        share = shares[0]
        error = whole.ebv * np.hypot(MAP_ERROR * share, LUMPINESS * np.sqrt(share * (1 - share)))
    else:
        middle, near, far = (query_map(stars, query, d).ebv for d in distance)
        error = MAP_ERROR * middle
    error = np.hypot(error, (far - near) / 2)
    scale = SCALE.get(name_map(query), 1.0)
    return Scalar(scale * middle, np.hypot(scale * error, LEAST_ERROR)), whole


def with_dust(
    model: Model, stars: Stars, source: Any, given: Given
) -> tuple[Stars, dict[str, float | None]]:
    """Tell stars the E(B-V) of a dust map at the distance that all the rest says.

    Parameters
    ----------
    model : Model
    stars : Stars
    source : str or object
        A map as of `dust_maps.reddening`.
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
        If E(B-V) is given already or is no label of the model, for an unknown map, and if no star
        can have a position.
    ImportError, FileNotFoundError
        If a map cannot be used; they say why.
    """
    if "ebv" in given:
        raise ValueError("E(B-V) is given already; choose either that or a dust map")
    if not {"ebv", "distance"} <= set(model.vocabulary.labels):
        raise ValueError("a dust map needs a model with the labels ebv and distance")
    guess = predict(model, stars, True, labels=["distance"], given=given)
    distance = [guess[f"distance{end}"].to_numpy() for end in ("", "_lower", "_upper")]
    query = open_map(source) if isinstance(source, str) else source
    ebv, read = reddening_in_front(stars, query, distance)
    if read.no_position or read.holes:
        warnings.warn(
            f"{read.origin}: {read.no_position} of {len(stars)} stars have no position, and of "
            f"{read.holes} the map knows nothing; their dust is predicted without it",
            stacklevel=3,
        )
    scalars = dict(stars.scalars) | {"ebv": ebv}
    return stars.with_blocks(scalars=scalars), {**given, "ebv": None}
