"""What is said of a table before work begins: what was read of it, and what was not."""

import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.modalities.light_curve.features import N_SLOTS


@pytest.fixture(scope="module")
def table() -> Table:
    n = 4
    stars = Table({"source_id": np.arange(n)})
    stars["phot_g_mean_mag"] = [12.0, 13.0, np.nan, 14.0]
    stars["phot_g_mean_flux_over_error"] = [400.0, np.nan, 300.0, 200.0]
    stars["j_m"] = np.full(n, 11.0) * u.mag
    stars["light_curve_value"] = stars["light_curve_sigma"] = np.zeros((n, N_SLOTS))
    stars["Plx"] = np.ones(n) * u.arcsec / 1000
    stars["teff"] = np.full(n, 5000.0)
    stars["teff_error"] = np.full(n, 50.0)
    stars["ks_mag"] = np.full(n, 10.0)
    stars["remark"] = ["a", "b", "c", "d"]
    stars["ra"] = stars["dec"] = np.zeros(n)
    return stars


def by_name(reading) -> dict:
    return {quantity.name: quantity for quantity in reading.quantities}


def test_quantities_are_found_with_their_errors_units_and_numbers_of_stars(star_model, table):
    reading = star_model.describe(table)
    found = by_name(reading)
    g, parallax = found["g"], found["parallax"]
    assert (g.columns, g.error_columns) == (
        ("phot_g_mean_mag",),
        ("phot_g_mean_flux_over_error",),
    )
    assert (g.stars, g.with_error, g.stated) == (3, 2, False)
    assert (parallax.columns, parallax.error_columns, parallax.stated) == (("Plx",), (), True)
    assert found["j"].stated and found["j"].unit == "mag"
    assert (reading.rows, reading.stars_are) == (4, "sky")
    assert "units are not stated, and assumed, of: g" in str(reading)
    assert "phot_g_mean_mag [mag], errors phot_g_mean_flux_over_error" in str(reading)


def test_what_is_not_read_is_named_with_what_may_be_meant(star_model, table):
    reading = star_model.describe(table)
    assert reading.unread == ("light curve",)
    assert reading.labels == ("teff", "teff_error")
    assert reading.unused == {"ks_mag": "Ksmag", "remark": ""}
    assert "not used: ks_mag (did you mean Ksmag?), remark" in str(reading)
    assert "for a dust map alone (--dust; disc needs no file): ra, dec" in str(reading)
    without = table[[name for name in table.colnames if name != "ra"]]
    assert "dust map" not in str(star_model.describe(without))


def test_given_labels_and_renamed_columns_are_read(star_model, table):
    reading = star_model.describe(table, columns={"ks": "ks_mag"}, labels=["teff"])
    found = by_name(reading)
    assert found["ks"].columns == ("ks_mag",)
    assert (found["teff"].error_columns, found["teff"].with_error) == (("teff_error",), 4)
    assert not reading.labels and reading.unread == ("light curve",)
    assert reading.unused == {"remark": ""}


def test_spectra_in_many_columns_are_one_line(star_model, mock_table):
    reading = star_model.describe(mock_table)
    xp = by_name(reading)["XP bp"]
    assert xp.columns == ("bp_coefficients",) and xp.stars == xp.with_error == len(mock_table)
    split = {"source_id": np.arange(2), "phot_g_mean_mag": np.full(2, 12.0)}
    split |= {f"bp_coeff_{i}": np.ones(2) for i in range(55)}
    reading = star_model.describe(split)
    assert len(by_name(reading)["XP bp"].columns) == 55
    assert "bp_coeff_0 ... bp_coeff_54, no errors" in str(reading)
    assert reading.stars_are == "sky"
    assert star_model.describe(mock_table).stars_are == "mock"


def test_describing_changes_nothing(star_model, mock_table):
    before = star_model.predict(mock_table)
    star_model.describe(mock_table, labels=["teff"])
    assert star_model.predict(mock_table).equals(before)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_commands_say_what_they_read(model_folder, mock_table, tmp_path, capsys, ending):
    stars, out = tmp_path / "stars.parquet", tmp_path / f"labels.{ending}"
    pq.write_table(mock_table.slice(0, 5).append_column("rP1_", [[1.0, 2.0, 3.0, 4.0, 5.0]]), stars)
    assert main(["predict", str(stars), "--model", str(model_folder), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "5 mock stars; read of how many, from which columns:" in said.err
    assert "rP1_ (did you mean rP1?)" in said.err.split("not used:")[1]
    assert "5 rows written" in said.out
    assert MultiStar.from_pretrained(model_folder).describe(stars).rows == 5
