"""The mock dust as dustmaps maps agrees with the stars that it reddened."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from multistar import MultiStar
from multistar.mock.dust import DustDisc, integrate, smooth_density
from multistar.mock.dust_map import DiscQuery, MockDustQuery
from multistar.mock.survey import SurveyConfig, survey_block


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


def test_the_smooth_disc_is_the_mean_of_lumpy_ones():
    rng = np.random.default_rng(4)
    longitude, latitude = rng.uniform(0, 2 * np.pi, 60), rng.uniform(-0.5, 0.5, 60)
    distance = rng.uniform(0.3, 3, 60)
    lumpy = [DustDisc(seed).ebv(longitude, latitude, distance) for seed in range(300)]
    smooth = integrate(smooth_density, longitude, latitude, distance)
    error = np.std(lumpy, axis=0) / np.sqrt(len(lumpy))
    # The lumps are log-normal only nearly: they are sums of few waves of one size.
    assert np.mean(np.mean(lumpy, axis=0) / smooth) == pytest.approx(1, abs=0.05)
    assert np.median(np.abs(np.mean(lumpy, axis=0) - smooth) / error) < 2


def test_what_is_typical_of_a_place_is_less_than_the_mean():
    where = SkyCoord(40 * u.deg, 1 * u.deg, distance=[0.05, 1, 5] * u.kpc, frame="galactic")
    longitude, latitude = np.full(3, np.deg2rad(40)), np.full(3, np.deg2rad(1))
    mean = integrate(smooth_density, longitude, latitude, np.array([0.05, 1, 5]), points=384)
    typical = DiscQuery()(where)
    assert np.all(np.diff(typical / mean) < 0) and typical[0] == pytest.approx(mean[0], rel=0.02)


def test_a_place_mends_the_temperature_of_stars_far_from_the_plane():
    """Such stars have less dust than their distance has elsewhere, which the model does not know."""
    table = survey_block(SurveyConfig(seed=78, selection="high-latitude"), block=0)[:600]
    bands = [f"phot_{band}_mean_mag" for band in ("g", "bp", "rp")]
    known = ["source_id", "l", "b", "parallax", "parallax_error", *bands]
    known += [f"{band}_error" for band in bands]
    mini, truth = MultiStar.from_pretrained("mini"), table["true_teff"].to_numpy()
    wrong = {}
    for dust in (None, "disc"):
        found = mini.predict(table.select(known), dust=dust, origin="mock")
        wrong[dust] = found["teff"].to_numpy() - truth
    assert abs(np.median(wrong["disc"])) < 30 < np.median(wrong[None])
    assert np.median(np.abs(wrong["disc"])) < 0.75 * np.median(np.abs(wrong[None]))
