"""Queries by measurements and labels against the truth of mock stars, and explanations against closed forms."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.index.explain import exactly, explain, part_distances, print_explanation
from multistar.index.search import search_like, search_stars, search_table
from multistar.index.star_index import StarIndex
from multistar.stars import read_stars


@pytest.fixture(scope="module")
def mini():
    return MultiStar.from_pretrained("mini")


@pytest.fixture(scope="module")
def index(mini, mock_table):
    return StarIndex.build(mini.embed(mock_table), metadata=mock_table)


@pytest.mark.parametrize(
    "names", [("teff", "logg", "mass"), ("teff", "logg", "m_h"), ("teff", "logg", "m_h", "ebv")]
)
def test_stars_like_labels_have_these_labels(index, mini, mock_table, names):
    """Five neighbours of labels that stars have: within a third of the spread, without bias to 0.3 of it."""
    truth = {name: mock_table[f"true_{name}"].to_numpy() for name in names}
    differences = []
    for row in range(0, 600, 20):
        wanted = {name: float(values[row]) for name, values in truth.items()}
        found, status = search_like(
            index, mini.model, wanted, 5, [f"true_{name}" for name in names]
        )
        assert status == "ok" and len(found) == 5
        differences.append(
            [found[f"true_{name}"].to_numpy().mean() - wanted[name] for name in names]
        )
    spread = np.array([values.std() for values in truth.values()])
    assert np.all(np.median(np.abs(differences), 0) < spread / 3)
    assert np.all(np.abs(np.median(differences, 0)) < 0.3 * spread)


def test_nonsense_labels_are_refused_and_odd_ones_flagged(index, mini, star_model):
    assert "outside_training" in search_like(index, mini.model, {"teff": 60000, "logg": 4.0}, 3)[1]
    with pytest.raises(ValueError, match=r"knows no \['temperature'\]; it knows \['g', "):
        search_like(index, mini.model, {"temperature": 4700}, 3)
    with pytest.raises(ValueError, match="impossible values: mass=-2"):
        search_like(index, mini.model, {"teff": 4700, "mass": -2}, 3)
    with pytest.raises(ValueError, match="dimensions|cannot be compared"):
        search_like(index, star_model.model, {"teff": 4700}, 3)


def test_a_stars_own_data_find_what_its_vector_finds(index, mini, mock_table):
    stars = mock_table[40:44]
    found = search_stars(index, mini.model, read_stars(stars), 5)
    want = index.neighbours(stars["source_id"].to_numpy(), 5)
    assert found["neighbour_id"].equals(want["neighbour_id"])
    np.testing.assert_allclose(found["distance"], want["distance"], atol=1e-5)
    empty = {"source_id": [1], "phot_g_mean_mag": [np.nan]}
    with pytest.raises(ValueError, match="no row has data and an id"):
        search_stars(index, mini.model, read_stars(empty), 5)


def test_a_table_of_another_model_is_refused(index, star_model, mock_table):
    with pytest.raises(
        ValueError, match="vectors have 16 dimensions, those of the index of 600 stars 256"
    ):
        list(search_table(index, star_model.embed(mock_table[:5]), 3))


def test_distances_by_part_are_zero_where_the_data_are_equal(star_model, mock_table):
    """One star, and copies of it that differ in their parallax, in XP, or lack them."""
    rows = pa.concat_tables([mock_table[3:4]] * 4).to_pandas()
    rows["source_id"] = [1, 2, 3, 4]
    rows.loc[1, "parallax"] += 5
    rows.at[2, "bp_coefficients"] = rows.at[2, "bp_coefficients"] * np.linspace(0.5, 2, 55)
    rows.loc[3, "parallax"] = np.nan
    distance = part_distances(
        star_model.model, read_stars(rows), np.array([1, 1, 1, 1, -1]), np.array([2, 3, 4, 99, 1])
    )
    np.testing.assert_allclose(distance["photometry"], [0, 0, 0, np.nan, np.nan], atol=1e-6)
    np.testing.assert_allclose(distance["xp"][[0, 2, 3, 4]], [0, 0, np.nan, np.nan], atol=1e-6)
    np.testing.assert_allclose(distance["parallax"][1:], [0, np.nan, np.nan, np.nan], atol=1e-6)
    assert distance["xp"][1] > 1e-5 and distance["parallax"][0] > 1e-5


def test_label_differences_and_their_errors(star_model, mock_table, capsys):
    vectors = star_model.embed(mock_table[:30])
    ids = mock_table["source_id"].to_numpy()[:30]
    teff = 4000 + 10.0 * np.arange(30)
    labels = {
        "source_id": ids,
        "teff": teff,
        "teff_lower": teff - 3,
        "teff_upper": teff + 3,
        "logg": np.full(30, 2.0),
    }
    index = StarIndex.build(vectors, metadata=labels)
    found = index.neighbours(ids[:2], 4)
    told = explain(found, index, star_model.model, read_stars(mock_table[:30]))
    value = dict(zip(ids.tolist(), teff.tolist(), strict=True))
    pairs = zip(found["query_id"].to_pylist(), found["neighbour_id"].to_pylist(), strict=True)
    np.testing.assert_array_equal(
        told["delta_teff"], [value[other] - value[one] for one, other in pairs]
    )
    np.testing.assert_allclose(told["delta_teff_error"], np.hypot(3, 3))
    assert (
        np.all(told["delta_logg"].to_numpy() == 0)
        and np.isnan(told["delta_logg_error"].to_numpy()).all()
    )
    assert told.schema.field("delta_teff").metadata == {b"unit": b"K"}
    assert np.all(told["distance_xp"].to_numpy() > 0)
    asked, _ = search_like(index, star_model.model, {"teff": 4055.0}, 3)
    told_like = explain(asked, index, labels=exactly({"teff": 4055.0}))
    np.testing.assert_array_equal(
        told_like["delta_teff"], [value[star] - 4055 for star in asked["neighbour_id"].to_pylist()]
    )
    np.testing.assert_allclose(told_like["delta_teff_error"], 3)
    print_explanation(told)
    text = capsys.readouterr().out
    assert all(f"neighbours of {star}" in text for star in ids[:2])
    assert "teff - query [K]" in text and "logg - query [dex]" in text
    assert all(str(star) in text for star in found["neighbour_id"].to_pylist())


def test_an_explanation_needs_the_model_of_the_index(index, star_model, mock_table):
    found = index.neighbours(mock_table["source_id"].to_numpy()[:1], 2)
    with pytest.raises(ValueError, match="the index is of the model"):
        explain(found, index, star_model.model, read_stars(mock_table[:5]))


def test_explanations_fit_the_screen(star_model, mock_table, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    table = star_model.predict(mock_table[:40])
    index = StarIndex.build(star_model.embed(mock_table[:40]), metadata=table)
    found = index.neighbours(mock_table["source_id"][:1].to_pylist(), 5)
    print_explanation(explain(found, index))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert text.count("neighbours of") == 3  # two at a time
    assert all(str(star) in text for star in found["neighbour_id"].to_pylist())


def test_neighbours_unlike_the_training_stars_are_named(
    star_model, mock_table, model_folder, tmp_path, capsys
):
    table = star_model.predict(mock_table[:40]).to_pandas()
    table["status"] = "ok"
    odd = table["source_id"][7]
    table.loc[7, "status"] = "no_xp,outside_training"
    table.to_parquet(tmp_path / "labels.parquet")
    pq.write_table(star_model.embed(mock_table[:40]), tmp_path / "v.parquet")
    words = ["index", str(tmp_path / "v.parquet"), "--metadata", str(tmp_path / "labels.parquet")]
    assert main([*words, "--out", str(tmp_path / "idx")]) == 0
    capsys.readouterr()
    query = str(table["source_id"][0])
    search = ["search", str(tmp_path / "idx"), "--source-id", query, "--with", "teff"]
    assert main([*search, "-k", "39"]) == 0
    said = capsys.readouterr()
    assert f"outside_training: 1 of the neighbours: {odd}" in said.err
    assert f"query {query}: teff {table['teff'][0]:.6g}" in said.err
