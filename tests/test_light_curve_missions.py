"""Files of Kepler, K2 and TESS, and objects of lightkurve."""

import gzip
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from light_curve_forms import assert_same, mission_file, words

from multistar.mock.light_curves import light_curve_of
from multistar.modalities.light_curve.read import read_light_curves
from multistar.modalities.light_curve.tables import JD_ZERO


class TestMissionFiles:
    @pytest.fixture(autouse=True)
    def needs_lightkurve(self):
        pytest.importorskip("lightkurve")

    @pytest.mark.parametrize(
        "mission, zero", [("Kepler", 0), ("K2", 0), ("TESS", 2457000 - JD_ZERO)]
    )
    def test_pdcsap_flux_by_its_median(self, mission, zero, tmp_path):
        curves = read_light_curves(mission_file(tmp_path / "a.fits", mission=mission))
        assert curves.source_id.tolist() == [11904151]
        assert curves.bands == (mission.lower(),)
        np.testing.assert_allclose(curves.time, zero + 100 + 0.5 * np.arange(5))
        np.testing.assert_allclose(curves.flux, np.array([10, 20, 30, 40, 50]) / 30 - 1, atol=1e-12)
        np.testing.assert_allclose(curves.sigma, np.array([1, 2, 3, 4, 5]) / 30)
        assert words(curves) == ["ok"]

    def test_sap_flux_where_there_is_no_other(self, tmp_path):
        curves = read_light_curves(
            mission_file(tmp_path / "a.fits", PDCSAP_FLUX=None, PDCSAP_FLUX_ERR=None)
        )
        np.testing.assert_allclose(curves.sigma, 1 / 90)

    def test_quality_and_gaps_are_counted(self, tmp_path):
        flagged = [
            0,
            1 << 2,
            1 << 10,
            0,
            0,
        ]  # coarse point; an impulsive outlier, which the default mask lets pass
        path = mission_file(
            tmp_path / "a.fits", flux=[10, 20, 30, np.nan, 50], quality=np.array(flagged)
        )
        curves = read_light_curves(path)
        assert {k: v.tolist() for k, v in curves.dropped.items()} == {
            "quality": [1],
            "not_finite": [1],
        }
        np.testing.assert_allclose(curves.flux, np.array([10, 30, 50]) / 30 - 1, atol=1e-12)
        assert len(read_light_curves(path, quality="none").time) == 4
        assert len(read_light_curves(path, quality="hardest").time) == 2
        assert len(read_light_curves(path, quality=1 << 10).time) == 3

    @pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
    @pytest.mark.parametrize("packed", [False, True])
    def test_cut_files_are_refused_by_name(self, cut, packed, tmp_path):
        path = mission_file(
            tmp_path / "cut.fits", flux=np.random.default_rng(0).uniform(1, 2, 2000)
        )
        if packed:
            with gzip.open(tmp_path / "cut.fits.gz", "wb") as stream:
                stream.write(path.read_bytes())
            path = tmp_path / "cut.fits.gz"
        path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
        with pytest.raises(ValueError, match=f"{path.name}: not readable as.*complete"):
            read_light_curves(path)

    def test_a_file_without_a_light_curve_is_refused(self, tmp_path):
        primary = fits.PrimaryHDU()
        primary.header.update({"TELESCOP": "Hubble", "ORIGIN": "STScI", "CREATOR": "x"})
        fits.HDUList([primary, fits.ImageHDU(np.zeros((3, 3)))]).writeto(tmp_path / "image.fits")
        with pytest.raises(ValueError, match="image.fits: not readable as a light curve"):
            read_light_curves(tmp_path / "image.fits")

    def test_objects_of_lightkurve(self, mock_table):
        import lightkurve

        rows = mock_table[:2].to_pylist()
        curves = [light_curve_of(row, "tess", 5) for row in rows]
        objects = [curve.to_lightkurve() for curve in curves]
        for i, name in enumerate(("TIC 12", "TIC 13")):
            objects[i].meta["LABEL"] = name
        one = read_light_curves(objects[0])
        assert (one.source_id.tolist(), one.bands) == ([12], ("tess",))
        np.testing.assert_allclose(one.time, curves[0].time + 2457000 - JD_ZERO, atol=1e-9)
        np.testing.assert_allclose(one.flux, curves[0].flux - 1, atol=1e-12)
        np.testing.assert_allclose(one.sigma, curves[0].flux_error)
        both = read_light_curves(lightkurve.LightCurveCollection(objects))
        assert both.source_id.tolist() == [12, 13]
        assert_same(both.of(0), one)
        masked = objects[0].copy()
        masked["flux"] = np.ma.masked_less(curves[0].flux, np.sort(curves[0].flux)[3])
        assert read_light_curves(masked).dropped["not_finite"].tolist() == [3]
        with pytest.raises(ValueError, match="TIC 12: its unit says mag, --unit says flux"):
            read_light_curves(
                lightkurve.LightCurve(time=[1, 2], flux=[3, 4] * u.mag, meta={"LABEL": "TIC 12"}),
                unit="flux",
            )

    def test_without_lightkurve_the_extra_is_named(self, tmp_path, monkeypatch):
        path = mission_file(tmp_path / "a.fits")
        monkeypatch.setitem(sys.modules, "lightkurve", None)
        with pytest.raises(ImportError, match=r"pip install 'multistar\[lightcurves\]'"):
            read_light_curves(path)
