"""Columns of light curves are found by their names, and units tell or contradict them."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from light_curve_forms import assert_same, curves_of, points

from multistar.modalities.light_curve.points import from_points
from multistar.modalities.light_curve.read import read_light_curves
from multistar.modalities.light_curve.tables import JD_ZERO


class TestNames:
    @pytest.mark.parametrize(
        "value, error",
        [
            ("flux", "flux_err"),
            ("flux", "e_flux"),
            ("flux", "error"),
            ("flux", "FLUX_ERROR"),
            ("flux", "sigma"),
            ("PSF_flux", "PSF_flux_err"),
            ("flux_aper", "flux_aper_error"),
            ("FLUX", "fluxerr"),
        ],
    )
    @pytest.mark.parametrize("kind", ["flux", "mag"])
    def test_names_of_values_and_errors(self, value, error, kind):
        data = points()
        value, error = (
            name.replace("flux", kind).replace("FLUX", kind.upper()) for name in (value, error)
        )
        table = {
            "source_id": data["source_id"],
            "time": data["time"],
            error: data["flux_error"] / 1e3,
            value: data["flux"] / 1e3,
            "band": data["band"],
        }
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

    @pytest.mark.parametrize(
        "drop, message",
        [
            ("source_id", "no column source_id"),
            ("time", "no column time"),
            ("flux", "no column flux or mag"),
        ],
    )
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

    @pytest.mark.parametrize(
        "column, unit, asked, message",
        [
            ("flux", u.mag, None, "its name says flux, its unit says mag"),
            ("flux", None, "mag", "no column mag"),
            ("mag", u.Jy, None, "its name says mag, its unit says flux"),
            ("time", u.m, None, "time is in m, expected d"),
            ("flux_error", u.m, None, "flux_error is in m, expected"),
            ("flux", None, "ppm", "unit must be one of"),
            ("mag", None, "flux", "no column flux"),
            ("flux", u.Jy, "relative", "flux is in Jy, expected a plain number"),
        ],
    )
    def test_contradictions_are_refused(self, column, unit, asked, message):
        table = self.table(**({"flux": u.electron / u.s} if column == "flux_error" else {}))
        if column == "mag":
            table.rename_columns(["flux", "flux_error"], ["mag", "mag_error"])
        if unit is not None:
            table[column] = u.Quantity(np.asarray(table[column]), unit)
        with pytest.raises(ValueError, match=message):
            read_light_curves(table, unit=asked)

    def test_a_named_column_against_unit(self):
        with pytest.raises(ValueError, match="its name says flux, --unit says mag"):
            read_light_curves(points(), columns={"flux": "flux"}, unit="mag")

    def test_errors_are_converted(self):
        table = self.table(flux=u.Jy, flux_error=u.Jy)
        table["flux_error"] = table["flux_error"].to(u.mJy)
        assert_same(read_light_curves(table), curves_of(points()), rtol=1e-12)
        data = points()
        mags = {
            "source_id": data["source_id"],
            "time": data["time"],
            "mag": data["flux"] / 1e3 * u.ABmag,
            "mag_err": np.full(400, 20.0) * u.mmag,
        }
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
