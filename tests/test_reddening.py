"""Positions and reddening of stars, on maps and positions that are known."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from multistar.inference.dust_maps import open_map, positions, reddening
from multistar.mock.dust_map import MockDustQuery
from multistar.stars import read_stars


def gaia_like(n: int = 50) -> tuple[SkyCoord, np.ndarray]:
    """Random positions, and Gaia source_ids of stars there."""
    from astropy_healpix import HEALPix

    rng = np.random.default_rng(4)
    longitude = rng.uniform(0, 360, n)
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    where = SkyCoord(longitude * u.deg, latitude * u.deg)
    pixel = HEALPix(4096, order="nested").lonlat_to_healpix(where.ra, where.dec)
    return where, pixel.astype(np.int64) * 2**35 + 12345


def test_positions_from_ids_and_coordinates():
    where, ids = gaia_like()
    g = np.full(50, 12.0)
    found, origin = positions(read_stars({"source_id": ids, "phot_g_mean_mag": g}))
    assert "source_id" in origin
    assert found.separation(where).arcsec.max() < 60
    ids[0] = 17
    found, _ = positions(read_stars({"source_id": ids, "phot_g_mean_mag": g}))
    assert np.isnan(found.ra.deg[0])
    table = {
        "source_id": np.arange(50),
        "phot_g_mean_mag": g,
        "l": where.galactic.l.deg,
        "b": where.galactic.b.deg,
    }
    found, _ = positions(read_stars(table))
    assert found.separation(where).arcsec.max() < 1e-3
    table["l"][0], table["l"][1], table["b"][2] = 999.0, -200.0, 95.0
    found, _ = positions(read_stars(table))
    assert np.isnan(found.ra.deg).nonzero()[0].tolist() == [0, 2]
    with pytest.raises(ValueError, match="neither ra, dec nor l, b"):
        positions(read_stars({"source_id": np.arange(50), "phot_g_mean_mag": g}))


def test_reddening_of_maps_and_their_holes(mock_table):
    where, ids = gaia_like()
    stars = read_stars({"source_id": ids, "phot_g_mean_mag": np.full(50, 12.0)})

    class Holes:
        def __call__(self, at):
            return np.where(at.galactic.b.deg > 0, 0.1, np.nan)

    found = reddening(stars, Holes())
    assert found.holes == np.sum(where.galactic.b.deg < 0) == np.isnan(found.ebv).sum()
    assert "Holes" in found.origin
    with pytest.raises(ValueError, match="knows none of 50 positions"):
        reddening(stars, lambda at: np.full(len(at), np.nan))
    mock = read_stars(mock_table)
    distance = mock.extra["true_distance"]
    map_only = reddening(mock, "mock", distance)
    scatter = np.log(map_only.ebv / mock.extra["true_ebv"]).std()
    np.testing.assert_allclose(scatter, 0.08, atol=0.02)
    assert map_only.holes == 0
    assert reddening(mock).origin == "column true_ebv"
    by_object = reddening(mock, MockDustQuery(), distance)
    np.testing.assert_array_equal(by_object.ebv, map_only.ebv)


def test_bh_works_without_files():
    places = {"l": [0.0, 30.0], "b": [90.0, 5.0]}
    stars = read_stars({"source_id": [1, 2], "phot_g_mean_mag": [9.0, 9.0]} | places)
    found = reddening(stars, "bh")
    assert 0 <= found.ebv[0] < 0.05
    # nothing at |b| < 10 degrees
    assert np.isnan(found.ebv[1])
    assert found.holes == 1


def test_why_a_map_cannot_be_used():
    with pytest.raises(FileNotFoundError, match="the map sfd cannot be opened: .*data_dir"):
        open_map("sfd")
    with pytest.raises(ValueError, match="unknown map 'sdf'; known are"):
        open_map("sdf")
    with pytest.raises(ValueError, match="dustmaps.bh has no map 'Query'"):
        open_map("dustmaps.bh:Query")
    with pytest.raises(ImportError, match="needs nodust: pip install"):
        open_map("nodust:Query")
