"""Light curves read the same from every form, each relative to its own median, and what is left out is counted."""

import csv
import gzip
import os
import shutil
import sys

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from multistar import status
from multistar.cli.app import main
from multistar.download.light_curves import JOURNAL, NOT_FOUND, download_light_curves
from multistar.mock.light_curves import light_curve_of, with_light_curves
from multistar.mock.variability.missions import MISSIONS
from multistar.modalities.light_curve.points import (
    LightCurves,
    concatenate,
    from_points,
    join,
    match,
)
from multistar.modalities.light_curve.read import read_light_curves
from multistar.modalities.light_curve.tables import JD_ZERO, MISSION_ZERO

IDS = np.array([6917528997577384320, 17, 4295806720], np.int64)
PARTS = ("source_id", "first", "time", "flux", "sigma", "flags")


def points(seed: int = 0, n: int = 400) -> dict[str, np.ndarray]:
    """n points of three stars in two bands, in any order."""
    rng = np.random.default_rng(seed)
    flux = 10 ** rng.uniform(2, 4, 3)[(star := rng.integers(3, size=n))] * (
        1 + 0.1 * rng.standard_normal(n)
    )
    return {
        "source_id": IDS[star],
        "time": rng.uniform(100, 200, n),
        "flux": flux,
        "flux_error": flux * rng.uniform(0.01, 0.02, n),
        "band": np.where(rng.random(n) < 0.5, "g", "rp"),
    }


def curves_of(data: dict[str, np.ndarray], unit: str = "flux") -> LightCurves:
    return from_points(
        data["source_id"], data["time"], data["flux"], data["flux_error"], data["band"], unit=unit
    )


def assert_same(one: LightCurves, other: LightCurves, rtol: float = 0) -> None:
    for name in PARTS:
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol, atol=rtol, err_msg=name
        )
    assert [one.bands[i] for i in one.band] == [other.bands[i] for i in other.band]
    for reason in set(one.dropped) | set(other.dropped):
        zero = np.zeros(len(one))
        np.testing.assert_array_equal(
            one.dropped.get(reason, zero), other.dropped.get(reason, zero), err_msg=reason
        )


def words(curves: LightCurves) -> list[str]:
    return status.words(curves.flags).tolist()


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
        rows = np.concatenate([np.flatnonzero((data["source_id"] == i) & (data["band"] == b))[:51]
                               for i in IDS for b in ("g", "rp")])  # fmt: skip
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

    @pytest.mark.parametrize("change, message", [
        ({"unit": "ppm"}, "flux, mag, relative, got 'ppm'"),
        ({"error": [1.0]}, "'error': 1"),
        ({"first": [0, 2]}, "cannot have the bounds"),
        ({"band": [f"b{i}" for i in range(200)], "source_id": np.ones(200, int), "time": np.arange(200),
          "value": np.ones(200)}, "at most 127 bands"),
    ])  # fmt: skip
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


class TestManyStars:
    def stars(self) -> LightCurves:
        """Twelve curves of five ids, one of them missing and one curve empty."""
        rng = np.random.default_rng(4)
        length = rng.integers(0, 9, 12) * (np.arange(12) != 3)
        first = np.concatenate([[0], np.cumsum(length)])
        n = first[-1]
        ids = rng.choice([10, 20, 30, 40, -1], 12)
        return from_points(ids, rng.permutation(n), rng.uniform(1, 2, n), band=rng.choice(["a", "b"], n), unit="flux",
                           first=first)  # fmt: skip

    @pytest.mark.parametrize(
        "rows", [[3], [], [5, 5, 0], slice(2, 9, 3), np.arange(12) % 2 == 0, [-1]]
    )
    def test_select_is_the_single_stars(self, rows):
        curves = self.stars()
        chosen = curves.select(rows)
        which = np.arange(12)[rows]
        assert chosen.source_id.tolist() == curves.source_id[which].tolist()
        for place, i in enumerate(which):
            assert_same(chosen.of(place), curves.of(i))
            np.testing.assert_array_equal(
                chosen.of(place).time, curves.time[curves.first[i] : curves.first[i + 1]]
            )

    def test_parts_put_together_are_the_whole(self):
        curves = self.stars()
        assert_same(
            concatenate(
                [
                    curves.select(slice(0, 5)),
                    curves.select(slice(5, 5)),
                    curves.select(slice(5, 12)),
                ]
            ),
            curves,
        )
        assert concatenate([curves]) is curves
        with pytest.raises(ValueError, match="no light curves"):
            concatenate([])

    def test_bands_and_reasons_are_united(self):
        one = from_points([1, 1], [0, np.nan], [3, 3], band=["g", "rp"], unit="flux")
        two = from_points([1, 2], [0, 1], [3, 4], band=["kepler", "g"], unit="flux")
        both = concatenate([one, two])
        assert set(both.bands) >= {"g", "kepler"}
        assert [both.bands[i] for i in both.band] == ["g", "kepler", "g"]
        assert both.dropped["not_finite"].tolist() == [1, 0, 0]
        assert words(both) == ["duplicate_id", "duplicate_id", "ok"]

    def test_match_is_a_search_for_each_id(self):
        curves = self.stars()
        wanted = np.array([40, 99, 10, -1, 40, 20])
        found = match(curves, wanted)
        assert found.source_id.tolist() == wanted.tolist()
        for i, star in enumerate(wanted):
            rows = np.flatnonzero((curves.source_id == star) & (star >= 0))
            time = np.concatenate([curves.of(r).time for r in rows] or [[]])
            flux = np.concatenate([curves.of(r).flux for r in rows] or [[]])
            np.testing.assert_array_equal(found.of(i).time, np.sort(time))
            np.testing.assert_array_equal(found.of(i).flux, flux[np.argsort(time)])
            empty = "no_data,bad_id" if star < 0 else "no_data"
            assert words(found.of(i)) == ["ok" if len(rows) else empty]

    def test_quarters_keep_their_own_medians_and_repeated_points_go(self):
        one, two = (
            from_points([7] * 3, t, f, unit="flux")
            for t, f in (([0, 1, 2], [1, 2, 3]), ([2, 3, 4], [50, 100, 200]))
        )
        both = match(concatenate([one, two]), [7])
        assert both.time.tolist() == [0, 1, 2, 3, 4]
        assert both.flux.tolist() == [-0.5, 0, 0.5, 0, 1]
        assert both.dropped["duplicate_time"].tolist() == [1]

    def test_join_gives_each_id_once(self):
        curves = self.stars()
        joined = join(curves)
        known = curves.source_id >= 0
        ids = list(dict.fromkeys(curves.source_id[known].tolist()))
        assert joined.source_id.tolist() == ids + [-1] * np.sum(~known)
        assert len(joined.time) == len(curves.time)
        assert_same(match(joined, ids), match(curves, ids))
        assert join(curves.of(0)).source_id.tolist() == [curves.source_id[0]]


def as_csv(data, folder):
    pd.DataFrame(data).to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


def as_csv_gz(data, folder):
    pd.DataFrame(data).to_csv(folder / "a.csv.gz", index=False)
    return folder / "a.csv.gz"


def as_table_file(ending):
    def form(data, folder):
        Table(data).write(folder / f"a.{ending}", format={"vot": "votable"}.get(ending))
        return folder / f"a.{ending}"

    form.__name__ = f"as_{ending}"
    return form


def as_parquet(data, folder):
    pq.write_table(pa.table(data), folder / "a.parquet")
    return folder / "a.parquet"


def as_arrow(data, folder):
    return pa.table(data)


def as_dataframe(data, folder):
    return pd.DataFrame(data)


def as_astropy(data, folder):
    return Table(data)


def as_dict(data, folder):
    return data


FORMS = [as_csv, as_csv_gz, as_table_file("ecsv"), as_table_file("fits"), as_table_file("vot"), as_parquet, as_arrow,
         as_dataframe, as_astropy, as_dict]  # fmt: skip


class TestLongTables:
    @pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
    def test_every_form_reads_the_same(self, form, tmp_path):
        assert_same(read_light_curves(form(points(), tmp_path)), curves_of(points()), rtol=1e-12)

    @pytest.mark.parametrize("value, error", [
        ("flux", "flux_err"), ("flux", "e_flux"), ("flux", "error"), ("flux", "FLUX_ERROR"), ("flux", "sigma"),
        ("PSF_flux", "PSF_flux_err"), ("flux_aper", "flux_aper_error"), ("FLUX", "fluxerr"),
    ])  # fmt: skip
    @pytest.mark.parametrize("kind", ["flux", "mag"])
    def test_names_of_values_and_errors(self, value, error, kind):
        data = points()
        value, error = (
            name.replace("flux", kind).replace("FLUX", kind.upper()) for name in (value, error)
        )
        table = {"source_id": data["source_id"], "time": data["time"], error: data["flux_error"] / 1e3,
                 value: data["flux"] / 1e3, "band": data["band"]}  # fmt: skip
        want = from_points(
            data["source_id"], data["time"], table[value], table[error], data["band"], unit=kind
        )
        assert_same(read_light_curves(table), want)

    @pytest.mark.parametrize("name", ["TIME", "t", "BJD", "mjd", "HJD", "obs_time"])
    def test_names_of_times(self, name):
        data = points()
        table = {name if key == "time" else key: value for key, value in data.items()}
        assert_same(read_light_curves(table), curves_of(data))

    def test_own_names(self):
        data = points()
        table = dict(zip(["KIC", "when", "light", "dlight", "colour"], data.values(), strict=True))
        names = {
            "source_id": "KIC",
            "time": "when",
            "flux": "light",
            "error": "dlight",
            "band": "colour",
        }
        assert_same(read_light_curves(table, columns=names), curves_of(data))
        names["value"] = names.pop("flux")
        assert_same(read_light_curves(table, columns=names, unit="flux"), curves_of(data))
        with pytest.raises(ValueError, match="flux or magnitude"):
            read_light_curves(table, columns=names)
        with pytest.raises(ValueError, match="unknown .'colour'.; known"):
            read_light_curves(table, columns={"colour": "colour"})
        with pytest.raises(ValueError, match="no column .'absent'."):
            read_light_curves(table, columns={"time": "absent"})

    @pytest.mark.parametrize("ids, want", [
        (IDS.astype(str).astype(object), IDS.tolist()), (["Gaia DR3 17", "17", None], [17, -1]),
        (np.array([1.0, np.nan, 3.0]), [1, -1, 3]), (IDS.astype("S20"), IDS.tolist()),
    ])  # fmt: skip
    def test_ids_as_text(self, ids, want):
        curves = read_light_curves({"source_id": ids, "time": np.arange(3.0), "flux": np.ones(3)})
        assert curves.source_id.tolist() == want

    @pytest.mark.parametrize("ids", [["OGLE-LMC-1", "2"], [1.5, 2.0], [1e19, 2.0]])
    def test_ids_that_are_none(self, ids):
        with pytest.raises(ValueError, match="id"):
            read_light_curves({"source_id": ids, "time": [0.0, 1.0], "flux": [1.0, 1.0]})

    @pytest.mark.parametrize("drop, message", [
        ("source_id", "no column source_id"), ("time", "no column time"), ("flux", "no column flux or mag"),
    ])  # fmt: skip
    def test_missing_columns_are_named(self, drop, message):
        with pytest.raises(ValueError, match=message):
            read_light_curves({k: v for k, v in points().items() if k != drop})

    def test_an_ambiguous_column_is_asked_for(self):
        data = points()
        table = {
            "source_id": data["source_id"],
            "time": data["time"],
            "flux_a": data["flux"],
            "flux_b": data["flux"],
        }
        with pytest.raises(ValueError, match="any of .'flux_a', 'flux_b'. could be meant"):
            read_light_curves(table)
        chosen = read_light_curves(table, columns={"flux": "flux_b"})
        np.testing.assert_array_equal(
            chosen.flux, curves_of(data | {"band": np.full(400, "x")}).flux
        )

    def test_of_flux_and_magnitude_the_one_with_errors(self):
        data = points()
        table = data | {"mag": 20 - 2.5 * np.log10(data["flux"])}
        assert_same(read_light_curves(table), curves_of(data))
        table["mag_error"] = table.pop("flux_error")
        want = from_points(
            data["source_id"],
            data["time"],
            table["mag"],
            table["mag_error"],
            data["band"],
            unit="mag",
        )
        assert_same(read_light_curves(table), want)
        assert_same(read_light_curves(table, unit="mag"), want)

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
        with pytest.raises(ValueError, match="say unit='relative'"):
            read_light_curves(relative)
        assert np.isin(read_light_curves(relative, unit="relative").flux, relative["flux"]).all()


class TestUnits:
    def table(self, **units) -> Table:
        data = points()
        return Table({k: u.Quantity(v, units[k]) if k in units else v for k, v in data.items()})

    def test_the_unit_of_the_column_tells(self, tmp_path):
        table = self.table(flux=u.Jy, flux_error=u.Jy)
        table.rename_columns(["flux", "flux_error"], ["brightness", "error"])
        table.write(tmp_path / "a.fits")
        names = {"value": "brightness"}
        assert_same(
            read_light_curves(tmp_path / "a.fits", columns=names | {"error": "error"}),
            curves_of(points()),
        )
        data = points()
        mags = Table(
            {"source_id": data["source_id"], "time": data["time"], "y": data["flux"] / 1e3 * u.mag}
        )
        want = from_points(data["source_id"], data["time"], data["flux"] / 1e3, unit="mag")
        assert_same(read_light_curves(mags, columns={"value": "y"}), want)

    @pytest.mark.parametrize("column, unit, asked, message", [
        ("flux", u.mag, None, "its name says flux, its unit says mag"), ("flux", None, "mag", "no column mag"),
        ("mag", u.Jy, None, "its name says mag, its unit says flux"), ("time", u.m, None, "time is in m, expected d"),
        ("flux_error", u.m, None, "flux_error is in m, expected"), ("flux", None, "ppm", "unit must be one of"),
        ("mag", None, "flux", "no column flux"), ("flux", u.Jy, "relative", "flux is in Jy, expected a plain number"),
    ])  # fmt: skip
    def test_contradictions_are_refused(self, column, unit, asked, message):
        table = self.table(**({"flux": u.electron / u.s} if column == "flux_error" else {}))
        if column == "mag":
            table.rename_columns(["flux", "flux_error"], ["mag", "mag_error"])
        if unit is not None:
            table[column] = u.Quantity(np.asarray(table[column]), unit)
        with pytest.raises(ValueError, match=message):
            read_light_curves(table, unit=asked)

    def test_a_named_column_against_unit(self):
        with pytest.raises(ValueError, match="its name says flux, unit= says mag"):
            read_light_curves(points(), columns={"flux": "flux"}, unit="mag")

    def test_errors_are_converted(self):
        table = self.table(flux=u.Jy, flux_error=u.Jy)
        table["flux_error"] = table["flux_error"].to(u.mJy)
        assert_same(read_light_curves(table), curves_of(points()), rtol=1e-12)
        data = points()
        mags = {"source_id": data["source_id"], "time": data["time"], "mag": data["flux"] / 1e3 * u.ABmag,
                "mag_err": np.full(400, 20.0) * u.mmag}  # fmt: skip
        want = from_points(
            data["source_id"], data["time"], data["flux"] / 1e3, np.full(400, 0.02), unit="mag"
        )
        assert_same(read_light_curves(Table(mags)), want, rtol=1e-12)

    def test_relative_values_in_per_cent(self):
        table = Table(
            {
                "source_id": [1, 1],
                "time": [0.0, 1.0],
                "flux": [-50.0, 20.0] * u.percent,
                "flux_error": [5.0, 5.0] * u.percent,
            }
        )
        curves = read_light_curves(table, unit="relative")
        np.testing.assert_allclose(curves.flux, [-0.5, 0.2])
        np.testing.assert_allclose(curves.sigma, 0.05)

    @pytest.mark.parametrize("unit, factor", [(u.h, 24), (u.s, 86400), (u.d, 1)])
    def test_times_become_days(self, unit, factor, tmp_path):
        table = Table(points() | {"time": points()["time"] * factor * unit})
        table.write(tmp_path / "a.fits")
        assert_same(read_light_curves(tmp_path / "a.fits"), curves_of(points()), rtol=1e-12)

    @pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
    def test_what_missions_write_for_a_unit_of_time(self, tmp_path):
        rows = fits.BinTableHDU(Table(points()))
        rows.columns["time"].unit = "BJD - 2454833, days"
        rows.writeto(tmp_path / "a.fits")
        assert_same(read_light_curves(tmp_path / "a.fits"), curves_of(points()))

    @pytest.mark.parametrize("form", ["jd", "mjd", "isot", "datetime64"])
    def test_time_columns_in_any_format_count_from_one_zero(self, form):
        data = points()
        table = Table(data)
        table["time"] = Time(JD_ZERO, data["time"], format="jd", scale="tdb")
        table["time"].format = form
        np.testing.assert_allclose(read_light_curves(table).time, curves_of(data).time, atol=1e-9)

    def test_dates(self):
        frame = pd.DataFrame(points())
        frame["time"] = pd.Timestamp("2010-01-01") + pd.to_timedelta(frame["time"], unit="D")
        got, want = read_light_curves(frame), curves_of(points())
        np.testing.assert_allclose(np.diff(got.time), np.diff(want.time), atol=1e-9)
        frame.loc[3, "time"] = pd.NaT
        assert read_light_curves(frame).dropped["not_finite"].sum() == 1


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
        table = {"id": ["12", "13", "14"], "band": ["V", "I", "V"], "time": [[1.0, 2, 3], [5.0, 4], []],
                 "mag": [[10.0, 11, 12], [10.0, 10], []], "mag_err": [[0.1, 0.1, 0.1], [0.2, 0.2], []]}  # fmt: skip
        curves = read_light_curves(table)
        assert curves.source_id.tolist() == [12, 13, 14]
        assert np.diff(curves.first).tolist() == [3, 2, 0]
        assert [curves.bands[i] for i in curves.band] == ["V", "V", "V", "I", "I"]
        np.testing.assert_allclose(curves.flux, [10**0.4 - 1, 0, 10**-0.4 - 1, 0, 0])
        assert words(curves) == ["ok", "ok", "no_data"]
        arrow = pa.table(table)
        assert_same(read_light_curves(arrow), curves)

    def test_lists_of_bands_missing_rows_and_nulls(self):
        arrow = pa.table({"source_id": [1, 2], "time": [[1.0, 2, 3], None], "flux": [[2.0, None, 4], None],
                          "band": [["g", "g", "r"], None]})  # fmt: skip
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


def mission_file(
    path, star=11904151, mission="Kepler", flux=None, start=100.0, quality=None, **columns
):
    """A light-curve file as the pipelines of Kepler and TESS write them, with the keywords by which they are known."""
    flux = np.asarray([10.0, 20, 30, 40, 50] if flux is None else flux)
    n = len(flux)
    tess = mission == "TESS"
    columns = {
        "TIME": start + 0.5 * np.arange(n), "SAP_FLUX": 3 * flux, "SAP_FLUX_ERR": np.ones(n), "PDCSAP_FLUX": flux,
        "PDCSAP_FLUX_ERR": 0.1 * flux,
        "QUALITY" if tess else "SAP_QUALITY": np.zeros(n, int) if quality is None else quality,
    } | columns  # fmt: skip
    units = {
        "TIME": "BJD - 2457000, days" if tess else "BJD - 2454833",
        "SAP_FLUX": "e-/s",
        "PDCSAP_FLUX": "e-/s",
    }
    table = fits.BinTableHDU.from_columns([
        fits.Column(name, "J" if "QUALITY" in name else "D", unit=units.get(name), array=x)
        for name, x in columns.items() if x is not None
    ])  # fmt: skip
    table.header.update(
        {"EXTNAME": "LIGHTCURVE", "BJDREFI": 2457000 if tess else 2454833, "TIMESYS": "TDB"}
    )
    creator = "LightCurveExporterPipelineModule" if tess else "FluxExporter2PipelineModule"
    primary = fits.PrimaryHDU()
    primary.header.update(
        {"ORIGIN": "NASA/Ames", "CREATOR": creator, "TELESCOP": "TESS" if tess else "Kepler"}
    )
    primary.header["TICID" if tess else "KEPLERID"] = star
    if not tess:
        primary.header["MISSION"] = mission
    fits.HDUList([primary, table]).writeto(path)
    return path


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
        with pytest.raises(ValueError, match="42_curve.txt.*give unit="):
            read_light_curves(tmp_path)
        curves = read_light_curves(tmp_path, unit="flux")
        assert sorted(curves.source_id) == sorted([11904151, 11904151, 201, 42, *IDS])
        text = match(curves, [42])
        assert text.flux.tolist() == [-0.5, 0, 0.5]
        np.testing.assert_allclose(text.sigma, 0.05)

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
        with pytest.raises(ValueError, match="TIC 12: its unit says mag, unit= says flux"):
            read_light_curves(
                lightkurve.LightCurve(time=[1, 2], flux=[3, 4] * u.mag, meta={"LABEL": "TIC 12"}),
                unit="flux",
            )

    def test_without_lightkurve_the_extra_is_named(self, tmp_path, monkeypatch):
        path = mission_file(tmp_path / "a.fits")
        monkeypatch.setitem(sys.modules, "lightkurve", None)
        with pytest.raises(ImportError, match=r"pip install 'multistar\[lightcurves\]'"):
            read_light_curves(path)


class TestFaults:
    @pytest.mark.parametrize(
        "form", [as_csv_gz, as_table_file("fits"), as_parquet], ids=lambda f: f.__name__
    )
    def test_cut_tables_are_refused_by_name(self, form, tmp_path):
        path = form(points(), tmp_path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(ValueError, match=f"{path.name}: not readable as"):
            read_light_curves(path)

    @pytest.mark.parametrize("text, message", [
        ("time flux\n1 2\n", "expected columns of numbers"), ("1 2 3 4\n", "expected 2 or 3 columns"),
        ("", "expected columns of numbers"), ("1\n2\n", ".*found 1"),
    ])  # fmt: skip
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


class Archive:
    """Answers as MAST gives them through lightkurve: tables of products, and files that are copied."""

    def __init__(self, folder, monkeypatch):
        lightkurve = pytest.importorskip("lightkurve")
        from astroquery.mast import Observations

        self.folder, self.products, self.searches, self.downloads, self.fail = (
            folder,
            {},
            [],
            [],
            None,
        )
        self.result = lightkurve.search.SearchResult
        monkeypatch.setattr(lightkurve, "search_lightcurve", self.search)
        monkeypatch.setattr(Observations, "download_products", self.download)

    def add(self, target: str, star: int, name: str, **content):
        mission_file(self.folder / name, star, **content)
        self.products.setdefault(target, []).append((f"kplr{star:09d}", name))

    def search(self, target, **options):
        self.searches.append((target, options))
        if self.fail:
            raise self.fail
        rows = self.products.get(target, [])
        if not rows:
            return self.result(None)
        n = len(rows)
        return self.result(Table({
            "target_name": [name for name, _ in rows], "productFilename": [name for _, name in rows],
            "obs_id": [name.split(".")[0] for _, name in rows], "obs_collection": ["Kepler"] * n,
            "author": ["Kepler"] * n,
            "mission": [f"Kepler Quarter {i:02d}" for i in range(n)], "exptime": [1800.0] * n, "distance": [0.0] * n,
            "t_min": [55000.0] * n, "description": ["Lightcurve Long Cadence"] * n,
            "dataURI": [f"mast:Kepler/url/{name}" for _, name in rows],
        }))  # fmt: skip

    def download(self, products, mrp_only, download_dir):
        row = products[0]
        self.downloads.append(row["productFilename"])
        path = f"{download_dir}/mastDownload/{row['obs_collection']}/{row['obs_id']}/{row['productFilename']}"
        os.makedirs(os.path.dirname(path))
        shutil.copy(self.folder / row["productFilename"], path)
        return Table({"Local Path": [path], "Status": ["COMPLETE"], "Message": [""]})


class TestDownload:
    NAMES = ["kplr000000017-2009350155506_llc.fits", "kplr000000017-2010078095331_llc.fits"]

    @pytest.fixture
    def archive(self, tmp_path, monkeypatch):
        (tmp_path / "mast").mkdir()
        archive = Archive(tmp_path / "mast", monkeypatch)
        for i, name in enumerate(self.NAMES):
            archive.add("KIC 17", 17, name, start=100.0 * i)
        archive.add(
            "KIC 18", 19, "kplr000000019-2009350155506_llc.fits"
        )  # a neighbour, by a search in a cone
        return archive

    def not_found(self, out) -> dict[str, str]:
        with open(out / NOT_FOUND, newline="") as stream:
            return {row["source_id"]: row["reason"] for row in csv.DictReader(stream)}

    def test_files_are_saved_and_the_rest_is_listed(self, archive, tmp_path):
        out = tmp_path / "out"
        files = download_light_curves([17, 18, 20, 17], out, "kepler")
        assert files == {17: [out / name for name in self.NAMES]}
        assert [target for target, _ in archive.searches] == ["KIC 17", "KIC 18", "KIC 20"]
        assert archive.searches[0][1] == {"mission": "Kepler", "author": "Kepler", "exptime": 1800}
        assert sorted(p.name for p in out.iterdir()) == sorted([*self.NAMES, JOURNAL, NOT_FOUND])
        assert set(self.not_found(out)) == {"18", "20"}
        assert "no kepler light curve of Kepler" in self.not_found(out)["20"]
        curves = read_light_curves(out)
        assert (curves.source_id.tolist(), len(curves.time)) == ([17], 10)

    def test_a_second_run_fetches_only_what_is_missing_or_broken(self, archive, tmp_path):
        out = tmp_path / "out"
        download_light_curves([17], out, "kepler")
        archive.searches.clear(), archive.downloads.clear()
        assert download_light_curves(pd.DataFrame({"source_id": [17]}), out, "kepler") == {
            17: [out / n for n in self.NAMES]
        }
        assert (archive.searches, archive.downloads) == ([], [])
        whole = (out / self.NAMES[1]).read_bytes()
        (out / self.NAMES[1]).write_bytes(whole[:3000])
        download_light_curves([17], out, "kepler")
        assert archive.downloads == [self.NAMES[1]]
        assert (out / self.NAMES[1]).read_bytes() == whole

    def test_an_interrupted_run_leaves_no_half_files(self, archive, tmp_path, monkeypatch):
        out = tmp_path / "out"

        def interrupted(*args, **kwargs):
            archive.download(*args, **kwargs)
            raise KeyboardInterrupt

        from astroquery.mast import Observations

        with monkeypatch.context() as patch:
            patch.setattr(Observations, "download_products", interrupted)
            with pytest.raises(KeyboardInterrupt):
                download_light_curves([17], out, "kepler")
        assert list(out.iterdir()) == []
        assert download_light_curves([17], out, "kepler")[17] == [out / name for name in self.NAMES]

    def test_failures_are_listed_and_tried_again(self, archive, tmp_path):
        out = tmp_path / "out"
        archive.fail = TimeoutError("the archive\ndoes not answer")
        assert download_light_curves([17, 18], out, "kepler") == {}
        assert self.not_found(out)["17"] == "TimeoutError: the archive does not answer"
        with pytest.raises(ConnectionError, match="5 stars in a row failed; of 5: TimeoutError"):
            download_light_curves(np.arange(1, 9), out, "kepler")
        assert len(self.not_found(out)) == 5
        archive.fail = None
        assert list(download_light_curves([17], out, "kepler")) == [17]
        assert self.not_found(out) == {}

    def test_what_cannot_be_meant_is_refused(self, archive, tmp_path):
        with pytest.raises(
            ValueError, match="unknown mission 'hubble'; known are kepler, k2, tess"
        ):
            download_light_curves([17], tmp_path / "out", "hubble")
        with pytest.raises(ValueError, match="integer ids"):
            download_light_curves(["KIC 17"], tmp_path / "out", "kepler")
        with pytest.raises(ValueError, match="positive, found -1"):
            download_light_curves([17, -1], tmp_path / "out", "kepler")
        assert not (tmp_path / "out").exists()

    def test_from_the_command_line(self, archive, tmp_path, capsys):
        out = tmp_path / "out"
        assert (
            main(["download", "lightcurves", "17", "20", "--mission", "kepler", "--out", str(out)])
            == 0
        )
        assert "2 light curves of 1 stars" in capsys.readouterr().out
        assert (
            main(
                [
                    "download",
                    "lightcurves",
                    "17",
                    "ids.csv",
                    "--mission",
                    "kepler",
                    "--out",
                    str(out),
                ]
            )
            == 2
        )
        assert "give ids as numbers, or one table; got 17 ids.csv" in capsys.readouterr().err
        pd.DataFrame({"source_id": [17]}).to_csv(tmp_path / "ids.csv", index=False)
        assert (
            main(
                [
                    "download",
                    "lightcurves",
                    str(tmp_path / "ids.csv"),
                    "--mission",
                    "tess",
                    "--out",
                    str(out),
                ]
            )
            == 0
        )
        assert archive.searches[-1] == (
            "TIC 17",
            {"mission": "TESS", "author": "SPOC", "exptime": 120},
        )


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
        want = {1430163: "kepler", 6541920: "kepler", 9579641: "kepler", 10002792: "kepler", 211436265: "k2",
                211495446: "k2", 29666185: "tess", 11618103: "unknown"}  # fmt: skip
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
