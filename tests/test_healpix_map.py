"""E(B-V) of a HEALPix file: each position gets its own pixel."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix

from multistar.inference.dust_maps import open_map, reddening
from multistar.stars import read_stars

NSIDE = 16
PIXELS = 12 * NSIDE**2


def write_map(path, values, frame="G", ordering="NESTED", name="EBV", width=1):
    columns = [fits.Column(name, f"{width}E", array=values.reshape(-1, width))]
    columns.append(fits.Column("SIGMA", f"{width}E", array=values.reshape(-1, width)))
    table = fits.BinTableHDU.from_columns(columns)
    table.header.update(PIXTYPE="HEALPIX", NSIDE=NSIDE, ORDERING=ordering, COORDSYS=frame)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return str(path)


@pytest.mark.parametrize("ordering", ["NESTED", "RING"])
@pytest.mark.parametrize("frame", ["G", "C"])
@pytest.mark.parametrize("width", [1, 64])
def test_each_position_gets_its_pixel(tmp_path, ordering, frame, width):
    values = np.arange(PIXELS, dtype=np.float32) / PIXELS
    query = open_map(write_map(tmp_path / "map.fits", values, frame, ordering, width=width))
    pixels = HEALPix(NSIDE, order=ordering.lower())
    longitude, latitude = pixels.healpix_to_lonlat(np.arange(PIXELS))
    centres = SkyCoord(longitude, latitude, frame="galactic" if frame == "G" else "icrs")
    np.testing.assert_allclose(query(centres.icrs), values, rtol=1e-6)


def test_pixels_without_a_value_are_holes(tmp_path):
    values = np.full(PIXELS, 0.3, np.float32)
    values[: PIXELS // 2] = -1.6375e30
    path = write_map(tmp_path / "map.fits", values, ordering="RING")  # the north is unseen
    table = {
        "source_id": [1, 2],
        "l": [10.0, 10.0],
        "b": [60.0, -60.0],
        "phot_g_mean_mag": [15, 15],
    }
    found = reddening(read_stars(table), path)
    np.testing.assert_allclose(found.ebv, [np.nan, 0.3], rtol=1e-6)
    assert found.holes == 1


def test_what_is_no_map_is_said(tmp_path):
    values = np.zeros(PIXELS, np.float32)
    path = write_map(tmp_path / "tau.fits", values, name="TAU353")
    with pytest.raises(ValueError, match=r"which of the columns \['tau353', 'sigma'\] is E\(B-V\)"):
        open_map(path)
    with pytest.raises(ValueError, match="COORDSYS is 'E', expected G or C"):
        open_map(write_map(tmp_path / "frame.fits", values, frame="E"))
    with pytest.raises(ValueError, match="expected a map of the whole sky"):
        open_map(write_map(tmp_path / "part.fits", values[:100]))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_map(str(tmp_path / "nowhere.fits"))
    (tmp_path / "text.fits").write_text("no FITS")
    with pytest.raises(ValueError, match="not a FITS file"):
        open_map(str(tmp_path / "text.fits"))
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(ValueError, match="no table with PIXTYPE"):
        open_map(str(tmp_path / "empty.fits"))
