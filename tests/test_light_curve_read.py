"""Folders, lists and text files of light curves; what is none is refused by name; real ones."""

import gzip
import shutil

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from light_curve_forms import (
    IDS,
    as_csv,
    as_csv_gz,
    as_parquet,
    as_table_file,
    assert_same,
    curves_of,
    mission_file,
    points,
    words,
)

from multistar.modalities.light_curve.joining import match
from multistar.modalities.light_curve.read import read_light_curves
from multistar.modalities.light_curve.tables import JD_ZERO


class TestFolders:
    @pytest.fixture(autouse=True)
    def needs_lightkurve(self):
        pytest.importorskip("lightkurve")

    def folder(self, tmp_path):
        for i, factor in enumerate((1, 7)):
            mission_file(
                tmp_path / f"q{i}.fits", flux=factor * np.array([10.0, 20, 30]), start=200 - 100 * i
            )
        (tmp_path / "sub").mkdir()
        mission_file(tmp_path / "sub" / "k2.fits", star=201, mission="K2")
        mission_file(tmp_path / "sub" / "tess.fits", mission="TESS")
        (tmp_path / "_not_found.csv").write_text("id,reason\n")
        (tmp_path / "readme.md").write_text("no light curve")
        return tmp_path

    def test_quarters_are_joined_each_by_its_median_and_missions_are_not(self, tmp_path):
        curves = read_light_curves(self.folder(tmp_path))
        found = [
            (i, curves.bands[curves.of(k).band[0]], len(curves.of(k).time))
            for k, i in enumerate(curves.source_id)
        ]
        assert found == [(11904151, "kepler", 6), (201, "k2", 5), (11904151, "tess", 5)]
        np.testing.assert_allclose(curves.of(0).flux, [-0.5, 0, 0.5] * 2, atol=1e-12)
        np.testing.assert_allclose(curves.of(0).time, [100, 100.5, 101, 200, 200.5, 201])
        assert words(curves) == ["duplicate_id", "ok", "duplicate_id"]

    def test_gzipped_and_given_as_a_list(self, tmp_path):
        whole = read_light_curves(self.folder(tmp_path))
        paths = sorted(tmp_path.rglob("*.fits"))
        assert_same(read_light_curves(paths), whole)
        with open(paths[0], "rb") as plain, gzip.open(tmp_path / "q0.fits.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        paths[0].unlink()
        assert_same(read_light_curves(tmp_path), whole)

    def test_a_folder_takes_tables_and_text_along(self, tmp_path):
        self.folder(tmp_path)
        as_csv(points(), tmp_path)
        (tmp_path / "42_curve.txt").write_text("# time flux error\n0 2 0.2\n1 4 0.2\n2 6 0.2\n")
        with pytest.raises(ValueError, match="42_curve.txt.*--unit flux or mag"):
            read_light_curves(tmp_path)
        curves = read_light_curves(tmp_path, unit="flux")
        assert sorted(curves.source_id) == sorted([11904151, 11904151, 201, 42, *IDS])
        text = match(curves, [42])
        assert text.flux.tolist() == [-0.5, 0, 0.5]
        np.testing.assert_allclose(text.sigma, 0.05)


class TestFaults:
    @pytest.mark.parametrize(
        "form", [as_csv_gz, as_table_file("fits"), as_parquet], ids=lambda f: f.__name__
    )
    def test_cut_tables_are_refused_by_name(self, form, tmp_path):
        path = form(points(), tmp_path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(ValueError, match=f"{path.name}: not readable as"):
            read_light_curves(path)

    @pytest.mark.parametrize(
        "text, message",
        [
            ("time flux\n1 2\n", "expected columns of numbers"),
            ("1 2 3 4\n", "expected 2 or 3 columns"),
            ("", "expected columns of numbers"),
            ("1\n2\n", ".*found 1"),
        ],
    )
    def test_text_that_is_no_light_curve(self, text, message, tmp_path):
        (tmp_path / "5.txt").write_text(text)
        with pytest.raises(ValueError, match=f"5.txt: {message}"):
            read_light_curves(tmp_path / "5.txt", unit="flux")

    def test_text_without_a_number_in_its_name_has_no_id(self, tmp_path):
        (tmp_path / "curve.dat").write_text("1 2\n2 3\n3 nan\n")
        curves = read_light_curves(tmp_path / "curve.dat", unit="flux")
        assert (curves.source_id.tolist(), words(curves)) == ([-1], ["bad_id"])
        assert curves.dropped["not_finite"].tolist() == [1]
        assert np.isnan(curves.sigma).all()

    def test_what_is_no_source(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_light_curves(tmp_path / "absent.fits")
        with pytest.raises(ValueError, match="no light curves in this folder"):
            read_light_curves(tmp_path)
        with pytest.raises(ValueError, match="empty list"):
            read_light_curves([])
        with pytest.raises(TypeError, match="expected a path"):
            read_light_curves(42)

    def test_light_curves_pass_through(self):
        curves = curves_of(points())
        assert read_light_curves(curves) is curves


@pytest.mark.realdata
class TestRealData:
    def test_gaia_epoch_photometry(self, real_data):
        path = real_data / "lightcurves" / "gaia_dr3_epoch_photometry.parquet"
        curves, frame = read_light_curves(path), pd.read_parquet(path)
        assert len(curves) == 2011
        assert sum(n.sum() for n in curves.dropped.values()) + len(curves.time) == len(frame)
        for star, rows in list(frame.groupby("source_id"))[::100]:
            rows = rows.sort_values("time")
            one = match(curves, [star])
            mag = rows["mag"].to_numpy(float)
            np.testing.assert_allclose(
                one.flux, 10 ** (-0.4 * (mag - np.median(mag))) - 1, atol=1e-9
            )
            np.testing.assert_allclose(one.time, rows["time"])
        assert set(words(curves)) == {"ok"}

    def test_asas(self, real_data):
        """689 of its stars have every point twice."""
        path = real_data / "lightcurves" / "asas_debosscher.parquet"
        curves, frame = read_light_curves(path), pd.read_parquet(path)
        assert curves.source_id.tolist() == frame["id"].astype(int).tolist()
        assert curves.bands == ("V",)
        length = frame["time"].map(lambda t: len(np.unique(t))).to_numpy()
        assert np.diff(curves.first).tolist() == length.tolist()
        assert np.sum(curves.dropped["duplicate_time"] > 0) == 689
        for i in range(0, 3600, 300):
            time, at = np.unique(frame["time"].iloc[i], return_index=True)
            mag = frame["mag"].iloc[i].astype(float)[at]
            np.testing.assert_allclose(curves.of(i).time, time)
            np.testing.assert_allclose(
                curves.of(i).flux, 10 ** (-0.4 * (mag - np.median(mag))) - 1, atol=1e-9
            )

    def test_kepler_k2_tess(self, real_data):
        lightkurve = pytest.importorskip("lightkurve")
        folder = real_data / "lightcurves" / "kepler_tess"
        curves = read_light_curves(folder, unit="flux")
        want = {
            1430163: "kepler",
            6541920: "kepler",
            9579641: "kepler",
            10002792: "kepler",
            211436265: "k2",
            211495446: "k2",
            29666185: "tess",
            11618103: "unknown",
        }
        got = {int(i): curves.bands[curves.of(k).band[0]] for k, i in enumerate(curves.source_id)}
        assert got == want
        assert set(words(curves)) == {"ok"}
        for path in sorted(folder.glob("*.fits*")):
            theirs = lightkurve.read(str(path)).remove_nans().normalize()
            ours = match(curves, [int(theirs.targetid)])
            here = np.searchsorted(ours.time, theirs.time.jd - JD_ZERO - 1e-6)
            np.testing.assert_allclose(ours.time[here], theirs.time.jd - JD_ZERO, atol=1e-6)
            np.testing.assert_allclose(
                ours.flux[here], np.asarray(theirs.flux.value) - 1, atol=1e-6
            )
            np.testing.assert_allclose(
                ours.sigma[here], np.asarray(theirs.flux_err.value), rtol=1e-5
            )
            rows = fits.getdata(path, 1)
            seen = np.isfinite(rows["TIME"])
            if "006541920" not in path.name:  # its two quarters are joined
                lost = sum(n[0] for n in ours.dropped.values())
                assert lost + len(ours.time) == seen.sum()
        text = match(curves, [11618103])
        time, flux = np.loadtxt(folder / "11618103_LC.txt").T
        np.testing.assert_array_equal(text.time, time)
        np.testing.assert_allclose(text.flux, flux / np.median(flux) - 1, atol=1e-12)
