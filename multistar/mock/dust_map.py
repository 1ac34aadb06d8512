"""The mock survey's dust as a map, queried like any map of the package dustmaps."""

import warnings
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from multistar.mock.dust import DustDisc

with warnings.catch_warnings():
    # dustmaps asks for a configuration file, which only maps on disk need.
    warnings.simplefilter("ignore")
    from dustmaps.map_base import DustMap, ensure_flat_galactic

TO_INFINITY = 30.0  # kpc; beyond, the disc has no dust
# Of the quadrature: six times those of a star, for a path that is some six times as long.
POINTS = 384


class MockDustQuery(DustMap):
    """E(B-V) [mag] towards a SkyCoord: to its distance, or without one through the whole Galaxy.

    Mock stars have this reddening times a log-normal scatter of 8 % for dust that the map cannot
    resolve.
    """

    def __init__(self):
        super().__init__()
        self._disc = DustDisc()

    @ensure_flat_galactic
    def query(self, coords: SkyCoord) -> np.ndarray:
        """E(B-V) [mag], with the shape of `coords`."""
        galactic: Any = coords
        longitude = galactic.l.rad
        latitude = galactic.b.rad
        distance = np.full(galactic.shape, TO_INFINITY)
        if galactic.distance.unit.is_equivalent(u.kpc):
            distance = galactic.distance.to_value(u.kpc)
            distance = np.minimum(distance, TO_INFINITY)
        return self._disc.ebv(longitude, latitude, distance, points=POINTS)
