"""What a dust map says of E(B-V), with its error: evidence of `predict --dust`.

A map in three dimensions is asked at distances of the star's posterior. One of the whole line of
sight holds also the dust behind the star: of it, the star has the share that lies in front of it in
a disc of dust.
The disc's heights and the errors were chosen on mock stars, whose dust is lumpy, and are the same
for the sky.
"""

import warnings
from typing import Any

import numpy as np
import torch

from multistar.inference.dust_maps import (
    NEAREST,
    Reddening,
    name_map,
    open_map,
    positions,
    query_map,
)
from multistar.inference.given import Given, complete_errors, decode_marginals
from multistar.inference.stream import Encoded, map_batches
from multistar.modalities.scalars.read import Scalar
from multistar.model.checkpoint import Model
from multistar.stars import Stars

# E(B-V) [mag] over what a map gives: of SFD Schlafly & Finkbeiner (2011), of Bayestar its authors'
# web page (from memory).
SCALE = {"sfd": 0.86, "bayestar": 0.884}
SCALE_HEIGHT, SCALE_LENGTH = 0.09, 8.0  # kpc, of the dust along a line of sight
CAVITY = 0.1  # kpc around the Sun without dust
MAP_ERROR = 0.16  # of E(B-V) (Schlegel, Finkbeiner & Davis 1998)
OWN_ERROR = {"disc": 0.7}  # the same of a map that knows no clouds
LEAST_ERROR = 0.01  # mag
LUMPINESS = 0.45  # error of the share f in front of a star, over sqrt(f (1 - f))
FARTHEST = 30.0  # kpc
# Levels of equal probability at which a distance's posterior is taken.
LEVELS = (torch.arange(16, dtype=torch.float64) + 0.5) / 16


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


def reddening_in_front(stars: Stars, query: Any, distance: np.ndarray) -> tuple[Scalar, Reddening]:
    """Ask a dust map for the reddening of stars at uncertain distances.

    Parameters
    ----------
    stars : Stars
        With positions, or ids of Gaia.
    query : object
        An opened map, in mag of E(B-V) or in the units that SCALE knows.
    distance : (n, k) ndarray
        Equally probable distances of each star, kpc.

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
    is_flat = np.allclose(nearest.ebv, whole.ebv, rtol=1e-3, equal_nan=True)
    if is_flat:
        latitude = positions(stars)[0].galactic.b.rad
        share = share_in_front(distance, latitude[:, None])
        ebv = whole.ebv[:, None] * share
        mean_share = share.mean(1)
        unknown = whole.ebv * LUMPINESS * np.sqrt(mean_share * (1 - mean_share))
    else:
        ebv = np.stack([query_map(stars, query, d).ebv for d in distance.T], 1)
        unknown = 0.0
    middle = ebv.mean(1)
    name = name_map(query)
    error = np.sqrt((OWN_ERROR.get(name, MAP_ERROR) * middle) ** 2 + unknown**2 + ebv.var(1))
    scale = SCALE.get(name, 1.0)
    return Scalar(scale * middle, np.hypot(scale * error, LEAST_ERROR)), whole


def find_distances(model: Model, stars: Stars, given: Given) -> np.ndarray:
    """Find equally probable distances of stars, from all that is known but dust maps.

    Parameters
    ----------
    model : Model
    stars : Stars
    given : mapping
        Labels that are given, with the error of values that have none.

    Returns
    -------
    (n, k) ndarray
        kpc, at LEVELS of the recalibrated posterior.
    """
    if given:
        stars = complete_errors(model, stars, given)
    levels = model.recalibrator(LEVELS)[[model.vocabulary.labels.index("distance")]]
    quantiles = np.empty((len(stars), len(LEVELS)))

    def decode(batch: Encoded) -> None:
        marginal = decode_marginals(model, batch, ("distance",), tuple(given)).mixture
        quantiles[batch.rows] = marginal.quantile(levels).cpu()[:, 0]

    map_batches(model, stars, "distances of", decode, True, tuple(given))
    return model.standardiser.physical("distance", quantiles)


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
    query = open_map(source) if isinstance(source, str) else source
    ebv, read = reddening_in_front(stars, query, find_distances(model, stars, given))
    if read.no_position or read.holes:
        warnings.warn(
            f"{read.origin}: {read.no_position} of {len(stars)} stars have no position, and of "
            f"{read.holes} the map knows nothing; their dust is predicted without it",
            stacklevel=3,
        )
    scalars = dict(stars.scalars) | {"ebv": ebv}
    return stars.with_blocks(scalars=scalars), {**given, "ebv": None}
