"""Points in any order become relative light curves; what is left out is counted."""

import numpy as np
import pytest
from light_curve_forms import IDS, PARTS, assert_same, curves_of, points, words

from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.joining import match
from multistar.modalities.light_curve.points import from_points


class TestFromPoints:
    def test_it_is_what_a_loop_over_stars_and_bands_gives(self):
        data = points()
        curves = curves_of(data)
        assert curves.source_id.tolist() == list(dict.fromkeys(data["source_id"].tolist()))
        assert curves.first[-1] == len(data["time"])
        for i, star in enumerate(curves.source_id):
            for code, band in enumerate(curves.bands):
                rows = (data["source_id"] == star) & (data["band"] == band)
                order = np.flatnonzero(rows)[np.argsort(data["time"][rows])]
                one = curves.of(i)
                here = one.band == code
                middle = np.median(data["flux"][rows])
                np.testing.assert_array_equal(one.time[here], data["time"][order])
                np.testing.assert_allclose(
                    one.flux[here], data["flux"][order] / middle - 1, atol=1e-12
                )
                np.testing.assert_allclose(one.sigma[here], data["flux_error"][order] / middle)

    def test_time_increases_within_a_star_with_the_bands_mixed(self):
        curves = curves_of(points())
        for i in range(3):
            one = curves.of(i)
            assert np.all(np.diff(one.time) > 0)
            assert np.any(np.diff(one.band) != 0)

    def test_scale_order_and_zero_point_do_not_matter(self):
        data = points()
        p = np.random.default_rng(1).permutation(len(data["time"]))
        other = {k: v[p] for k, v in data.items()}
        assert_same(match(curves_of(other), IDS), match(curves_of(data), IDS))
        scaled = data | {
            "flux": 7 * data["flux"],
            "flux_error": 7 * data["flux_error"],
            "time": data["time"] + 2450000,
        }
        np.testing.assert_allclose(curves_of(scaled).flux, curves_of(data).flux, atol=1e-12)
        np.testing.assert_allclose(
            np.diff(curves_of(scaled).time), np.diff(curves_of(data).time), atol=1e-8
        )

    def test_magnitudes_become_fluxes(self):
        mag, error = np.array([12.0, 12.1, 11.5, 14.0, 12.0]), np.full(5, 1e-4)
        curves = from_points(np.full(5, 3), np.arange(5.0), mag, error, unit="mag")
        np.testing.assert_allclose(curves.flux, 10 ** (-0.4 * (mag - 12.0)) - 1)
        step = 10 ** (-0.4 * (mag - 12.0 + error)) - 10 ** (-0.4 * (mag - 12.0 - error))
        np.testing.assert_allclose(curves.sigma, -step / 2, rtol=1e-6)

    def test_odd_numbers_of_points_agree_in_flux_and_magnitude(self):
        """The median of an odd number of points is the same point in both."""
        data = points(n=600)
        rows = np.concatenate(
            [
                np.flatnonzero((data["source_id"] == i) & (data["band"] == b))[:51]
                for i in IDS
                for b in ("g", "rp")
            ]
        )
        data = {k: v[rows] for k, v in data.items()}
        mag = data | {
            "flux": 20 - 2.5 * np.log10(data["flux"]),
            "flux_error": 2.5 / np.log(10) * data["flux_error"] / data["flux"],
        }
        assert_same(curves_of(mag, "mag"), curves_of(data), rtol=1e-7)

    def test_relative_values_stay(self):
        curves = from_points(
            [1, 1, 1], [0, 1, 2], [-0.5, 0.1, 0.2], [0.1, 0.1, 0.1], unit="relative"
        )
        assert curves.flux.tolist() == [-0.5, 0.1, 0.2]
        assert curves.sigma.tolist() == [0.1, 0.1, 0.1]

    def test_what_is_left_out_is_counted_for_its_star(self):
        data = points()
        whole = match(curves_of(data), IDS)
        data["time"][[3, 4]] = np.nan, np.inf
        data["flux"][[5, 6]] = np.nan, -np.inf
        star = data["source_id"][3:7]
        curves = match(curves_of(data), IDS)
        for i, source_id in enumerate(IDS):
            assert curves.dropped["not_finite"][i] == np.sum(star == source_id)
        lost = np.diff(whole.first) - np.diff(curves.first)
        assert lost.tolist() == curves.dropped["not_finite"].tolist()
        assert words(curves) == ["ok"] * 3

    def test_the_first_of_points_at_one_time_stays_in_each_band(self):
        curves = from_points(
            [1] * 5, [2, 1, 2, 2, 3], [10, 10, 30, 20, 10], band=list("ggghg"), unit="flux"
        )
        assert curves.time.tolist() == [1, 2, 2, 3]
        assert curves.dropped["duplicate_time"].tolist() == [1]
        assert curves.flux.tolist() == [0, 0, 0, 0]  # 30 is gone, 20 is the median of h

    @pytest.mark.parametrize("error", [0.0, -1.0, np.inf, -np.inf])
    def test_impossible_errors_are_unknown_and_flagged(self, error):
        curves = from_points([1, 1, 2], [0, 1, 0], [5, 5, 5], [error, 0.5, np.nan], unit="flux")
        np.testing.assert_allclose(curves.sigma, [np.nan, 0.1, np.nan])
        assert words(curves) == ["bad_value", "ok"]

    @pytest.mark.parametrize("mag", [99.99, -999.0])
    def test_words_for_missing_magnitudes_are_left_out(self, mag):
        curves = from_points([1, 1, 2], [0, 1, 0], [12.0, mag, 12.0], unit="mag")
        assert curves.dropped["impossible"].tolist() == [1, 0]
        assert words(curves) == ["bad_value", "ok"]

    @pytest.mark.parametrize("flux", [[-1.0, -2, -3, -4], [0.0, 0, 0, 0], [-3.0, -1, 2, 3]])
    def test_no_flux_relative_to_a_median_that_is_none(self, flux):
        curves = from_points(
            [1] * 8, [*range(4)] * 2, [*flux, 1, 2, 3, 4], band=list("ggggrrrr"), unit="flux"
        )
        assert curves.dropped["bad_median"].tolist() == [4]
        assert [curves.bands[i] for i in curves.band] == ["r"] * 4
        assert words(curves) == ["bad_value"]

    def test_points_without_id_are_no_star(self):
        curves = from_points([1, -1, -7], [0, 1, 2], [5, 5, 5], unit="flux")
        assert curves.source_id.tolist() == [1, -1]
        assert curves.dropped["no_id"].tolist() == [0, 2]
        assert words(curves) == ["ok", "no_data,bad_id"]

    def test_stars_given_one_by_one_keep_their_place(self):
        curves = from_points(
            [5, -1, 5, 8], [3, 1, 0, 7, 0], [1, 2, 3, 4, 4], unit="flux", first=[0, 2, 3, 3, 5]
        )
        assert curves.source_id.tolist() == [5, -1, 5, 8]
        assert np.diff(curves.first).tolist() == [2, 1, 0, 2]
        assert curves.time.tolist() == [1, 3, 0, 0, 7]
        assert words(curves) == ["duplicate_id", "bad_id", "no_data,duplicate_id", "ok"]

    def test_no_points_at_all(self):
        curves = from_points(np.array([], int), [], [], [], unit="mag")
        assert (len(curves), len(curves.time), curves.first.tolist()) == (0, 0, [0])
        stars = from_points([4, 5], [], [], unit="flux", first=[0, 0, 0])
        assert words(stars) == ["no_data"] * 2

    @pytest.mark.parametrize(
        "change, message",
        [
            ({"unit": "ppm"}, "flux, mag, relative, got 'ppm'"),
            ({"error": [1.0]}, "'error': 1"),
            ({"first": [0, 2]}, "cannot have the bounds"),
            (
                {
                    "band": [f"b{i}" for i in range(200)],
                    "source_id": np.ones(200, int),
                    "time": np.arange(200),
                    "value": np.ones(200),
                },
                "at most 127 bands",
            ),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, change, message):
        given = {
            "source_id": [1, 1, 1],
            "time": [0, 1, 2],
            "value": [1, 1, 1],
            "unit": "flux",
        } | change
        with pytest.raises(ValueError, match=message):
            from_points(**given)

    def test_arrays_that_do_not_fit_are_refused(self):
        good = curves_of(points())
        parts = {name: getattr(good, name) for name in (*PARTS, "band", "bands")}
        with pytest.raises(ValueError, match="every point needs"):
            LightCurves(**parts | {"sigma": good.sigma[1:]})
        with pytest.raises(ValueError, match="3 stars need"):
            LightCurves(**parts | {"first": good.first[:-1]})
