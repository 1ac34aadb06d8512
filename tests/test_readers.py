"""One catalogue in every form that users hold reads the same; bad input is refused or flagged."""

import gzip
import warnings

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import votable
from astropy.table import MaskedColumn, Table

from multistar import status
from multistar.io.ids import read_ids
from multistar.io.tables import read_columns
from multistar.stars import read_stars

IDS = np.array([4295806720, 6917528997577384320, 34361129088], np.int64)


def vectors(orders: int = 55, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, orders)) * 10.0 ** -np.arange(orders).clip(
        0, 3
    ) + [[500.0] + [0] * (orders - 1)]


def columns(bp: int = 55, rp: int = 55) -> dict[str, np.ndarray]:
    return {
        "source_id": IDS,
        "bp_coefficients": vectors(bp),
        "bp_coefficient_errors": np.abs(vectors(bp, 1)) + 0.1,
        "rp_coefficients": vectors(rp, 2),
        "rp_coefficient_errors": np.abs(vectors(rp, 3)) + 0.1,
        "phot_g_mean_mag": np.array([14.1, 15.2, 16.3]),
        "phot_g_mean_mag_error": np.full(3, 0.003),
        "parallax": np.array([1.5, -0.1, 0.3]),
        "parallax_error": np.array([0.02, 0.05, 0.1]),
    }


def archive_strings() -> pd.DataFrame:
    """As the archive's CSV: vectors written '(a, b, ...)'."""
    frame = pd.DataFrame({k: v for k, v in columns().items() if v.ndim == 1})
    for name, value in columns().items():
        if value.ndim == 2:
            frame[name] = ["(" + ", ".join(repr(float(x)) for x in row) + ")" for row in value]
    return frame


def split_columns() -> dict[str, np.ndarray]:
    out = {k: v for k, v in columns().items() if v.ndim == 1}
    for band in ("bp", "rp"):
        for order in range(55):
            out[f"{band}_coeff_{order}"] = columns()[f"{band}_coefficients"][:, order]
            out[f"e_{band}_coeff_{order}"] = columns()[f"{band}_coefficient_errors"][:, order]
    return out


def lists(data: dict[str, np.ndarray]) -> dict[str, list]:
    return {k: list(v) if v.ndim == 2 else v for k, v in data.items()}


def as_csv(folder):
    archive_strings().to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


def as_csv_gz(folder):
    archive_strings().to_csv(folder / "a.csv.gz", index=False)
    return folder / "a.csv.gz"


def as_ecsv(folder):
    Table(columns()).write(folder / "a.ecsv")
    return folder / "a.ecsv"


def as_fits(folder):
    Table(columns()).write(folder / "a.fits")
    return folder / "a.fits"


def as_split_fits(folder):
    Table(split_columns()).write(folder / "a.fits")
    return folder / "a.fits"


def as_votable(folder):
    Table(columns()).write(folder / "a.vot", format="votable")
    return folder / "a.vot"


def as_parquet(folder):
    pq.write_table(
        pa.table({k: list(v) if v.ndim == 2 else v for k, v in columns().items()}),
        folder / "a.parquet",
    )
    return folder / "a.parquet"


def as_dataframe(folder):
    return pd.DataFrame(lists(columns()))


def as_astropy(folder):
    return Table(columns())


def as_dict(folder):
    return columns()


FORMS = [
    as_csv,
    as_csv_gz,
    as_ecsv,
    as_fits,
    as_split_fits,
    as_votable,
    as_parquet,
    as_dataframe,
    as_astropy,
    as_dict,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_every_form_reads_the_same(form, tmp_path):
    stars = read_stars(form(tmp_path))
    want = columns()
    assert stars.source_id.tolist() == IDS.tolist()
    assert status.words(stars.flags).tolist() == ["ok"] * 3
    for band in ("bp", "rp"):
        np.testing.assert_allclose(stars.xp[band].value, want[f"{band}_coefficients"], rtol=1e-12)
        np.testing.assert_allclose(
            stars.xp[band].sigma, want[f"{band}_coefficient_errors"], rtol=1e-12
        )
    np.testing.assert_allclose(stars.scalars["g"].value, want["phot_g_mean_mag"])
    np.testing.assert_allclose(stars.scalars["parallax"].sigma, want["parallax_error"])


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float64(), 3)]
)
def test_lists_that_are_missing_are_rows_of_nan(kind):
    rows = [[1.0, 2.0, 3.0], None, [4.0, None, 6.0], None]
    column = read_columns(pa.table({"x": pa.array(rows, kind)}).slice(0, 3))["x"]
    assert column.dtype.kind == "f"
    np.testing.assert_array_equal(column, [[1, 2, 3], [np.nan] * 3, [4, np.nan, 6]])
    whole = read_columns(pa.table({"x": pa.array(rows, kind)}).slice(0, 1))["x"]
    np.testing.assert_array_equal(whole, [[1, 2, 3]])


def test_the_number_of_coefficients_is_read_from_the_data():
    stars = read_stars(columns(bp=51, rp=55))
    assert stars.xp["bp"].value.shape == (3, 51)
    assert stars.xp["rp"].value.shape == (3, 55)


def test_without_g_an_unknown_layout_is_flagged_and_its_xp_not_used():
    data = columns(bp=51, rp=55)
    del data["phot_g_mean_mag"]
    stars = read_stars(data)
    assert all("no_g" in words for words in status.words(stars.flags))
    assert np.isnan(stars.xp["bp"].value).all()


def test_n_relevant_bases_makes_high_orders_unobserved():
    data = columns() | {"bp_n_relevant_bases": np.array([3, 55, 0])}
    observed = np.isfinite(read_stars(data).xp["bp"].value).sum(1)
    assert observed.tolist() == [3, 55, 55]  # 0 is no count


def test_missing_id_in_a_csv_does_not_cost_the_other_ids_their_digits(tmp_path):
    frame = archive_strings()
    frame["source_id"] = ["6917528997577384321", "", "34361129088"]
    frame.to_csv(tmp_path / "a.csv", index=False)
    stars = read_stars(tmp_path / "a.csv")
    assert stars.source_id.tolist() == [6917528997577384321, -1, 34361129088]
    assert status.words(stars.flags).tolist() == ["ok", "bad_id", "ok"]


def test_masked_ids_and_values():
    table = Table(columns())
    table["source_id"] = MaskedColumn(IDS, mask=[False, True, False])
    table["parallax"] = MaskedColumn(columns()["parallax"], mask=[True, False, False])
    stars = read_stars(table)
    assert stars.source_id.tolist() == [IDS[0], -1, IDS[2]]
    assert np.isnan(stars.scalars["parallax"].value).tolist() == [True, False, False]


def test_float_ids_are_refused():
    with pytest.raises(ValueError, match="cannot hold a 64-bit id exactly"):
        read_stars(columns() | {"source_id": IDS.astype(float)})


def test_duplicate_ids_are_flagged_not_dropped():
    stars = read_stars(columns() | {"source_id": np.array([7, 8, 7])})
    assert status.words(stars.flags).tolist() == ["duplicate_id", "ok", "duplicate_id"]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e30, -999999999])
def test_impossible_values_are_ignored_and_flagged(value):
    data = columns()
    data["phot_bp_mean_mag"] = np.array([15.0, value, 16.0])
    data["bp_coefficients"][2, 5] = np.inf
    stars = read_stars(data)
    assert status.words(stars.flags).tolist() == ["ok", "bad_value", "bad_value"]
    assert np.isnan(stars.scalars["bp"].value[1])
    assert np.isnan(stars.xp["bp"].value[2, 5])


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.inf, -999999999.0])
def test_impossible_errors_become_unknown_and_flagged(sigma):
    stars = read_stars(columns() | {"parallax_error": np.array([0.02, sigma, 0.1])})
    assert np.isnan(stars.scalars["parallax"].sigma[1])
    assert stars.scalars["parallax"].value[1] == -0.1
    assert status.words(stars.flags).tolist() == ["ok", "bad_value", "ok"]


def test_unknown_errors_are_unknown_not_zero():
    data = columns()
    del data["parallax_error"]
    assert np.isnan(read_stars(data).scalars["parallax"].sigma).all()


def test_signal_to_noise_gives_the_magnitude_error():
    data = columns() | {
        "phot_rp_mean_mag": np.full(3, 15.0),
        "phot_rp_mean_flux_over_error": np.array([100.0, 0, 50]),
    }
    sigma = read_stars(data).scalars["rp"].sigma
    np.testing.assert_allclose(sigma[[0, 2]], [0.0108574, 0.0217147], rtol=1e-5)
    assert np.isnan(sigma[1])


def test_units_are_converted_and_wrong_ones_refused():
    table = Table(columns())
    table["parallax"] = columns()["parallax"] * 1e-3 * u.arcsec
    np.testing.assert_allclose(read_stars(table).scalars["parallax"].value, columns()["parallax"])
    table["parallax"] = columns()["parallax"] * u.km
    with pytest.raises(ValueError, match="column parallax is in km, expected mas"):
        read_stars(table)


def test_a_users_own_column_names():
    data = columns() | {"Teff_mine": np.array([4700.0, 4800, 4900]), "err_mine": np.full(3, 50.0)}
    data["KIC"] = data.pop("source_id")
    stars = read_stars(data, {"source_id": "KIC", "teff": "Teff_mine", "teff_error": "err_mine"})
    assert stars.scalars["teff"].value.tolist() == [4700, 4800, 4900]
    assert stars.scalars["teff"].sigma.tolist() == [50, 50, 50]
    with pytest.raises(ValueError, match="no column"):
        read_stars(data, {"source_id": "KIC", "teff": "absent"})
    with pytest.raises(ValueError, match="unknown quantities"):
        read_stars(data, {"source_id": "KIC", "tefff": "Teff_mine"})


def test_empty_table_keeps_its_no_rows():
    assert len(read_stars({k: v[:0] for k, v in columns().items()})) == 0


@pytest.mark.parametrize(
    "drop, message",
    [
        (["source_id"], "no column source_id"),
        ([c for c in columns() if c != "source_id"], "no measurement found"),
    ],
)
def test_missing_columns_are_named(drop, message):
    with pytest.raises(ValueError, match=message):
        read_stars({k: v for k, v in columns().items() if k not in drop})


def test_missing_split_order_is_named():
    data = split_columns()
    del data["bp_coeff_7"]
    with pytest.raises(ValueError, match=r"lack orders \[7\]"):
        read_stars(data)


def test_text_in_a_number_column_is_named():
    with pytest.raises(ValueError, match="row 1 holds 'bright'"):
        read_stars(columns() | {"parallax": np.array(["1.0", "bright", "2.0"], dtype=object)})


@pytest.mark.parametrize(
    "form", [as_csv_gz, as_fits, as_votable, as_parquet], ids=lambda f: f.__name__
)
def test_truncated_files_are_refused_by_name(form, tmp_path):
    path = form(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match="not readable as"):
        read_columns(path)


def test_truncated_csv_vector_is_named(tmp_path):
    path = as_csv(tmp_path)
    text = path.read_text()
    path.write_text(text[: len(text) * 3 // 5])
    with pytest.raises(ValueError, match="not readable as csv|cannot read|errors per star"):
        read_stars(path)


def test_unknown_ending_absent_file_and_wrong_type(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_columns(tmp_path / "absent.csv")
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(ValueError, match="known endings"):
        read_columns(tmp_path / "a.docx")
    with pytest.raises(TypeError, match="expected a path"):
        read_columns(42)


def test_a_gzip_of_something_else_is_refused(tmp_path):
    with gzip.open(tmp_path / "a.fits.gz", "wb") as stream:
        stream.write(b"hello")
    with pytest.raises(ValueError, match="not readable as fits"):
        read_columns(tmp_path / "a.fits.gz")


def test_several_votables_are_refused_with_advice(tmp_path):
    first, second = (votable.from_table(Table({"wavelength": [1.0]})) for _ in range(2))
    first.resources[0].tables.append(second.resources[0].tables[0])
    first.to_xml(str(tmp_path / "a.xml"))
    with pytest.raises(ValueError, match="or a sampled spectrum .* of a star each, found"):
        read_columns(tmp_path / "a.xml")


def test_read_ids_needs_no_measurement():
    assert read_ids({"source_id": IDS}).tolist() == IDS.tolist()
    with pytest.raises(ValueError, match="row 1 has no source_id"):
        read_ids({"source_id": np.array([1, None], object)})


def test_archive_names_in_capitals_are_found():
    data = {name.upper(): values for name, values in columns().items()}
    stars = read_stars(data)
    assert set(stars.xp) == {"bp", "rp"}
    assert {"g", "parallax"} <= set(stars.scalars)


def test_a_dict_of_single_values_is_refused():
    with pytest.raises(ValueError, match="columns must be arrays"):
        read_stars({"source_id": 1, "parallax": 0.5})


def test_irrelevant_orders_are_read_on_request(mock_table):
    table = mock_table[:3]
    cut = table.append_column("bp_n_relevant_bases", pa.array([4, 55, 1]))
    some, every = read_stars(cut).xp["bp"].value, read_stars(cut, all_orders=True).xp["bp"].value
    assert np.isfinite(some).sum(1).tolist() == [4, 55, 1]
    np.testing.assert_array_equal(every, read_stars(table).xp["bp"].value)


def test_stars_are_shown_in_one_line(mock_table):
    shown = repr(read_stars(mock_table[:7]))
    assert shown.startswith("Stars(7 stars: g, ") and "'bp': 55" in shown and "\n" not in shown


@pytest.mark.parametrize("number, warned", [(56, False), (61, True)])
def test_coefficients_of_another_basis_are_told(mock_table, number, warned):
    table = {name: mock_table[:3][name].to_numpy() for name in ("source_id", "phot_g_mean_mag")}
    table["bp_coefficients"] = np.stack(mock_table[:3]["bp_coefficients"].to_pylist())
    table["bp_basis_function_id"] = np.full(3, number)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        stars = read_stars(table)
    assert len(stars.xp["bp"].value) == 3
    words = [str(warning.message) for warning in said]
    assert any("basis functions 61; known are 56" in word for word in words) is warned


@pytest.mark.parametrize("value", [{"x": 1.0}, [[1.0], [2.0, 3.0]], [{"x": 1.0}]])
def test_coefficients_that_are_no_vector_are_refused(value):
    """Found by fuzzing: a column of Parquet whose type was mutated into a structure."""
    table = pa.table({"source_id": [1], "bp_coefficients": [value], "rp_coefficients": [[1.0]]})
    with pytest.raises(ValueError, match="column bp_coefficients.*vector"):
        read_stars(table)
