"""Tables with one point or one star per row read the same from every form."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from light_curve_forms import FORMS, IDS, as_csv, assert_same, curves_of, points, words

from multistar.mock.light_curves import light_curve_of, with_light_curves
from multistar.mock.variability.missions import MISSIONS
from multistar.modalities.light_curve.points import from_points
from multistar.modalities.light_curve.read import read_light_curves
from multistar.modalities.light_curve.tables import JD_ZERO, MISSION_ZERO


class TestLongTables:
    @pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
    def test_every_form_reads_the_same(self, form, tmp_path):
        assert_same(read_light_curves(form(points(), tmp_path)), curves_of(points()), rtol=1e-12)

    @pytest.mark.parametrize(
        "ids, want",
        [
            (IDS.astype(str).astype(object), IDS.tolist()),
            (["Gaia DR3 17", "17", None], [17, -1]),
            (np.array([1.0, np.nan, 3.0]), [1, -1, 3]),
            (IDS.astype("S20"), IDS.tolist()),
        ],
    )
    def test_ids_as_text(self, ids, want):
        curves = read_light_curves({"source_id": ids, "time": np.arange(3.0), "flux": np.ones(3)})
        assert curves.source_id.tolist() == want

    @pytest.mark.parametrize("ids", [["OGLE-LMC-1", "2"], [1.5, 2.0], [1e19, 2.0]])
    def test_ids_that_are_none(self, ids):
        with pytest.raises(ValueError, match="id"):
            read_light_curves({"source_id": ids, "time": [0.0, 1.0], "flux": [1.0, 1.0]})

    def test_text_in_a_number_column_is_named(self):
        with pytest.raises(ValueError, match="row 1 holds 'bright'"):
            read_light_curves(
                {"source_id": [1, 1], "time": [0.0, 1.0], "flux": np.array([1.0, "bright"], object)}
            )

    def test_points_that_gaia_rejects(self, tmp_path):
        data = points() | {
            "rejected_by_photometry": np.arange(400) % 5 == 0,
            "rejected_by_variability": np.arange(400) == 1,
        }
        path = as_csv(data, tmp_path)
        curves = read_light_curves(path)
        assert curves.dropped["quality"].sum() == 81
        bad = data["rejected_by_photometry"] | data["rejected_by_variability"]
        np.testing.assert_allclose(np.sort(curves.time), np.sort(data["time"][~bad]))
        assert_same(read_light_curves(path, quality="none"), curves_of(points()), rtol=1e-12)

    def test_empty_and_unsorted_tables(self):
        assert len(read_light_curves({k: v[:0] for k, v in points().items()})) == 0
        assert len(read_light_curves(pd.DataFrame(points()).head(0))) == 0

    def test_no_fluxes_at_all(self):
        data = points()
        relative = data | {"flux": curves_of(data | {"time": np.arange(400.0)}).flux}
        with pytest.raises(ValueError, match="say --unit relative"):
            read_light_curves(relative)
        assert np.isin(read_light_curves(relative, unit="relative").flux, relative["flux"]).all()


@pytest.fixture(scope="module")
def survey(mock_table):
    return with_light_curves(mock_table[:4], ["kepler", "tess", "gaia"], seed=5)


class TestWideTables:
    def test_epochs_are_those_of_the_mock(self):
        assert {name: mission.epoch for name, mission in MISSIONS.items()} == MISSION_ZERO

    def test_a_mock_survey(self, survey, tmp_path):
        pq.write_table(survey, tmp_path / "survey.parquet")
        curves = read_light_curves(tmp_path / "survey.parquet")
        assert curves.source_id.tolist() == survey["source_id"].to_pylist()
        assert set(curves.bands) == {"kepler", "tess", "gaia"}
        for i, row in enumerate(survey.to_pylist()):
            for code, mission in enumerate(curves.bands):
                want, got = light_curve_of(row, mission, 5), curves.of(i)
                here = got.band == code
                shift = MISSIONS[mission].epoch - JD_ZERO
                np.testing.assert_allclose(got.time[here], want.time + shift, atol=1e-9)
                np.testing.assert_allclose(got.flux[here], want.flux - 1, atol=2e-7)
                np.testing.assert_allclose(got.sigma[here], want.flux_error, rtol=2e-6)
            assert np.all(np.diff(got.time) >= 0)

    def test_the_same_without_a_file_and_in_shards(self, survey, tmp_path):
        want = read_light_curves(survey)
        assert_same(read_light_curves(survey.to_pandas()), want)
        pq.write_table(survey[:1], tmp_path / "a.parquet")
        pq.write_table(survey[1:], tmp_path / "b.parquet")
        assert_same(read_light_curves(tmp_path), want)

    def test_rows_with_magnitudes_and_one_band(self):
        table = {
            "id": ["12", "13", "14"],
            "band": ["V", "I", "V"],
            "time": [[1.0, 2, 3], [5.0, 4], []],
            "mag": [[10.0, 11, 12], [10.0, 10], []],
            "mag_err": [[0.1, 0.1, 0.1], [0.2, 0.2], []],
        }
        curves = read_light_curves(table)
        assert curves.source_id.tolist() == [12, 13, 14]
        assert np.diff(curves.first).tolist() == [3, 2, 0]
        assert [curves.bands[i] for i in curves.band] == ["V", "V", "V", "I", "I"]
        np.testing.assert_allclose(curves.flux, [10**0.4 - 1, 0, 10**-0.4 - 1, 0, 0])
        assert words(curves) == ["ok", "ok", "no_data"]
        arrow = pa.table(table)
        assert_same(read_light_curves(arrow), curves)

    def test_lists_of_bands_missing_rows_and_nulls(self):
        arrow = pa.table(
            {
                "source_id": [1, 2],
                "time": [[1.0, 2, 3], None],
                "flux": [[2.0, None, 4], None],
                "band": [["g", "g", "r"], None],
            }
        )
        curves = read_light_curves(arrow)
        assert np.diff(curves.first).tolist() == [2, 0]
        assert [curves.bands[i] for i in curves.band] == ["g", "r"]
        assert curves.dropped["not_finite"].tolist() == [1, 0]

    def test_vectors_of_one_length(self, tmp_path):
        time, flux = np.arange(12.0).reshape(3, 4), np.random.default_rng(0).uniform(1, 2, (3, 4))
        Table({"source_id": IDS, "time": time, "flux": flux}).write(tmp_path / "a.fits")
        want = from_points(np.repeat(IDS, 4), time.ravel(), flux.ravel(), unit="flux")
        assert_same(read_light_curves(tmp_path / "a.fits"), want)

    def test_lists_of_different_lengths_are_named(self):
        table = {
            "source_id": [7, 8],
            "time": [[1.0], [1.0, 2.0]],
            "flux": [[1.0], [1.0]],
            "x": [1, 2],
        }
        with pytest.raises(ValueError, match=r"row 1 \(id 8\): 2 values in time, but 1 in flux"):
            read_light_curves(table)

    def test_no_rows(self, survey):
        assert len(read_light_curves(survey[:0])) == 0
