"""Rows are not shifted, units are honoured in every container, ids keep their digits."""

import gzip

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

from multistar.cli.app import main
from multistar.io.chunks import read_chunks
from multistar.io.lookup import Lookup
from multistar.io.tables import read_columns
from multistar.quantities import AB_OFFSET, QUANTITIES
from multistar.stars import read_stars

IDS = [1606744276136361984, 4470364380160066432]


def both_ways(path):
    """A file read whole, and in parts of one row put together."""
    parts = list(read_chunks(path, 1))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0].data}
    return read_columns(path).data, joined


# --- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_a_comma_at_the_end_of_rows_shifts_nothing(packed, tmp_path):
    """pandas made the first column the index, and ids those of another catalogue."""
    text = f"source_id,tmass_id,parallax\n{IDS[0]},5000001,1.5,\n{IDS[1]},5000002,2.5,\n"
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    for read in both_ways(path):
        assert read["source_id"].tolist() == [str(i) for i in IDS]
        assert read["tmass_id"].tolist() == [5000001, 5000002]
        assert read["parallax"].tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    "rows", ["1,2.5,9\n2,3.5,8\n", "1,2.5,9\n2,3.5\n", "1,2.5\n2,3.5,8\n", "1,2.5,\n2,3.5,8\n"]
)
def test_fields_without_a_name_are_refused(rows, tmp_path):
    (tmp_path / "a.csv").write_text("source_id,parallax\n" + rows)
    for read in (read_columns, lambda path: list(read_chunks(path))):
        with pytest.raises(
            ValueError, match=r"a.csv: not readable as csv.*(more fields|Expected 2)"
        ):
            read(tmp_path / "a.csv")


def test_a_first_column_without_a_name_stays_where_it_is(tmp_path):
    (tmp_path / "a.csv").write_text(",source_id,parallax\n0,17,1.5\n1,18,2.5\n")
    for read in both_ways(tmp_path / "a.csv"):
        assert read["source_id"].tolist() == ["17", "18"] and read["parallax"].tolist() == [
            1.5,
            2.5,
        ]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_a_hash_within_a_field_is_a_letter_like_others(block, tmp_path, monkeypatch):
    monkeypatch.setattr("multistar.io.comments.BLOCK", block)
    text = (
        "# made by me, with love\n#\nsource_id,name,parallax\n1,NGC 6819 #12,1.5\n"
        '# a comment, "odd\n2,"two\n# lines",2.5\n3,#,3.5'
    )
    (tmp_path / "a.csv").write_text(text)
    for read in both_ways(tmp_path / "a.csv"):
        assert read["name"].tolist() == ["NGC 6819 #12", "two\n# lines", "#"]
        assert read["parallax"].tolist() == [1.5, 2.5, 3.5]


def test_a_column_has_one_type_in_all_parts(tmp_path):
    """Whole numbers in one part of a long CSV, others in the next: both are numbers."""
    lines = ["source_id,parallax,ra,true_x", "1,1,10,1", "2,2.5,10.5,1.5", "3,,,"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    whole = read_stars(tmp_path / "a.csv")
    parts = [read_stars(part) for part in read_chunks(tmp_path / "a.csv", 1)]
    for name in ("ra", "true_x"):
        values = np.concatenate([part.extra[name] for part in parts])
        assert {part.extra[name].dtype for part in parts} == {np.dtype(float)}
        np.testing.assert_array_equal(values, whole.extra[name])
    assert {part.origin for part in parts} == {whole.origin} == {"sky"}


@pytest.mark.parametrize("values", [[1.0, 2.0], [1, 2], [np.nan, np.nan]])
def test_no_column_name_makes_stars_mock_ones(values):
    table = {"source_id": np.array([1, 2]), "parallax": np.ones(2), "true_north_deg": values}
    assert read_stars({k: np.asarray(v) for k, v in table.items()}).origin == "sky"


def test_header_only_csv_is_one_empty_part(tmp_path):
    (tmp_path / "a.csv").write_text("source_id,parallax\n")
    assert [len(part) for part in read_chunks(tmp_path / "a.csv")] == [0]


# --- units ----------------------------------------------------------------------------------------


def in_arcsec() -> QTable:
    return QTable({"source_id": IDS, "parallax": [0.001, 0.002] * u.arcsec})


def as_fits(folder):
    in_arcsec().write(folder / "a.fits")
    return folder / "a.fits"


def as_votable(folder):
    in_arcsec().write(folder / "a.vot", format="votable")
    return folder / "a.vot"


def as_ecsv(folder):
    in_arcsec().write(folder / "a.ecsv")
    return folder / "a.ecsv"


def as_parquet_of_astropy(folder):
    in_arcsec().write(folder / "a.parquet")
    return folder / "a.parquet"


def as_parquet_of_ours(folder):
    field = pa.field("parallax", pa.float64(), metadata={"unit": "arcsec"})
    schema = pa.schema([("source_id", pa.int64()), field])
    pq.write_table(pa.table([IDS, [0.001, 0.002]], schema=schema), folder / "a.parquet")
    return folder / "a.parquet"


def as_table(folder):
    return in_arcsec()


def as_dict(folder):
    return {"source_id": np.array(IDS), "parallax": [0.001, 0.002] * u.arcsec}


def as_dict_of_lists(folder):
    return {"source_id": IDS, "parallax": [1 * u.mas, 0.002 * u.arcsec]}


def as_dict_of_columns(folder):
    return dict(Table(in_arcsec()).columns)


def as_frame(folder):
    return pd.DataFrame({"source_id": IDS, "parallax": [0.001 * u.arcsec, 2 * u.mas]})


FORMS = [as_fits, as_votable, as_ecsv, as_parquet_of_astropy, as_parquet_of_ours, as_table]
FORMS += [as_dict, as_dict_of_lists, as_dict_of_columns, as_frame]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_units_are_honoured_in_every_container(form, tmp_path):
    source = form(tmp_path)
    tables = [source]
    if hasattr(source, "suffix"):
        tables += list(read_chunks(source, 1))[:1] + [Lookup(source).rows(IDS)]
    for table in tables:
        value = read_stars(table).scalars["parallax"].value
        np.testing.assert_allclose(value, [1.0, 2.0][: len(value)])


@pytest.mark.parametrize("form", FORMS[:4] + FORMS[5:6], ids=lambda form: form.__name__)
def test_a_unit_that_does_not_convert_is_named_in_every_container(form, tmp_path, monkeypatch):
    table = QTable({"source_id": IDS, "parallax": [0.001, 0.002] * u.km})
    monkeypatch.setattr(f"{__name__}.in_arcsec", lambda: table)
    with pytest.raises(ValueError, match="column parallax is in km, expected mas"):
        read_stars(form(tmp_path))


MASKED = [
    np.ma.array([1.0, 2.0], mask=[True, False]),
    MaskedColumn([1.0, 2.0], mask=[True, False], unit="mas"),
    Masked([1.0, 2.0] * u.mas, mask=[True, False]),
    Masked(np.array([1.0, 2.0]), mask=[True, False]),
]


@pytest.mark.parametrize("values", MASKED, ids=["numpy", "column", "quantity", "array"])
def test_masked_entries_are_missing_in_dicts_and_tables(values):
    for table in ({"source_id": np.array(IDS), "parallax": values}, QTable([IDS, values])):
        if isinstance(table, QTable):
            table.rename_columns(table.colnames, ["source_id", "parallax"])
        value = read_stars(table).scalars["parallax"].value
        assert np.isnan(value[0]) and value[1] == 2.0


def test_masked_ids_of_a_dict_are_missing():
    ids = np.ma.array(IDS, mask=[True, False])
    stars = read_stars({"source_id": ids, "parallax": np.ones(2)})
    assert stars.source_id.tolist() == [-1, IDS[1]]


@pytest.mark.parametrize("name", AB_OFFSET)
def test_ab_magnitudes_are_brought_to_the_system_of_their_band(name):
    """By numbers that are known from elsewhere: a star of 0 mag (Vega) in AB."""
    known = {"g": 0.114, "rp": 0.356, "j": 0.91, "h": 1.39, "ks": 1.85, "w1": 2.70, "ps1_i": 0}
    column = QUANTITIES[name].columns[0]
    error = QUANTITIES[name].error_columns[0]
    table = {"source_id": np.array(IDS), column: [16.0, 17.0] * u.ABmag, error: [0.1, 0.2] * u.mag}
    scalar = read_stars(table).scalars[name]
    np.testing.assert_allclose(scalar.value, np.array([16.0, 17.0]) - AB_OFFSET[name])
    assert scalar.sigma.tolist() == [0.1, 0.2]
    assert abs(AB_OFFSET[name] - known.get(name, AB_OFFSET[name])) < 0.01


@pytest.mark.parametrize(
    "column, unit, expected",
    [
        ("j_m", u.STmag, r"mag\(ST\), expected mag \(Vega\)"),
        ("j_m", u.mag(u.Jy), r"mag\(Jy\), expected mag \(Vega\)"),
        ("j_m", u.dex, r"dex, expected mag \(Vega\)"),
        ("parallax", u.dex(u.mas), r"dex\(mas\), expected mas"),
        ("teff", u.dex(u.K), r"dex\(K\), expected K"),
        ("logg", u.dex(u.m), r"dex\(m\), expected dex"),
        ("logg", u.mag, "mag, expected dex"),
    ],
)
def test_other_logarithms_are_refused(column, unit, expected):
    table = Table({"source_id": IDS, "parallax": [1.0, 2.0], column: [3.0, 4.0]})
    table[column].unit = unit
    with pytest.raises(ValueError, match=f"column {column} is in {expected}"):
        read_stars(table)


def test_logarithms_of_gravity_are_converted():
    table = Table({"source_id": IDS, "parallax": [1.0, 2.0], "logg": [2.0, 2.5]})
    table["logg"].unit = u.dex(u.m / u.s**2)
    np.testing.assert_allclose(read_stars(table).scalars["logg"].value, [4.0, 4.5])
    table["logg"].unit = u.dex(u.cm / u.s**2)
    np.testing.assert_allclose(read_stars(table).scalars["logg"].value, [2.0, 2.5])


def test_a_foreign_header_in_parquet_costs_nothing(tmp_path):
    header = {b"table_meta_yaml": b"!!python/object/apply:os.system ['false']"}
    table = pa.table({"source_id": IDS, "parallax": [1.0, 2.0]}).replace_schema_metadata(header)
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_stars(tmp_path / "a.parquet").scalars["parallax"].value.tolist() == [1.0, 2.0]


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, exact", [("f2", 2**11), ("f4", 2**24), ("f8", 2**53)])
@pytest.mark.parametrize("form", ["dict", "fits", "parquet", "objects"])
def test_float_ids_are_refused_where_digits_may_be_lost(kind, exact, form, tmp_path):
    if kind == "f2" and form == "fits":
        form = "dict"  # FITS has no such numbers
    for value, is_sound in ((exact - 1, True), (exact, False)):
        ids = np.array([1, value], kind)
        table = {"source_id": ids, "parallax": np.ones(2)}
        if form == "objects":
            table["source_id"] = np.array(list(ids), object)
        if form == "fits":
            Table(table).write(tmp_path / "a.fits", overwrite=True)
        elif form == "parquet":
            pq.write_table(pa.table(table), tmp_path / "a.parquet")
        source = table if form in ("dict", "objects") else tmp_path / f"a.{form}"
        if is_sound:
            assert read_stars(source).source_id.tolist() == [1, value]
        else:
            with pytest.raises(ValueError, match="cannot hold a 64-bit id exactly"):
                read_stars(source)


def test_negative_ids_are_missing_whatever_their_type():
    for ids in (np.array([-5.0, 7.0]), np.array([-5, 7])):
        assert read_stars({"source_id": ids, "parallax": np.ones(2)}).source_id.tolist() == [-1, 7]


# --- what is left out, what is there twice --------------------------------------------------------


def test_files_of_a_folder_that_are_left_out_are_named(model_folder, tmp_path):
    folder = tmp_path / "mix"
    folder.mkdir()
    pq.write_table(pa.table({"source_id": [1], "parallax": [1.0]}), folder / "a.parquet")
    (folder / "b.csv").write_text("source_id,parallax\n2,1.0\n")
    (folder / "notes.txt").write_text("no table")
    with pytest.warns(UserWarning, match=r"only its Parquet files .*, b.csv \(1 files\) left out"):
        assert len(read_columns(folder)) == 1
    command = ["predict", str(folder), "--model", str(model_folder)]
    with pytest.warns(UserWarning, match=r"b.csv \(1 files\) left out"):
        assert main([*command, "--out", str(tmp_path / "o.parquet")]) == 0


def test_columns_of_one_name_are_refused():
    frame = pd.DataFrame([[1, 2, 1.0]], columns=["source_id", "source_id", "parallax"])
    arrow = pa.table([[1], [2], [1.0]], names=["source_id", "source_id", "parallax"])
    for table in (frame, arrow):
        with pytest.raises(ValueError, match=r"columns \['source_id'\] occur more than once"):
            read_stars(table)


def test_parquet_of_ab_magnitudes(tmp_path):
    table = Table({"source_id": IDS, "j_m": [12.0, 13.0]})
    table["j_m"].unit = u.ABmag
    table.write(tmp_path / "a.parquet")
    value = read_stars(tmp_path / "a.parquet").scalars["j"].value
    np.testing.assert_allclose(value, [11.09, 12.09])
