"""The index against brute force, and everything that it must refuse."""

import numpy as np
import pyarrow as pa
import pytest

from multistar.index.embeddings import Embeddings
from multistar.index.star_index import StarIndex

N, D = 200, 8


def some_embeddings(n: int = N, seed: int = 0) -> Embeddings:
    rng = np.random.default_rng(seed)
    vector = rng.normal(size=(n, D)).astype(np.float32)
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    ids = rng.permutation(n).astype(np.int64) * 3 + 2**62
    return Embeddings(ids, vector, np.ones(n, bool), "cafe")


@pytest.fixture(scope="module")
def index():
    return StarIndex.build(some_embeddings())


def test_neighbours_equal_brute_force(index):
    e = some_embeddings()
    found = index.neighbours(e.source_id[:20], 5)
    cosine = e.vector[:20] @ e.vector.T
    cosine[np.arange(20), np.arange(20)] = -2
    best = np.argsort(-cosine, axis=1)[:, :5]
    np.testing.assert_array_equal(
        found["neighbour_id"].to_numpy().reshape(20, 5), e.source_id[best]
    )
    np.testing.assert_allclose(
        found["distance"].to_numpy().reshape(20, 5),
        1 - np.take_along_axis(cosine, best, 1),
        atol=1e-5,
    )
    assert found["rank"].to_pylist()[:5] == [1, 2, 3, 4, 5]
    assert found["query_id"].type == found["neighbour_id"].type == pa.int64()


def test_the_star_itself_is_never_its_neighbour_even_with_twins():
    e = some_embeddings(20)
    e.vector[:] = e.vector[0]  # all the same: any order is right, but never the star itself
    found = StarIndex.build(e).neighbours(e.source_id, 5)
    assert len(found) == 100
    assert not np.any(found["query_id"].to_numpy() == found["neighbour_id"].to_numpy())


def test_k_larger_than_the_index_gives_all_others():
    e = some_embeddings(4)
    assert len(StarIndex.build(e).neighbours(e.source_id[:1], 99)) == 3


def test_index_of_one_star_has_no_neighbours():
    e = some_embeddings(1)
    assert len(StarIndex.build(e).neighbours(e.source_id, 5)) == 0


def test_save_and_load_give_the_same_answers(index, tmp_path):
    index.save(tmp_path / "idx")
    again = StarIndex.load(tmp_path / "idx")
    ids = index.source_id[:10]
    assert again.neighbours(ids, 7).equals(index.neighbours(ids, 7))
    assert again.model_sha256 == "cafe"
    with pytest.raises(FileExistsError):
        index.save(tmp_path / "idx")


def damaged(e: Embeddings, what: str) -> Embeddings:
    if what == "nan":
        e.vector[3, 2] = np.nan
    elif what == "norm":
        e.vector[3] *= 2
    elif what == "duplicate":
        e.source_id[5] = e.source_id[6]
    elif what == "no id":
        e.source_id[5] = -1
    elif what == "empty":
        return Embeddings(e.source_id[:0], e.vector[:0], e.has_data[:0], "")
    return e


@pytest.mark.parametrize("what, message", [
    ("nan", "1 vectors hold NaN"), ("norm", "not of unit norm"), ("duplicate", "occur more than once"),
    ("no id", "have no source_id"), ("empty", "empty"),
])  # fmt: skip
def test_bad_embeddings_are_refused(what, message):
    with pytest.raises(ValueError, match=message):
        StarIndex.build(damaged(some_embeddings(), what))


def test_bad_queries_are_refused(index):
    with pytest.raises(KeyError, match="not in the index"):
        index.neighbours([1], 3)
    with pytest.raises(ValueError, match="at least 1"):
        index.search(index.vectors(index.source_id[:1]), 0)
    with pytest.raises(ValueError, match="3 dimensions, the index has 8"):
        index.search(np.ones((1, 3), np.float32), 3)
    with pytest.raises(ValueError, match="NaN"):
        index.search(np.full((1, D), np.nan, np.float32), 3)


@pytest.mark.parametrize("name", ["index.faiss", "source_ids.npy", "card.json"])
def test_damaged_index_folders_are_refused(index, tmp_path, name):
    index.save(tmp_path / "idx")
    path = tmp_path / "idx" / name
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="SHA-256|not readable|cut off"):
        StarIndex.load(tmp_path / "idx")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        StarIndex.load(tmp_path / "idx")


def test_stars_without_data_or_id_are_left_out():
    table = pa.table({
        "source_id": [1, -1, 3], "status": ["ok", "bad_id", "no_xp,no_data"],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array([1.0, 0, 0, 1, 1, 0], pa.float32()), 2),
    })  # fmt: skip
    kept, left_out = Embeddings.from_table(table).searchable()
    assert kept.source_id.tolist() == [1]
    assert left_out == 2


def test_a_table_that_is_no_embedding_table_is_refused():
    with pytest.raises(ValueError, match="expected the output of multistar embed"):
        Embeddings.from_table(pa.table({"source_id": [1]}))
    with pytest.raises(ValueError, match="fixed-size list"):
        Embeddings.from_table(pa.table({"source_id": [1], "embedding": [1.0]}))


def test_an_index_is_built_from_what_embed_returns(star_model, mock_table):
    vectors = star_model.embed(mock_table[:30])
    index = StarIndex.build(vectors)
    assert index.model_sha256 == star_model.model.hash
    np.testing.assert_array_equal(index.source_id, mock_table["source_id"].to_numpy()[:30])


def test_an_index_never_replaces_a_folder_with_other_files(index, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match="also holds"):
        index.save(tmp_path, overwrite=True)
    index.save(tmp_path / "idx")
    index.save(tmp_path / "idx", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["idx", "thesis.tex"]


def test_k_must_be_at_least_one(index):
    with pytest.raises(ValueError, match="at least 1"):
        index.neighbours(index.source_id[:1], 0)
