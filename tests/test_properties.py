"""What must hold for every table and every number, tried on many that hypothesis makes up (always the same ones)."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multistar import status
from multistar.io.ids import id_numbers
from multistar.io.write import to_astropy
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.quantities import MEASUREMENTS, QUANTITIES, Quantity, declared
from multistar.stars import Stars, read_stars

settings.register_profile(
    "multistar", derandomize=True, deadline=None, database=None, max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("multistar")

IDS = st.integers(0, 2**63 - 1)
CELL = st.none() | st.floats(allow_nan=True, allow_infinity=True)
EVERY = [
    *QUANTITIES.values(),
    declared("own", "label", transform="log"),
    declared("own", "label", transform="asinh"),
]
NAMES = ("source_id", "phot_g_mean_mag", "parallax", "parallax_error", "j_m", "j_msigcom")


def tables(cell=CELL, most: int = 6):
    """Dictionaries of columns: ids, magnitudes, a parallax and errors."""
    row = st.tuples(IDS, *[cell] * (len(NAMES) - 1))
    return st.lists(row, min_size=1, max_size=most).map(_columns)


def _columns(rows: list[tuple]) -> dict[str, np.ndarray]:
    ids, *numbers = zip(*rows, strict=True)
    values = [np.array([np.nan if x is None else x for x in column], float) for column in numbers]
    return dict(zip(NAMES, [np.array(ids, np.int64), *values], strict=True))


def values_of(quantity: Quantity):
    return st.floats(*(np.clip(v, -1e100, 1e100) for v in quantity.valid))


def same(one: Stars, other: Stars) -> None:
    np.testing.assert_array_equal(one.source_id, other.source_id)
    np.testing.assert_array_equal(one.flags, other.flags)
    assert one.scalars.keys() == other.scalars.keys()
    for name, scalar in one.scalars.items():
        np.testing.assert_array_equal(scalar.value, other.scalars[name].value)
        np.testing.assert_array_equal(scalar.sigma, other.scalars[name].sigma)


@pytest.mark.parametrize("quantity", EVERY, ids=lambda q: f"{q.name}-{q.transform}")
@given(data=st.data())
def test_transforms_go_there_and_back_and_keep_the_order(quantity, data):
    x = np.sort(data.draw(st.lists(values_of(quantity), min_size=2, max_size=6)))
    y = to_even_scale(quantity, x)
    assert np.isfinite(y).all() and (np.diff(y) >= 0).all()
    np.testing.assert_allclose(
        from_even_scale(quantity, y), x, rtol=1e-12 * max(1, np.abs(y).max()), atol=1e-12
    )
    missing = np.where(np.arange(len(x)) % 2, np.nan, x)
    np.testing.assert_array_equal(
        np.isnan(from_even_scale(quantity, to_even_scale(quantity, missing))), np.isnan(missing)
    )


@given(columns=tables())
def test_every_cell_is_read_as_it_is_or_missing_and_said(columns):
    stars = read_stars(columns)
    assert len(stars) == len(columns["source_id"])
    for name, column in (("g", "phot_g_mean_mag"), ("parallax", "parallax"), ("j", "j_m")):
        low, high = QUANTITIES[name].valid
        given_, read = columns[column], stars.scalars[name].value
        good = (given_ >= low) & (given_ <= high)
        np.testing.assert_array_equal(read, np.where(good, given_, np.nan))
        lost = ~good & ~np.isnan(given_)
        assert (stars.flags[lost] & status.BIT["bad_value"]).all()
        sigma = stars.scalars[name].sigma
        assert ((sigma > 0) | np.isnan(sigma)).all() and not np.isinf(sigma).any()


@given(columns=tables(), seed=st.integers(0, 99))
def test_the_order_of_rows_is_the_order_of_stars(columns, seed):
    order = np.random.default_rng(seed).permutation(len(columns["source_id"]))
    same(
        read_stars(columns).select(order),
        read_stars({name: x[order] for name, x in columns.items()}),
    )


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "ecsv", "fits", "vot", "parquet"])
@settings(max_examples=12)
@given(columns=tables(st.none() | st.floats(allow_nan=True, allow_infinity=False)))
def test_files_give_what_the_arrays_give(ending, columns):
    table = pa.table(columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"stars.{ending}"
        if ending == "parquet":
            pq.write_table(table, path)
        elif ending.startswith("csv"):
            table.to_pandas().to_csv(path, index=False)
        else:
            to_astropy(table).write(
                path, format={"vot": "votable", "ecsv": "ascii.ecsv"}.get(ending, ending)
            )
        same(read_stars(path), read_stars(columns))


@given(ids=st.lists(IDS | st.none(), max_size=8))
def test_ids_survive_as_numbers_and_text(ids):
    want = [-1 if i is None else i for i in ids]
    assert id_numbers(np.array(ids, object), "here", "id").tolist() == want
    texts = ["" if i is None else f" Gaia DR3 {i} " for i in ids]
    assert id_numbers(np.array([t.strip() for t in texts], object), "here", "id").tolist() == want


@given(text=st.text("0123456789 -+.eE_GaiDR\n\0²٣é", max_size=12))
def test_any_text_is_an_id_or_refused_in_one_line(text):
    try:
        (number,) = id_numbers(np.array([text], object), "here", "id")
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert number == -1 or str(number) in text.lstrip("0") or int(text.split()[-1]) == number


@given(flags=st.lists(st.integers(0, 2 ** len(status.FLAGS) - 1), min_size=1, max_size=8))
def test_words_tell_their_flags(flags):
    words = status.words(np.array(flags, np.uint16))
    told = [sum(int(status.BIT[w]) for w in text.split(",") if w != "ok") for text in words]
    assert told == flags


@given(
    x=st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=5),
    bracket=st.sampled_from(["()", "[]", "{}"]),
)
def test_vectors_as_text_are_vectors(x, bracket):
    text = bracket[0] + ", ".join("null" if v is None else repr(v) for v in x) + bracket[1]
    row = {"source_id": [1], "phot_g_mean_mag": [12.0], "bp_coefficients": np.array([text], object)}
    want = [np.nan if v is None else v for v in x]
    np.testing.assert_array_equal(read_stars(row).xp["bp"].value[0], want)


def test_the_measurements_of_these_tables_are_known():
    assert {"g", "parallax", "j"} <= set(MEASUREMENTS)
