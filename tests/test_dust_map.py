"""The mock dust as a dustmaps map agrees with the stars that it reddened."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from multistar.mock.dust_map import MockDustQuery


def coordinates(mock_table, **distance) -> SkyCoord:
    return SkyCoord(
        mock_table["ra"].to_numpy() * u.deg, mock_table["dec"].to_numpy() * u.deg, **distance
    )


def test_stars_have_the_reddening_of_the_map(mock_table):
    where = coordinates(mock_table, distance=mock_table["true_distance"].to_numpy() * u.kpc)
    ratio = np.log(mock_table["true_ebv"].to_numpy() / MockDustQuery()(where))
    assert abs(ratio.mean()) < 0.02
    assert abs(ratio.std() - 0.08) < 0.02  # the unresolved part


def test_without_distance_the_map_goes_to_infinity(mock_table):
    dust = MockDustQuery()
    through = dust(coordinates(mock_table))
    to_star = dust(coordinates(mock_table, distance=mock_table["true_distance"].to_numpy() * u.kpc))
    assert np.all(through > 0.93 * to_star)
    assert np.median(through) > 1.2 * np.median(to_star)


def test_shapes_and_scalars():
    dust = MockDustQuery()
    assert np.shape(dust(SkyCoord(10 * u.deg, 5 * u.deg, frame="galactic"))) == ()
    grid = SkyCoord(np.full((3, 4), 10.0) * u.deg, np.full((3, 4), 5.0) * u.deg, frame="galactic")
    assert dust(grid).shape == (3, 4)


def test_the_plane_is_dusty_and_the_poles_are_clear():
    dust = MockDustQuery()
    plane = dust(SkyCoord(np.linspace(0, 359, 90) * u.deg, np.zeros(90) * u.deg, frame="galactic"))
    pole = dust(SkyCoord([0, 0] * u.deg, [89, -89] * u.deg, frame="galactic"))
    assert np.median(plane) > 0.5
    assert np.max(plane) > 4
    assert np.all(pole < 0.08)
