"""Every kind of index against exact search, and every operation against an index built anew."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.index import embeddings as embeddings_module
from multistar.index import kinds, search, source
from multistar.index.embeddings import Embeddings
from multistar.index.kinds import KINDS
from multistar.index.search import search_table
from multistar.index.star_index import StarIndex

N, D, MODEL = 2500, 32, "cafe"
APPROXIMATE = [kind for kind in KINDS if kind != "exact"]


def clustered(n: int = N, d: int = D, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ids and unit vectors in clusters on a curved manifold of five dimensions."""
    rng = np.random.default_rng(seed)
    point = rng.normal(size=(20, 5))[rng.integers(20, size=n)] + 0.4 * rng.normal(size=(n, 5))
    map_ = np.random.default_rng(7)
    vector = np.tanh(point @ map_.normal(size=(5, 40))) @ map_.normal(size=(40, d))
    vector = (vector / np.linalg.norm(vector, axis=1, keepdims=True)).astype(np.float32)
    return rng.permutation(n).astype(np.int64) * 7 + 2**61 + seed * 2**40, vector


def table(ids: np.ndarray, vector: np.ndarray, model: str = MODEL, **columns) -> pa.Table:
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vector.ravel()), vector.shape[1])
    out = pa.table({"source_id": ids, "status": ["ok"] * len(ids), "embedding": flat} | columns)
    return out.replace_schema_metadata({"model_sha256": model, "metric": "cosine"})


IDS, VECTORS = clustered()
QUERIES = np.arange(0, N, 25)


def true_neighbours(ids: np.ndarray, vector: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """(queries, k) ids by brute force, in double precision."""
    cosine = vector[rows].astype(float) @ vector.T.astype(float)
    cosine[np.arange(len(rows)), rows] = -2
    return ids[np.argsort(-cosine, axis=1)[:, :k]]


def found_ids(index: StarIndex, rows=QUERIES, k: int = 10) -> np.ndarray:
    return (
        index.neighbours_of(VECTORS[rows], IDS[rows], k)["neighbour_id"]
        .to_numpy()
        .reshape(len(rows), k)
    )


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found[:, :, None] == truth[:, None, :]).any(2).mean())


@pytest.fixture(scope="module")
def built():
    """An index of each kind."""
    return {kind: StarIndex.build(table(IDS, VECTORS, g=np.arange(N) / 7), kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_recall_against_brute_force(built, kind):
    truth = true_neighbours(IDS, VECTORS, QUERIES, 10)
    found = recall(found_ids(built[kind]), truth)
    assert found == 1 if kind == "exact" else found > 0.95
    assert abs(built[kind].recall - found) < 0.05  # what the index says of itself


@pytest.mark.parametrize("kind", KINDS)
def test_distances_are_one_minus_cosine(built, kind):
    found = built[kind].neighbours_of(VECTORS[QUERIES], IDS[QUERIES], 5)
    place = {int(star): row for row, star in enumerate(IDS)}
    pairs = [
        [place[star] for star in found[name].to_pylist()] for name in ("query_id", "neighbour_id")
    ]
    cosine = np.einsum("nd,nd->n", VECTORS[pairs[0]].astype(float), VECTORS[pairs[1]].astype(float))
    tolerance = 1e-6 if kind in ("exact", "hnsw") else 2e-3
    np.testing.assert_allclose(found["distance"].to_numpy(), 1 - cosine, atol=tolerance)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hnsw"])
def test_the_order_of_rows_changes_nothing(built, kind):
    order = np.random.default_rng(3).permutation(N)
    other = StarIndex.build(table(IDS[order], VECTORS[order]), kind)
    np.testing.assert_array_equal(found_ids(other), found_ids(built[kind]))
    assert other.recall == built[kind].recall


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_index_gives_the_same_answers(built, kind, mapped, tmp_path):
    index = built[kind]
    index.save(tmp_path / "idx")
    again = StarIndex.load(tmp_path / "idx", mapped=mapped)
    assert again.neighbours(IDS[:50], 7, ["g"]).equals(index.neighbours(IDS[:50], 7, ["g"]))
    for name in ("model_sha256", "kind", "reason", "parameters", "recall", "dimension"):
        assert getattr(again, name) == getattr(index, name)
    if mapped:
        with pytest.raises(ValueError, match="cannot be changed"):
            again.delete(IDS[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_what_single_queries_give(built, kind):
    batch = built[kind].neighbours_of(VECTORS[QUERIES], IDS[QUERIES], 10)
    single = [built[kind].neighbours_of(VECTORS[[row]], IDS[[row]], 10) for row in QUERIES]
    single = pa.concat_tables(single)
    assert single["neighbour_id"].equals(batch["neighbour_id"])
    np.testing.assert_allclose(single["distance"], batch["distance"], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_add_and_delete_equal_an_index_built_anew(kind):
    half, gone = N // 2, IDS[::5]
    kept = ~np.isin(IDS, gone)
    changed = StarIndex.build(table(IDS[:half], VECTORS[:half]), kind)
    assert changed.add(table(IDS[half:], VECTORS[half:])) == N - half
    changed.delete(gone)
    assert len(changed) == kept.sum()
    assert not changed.contains(gone).any() and changed.contains(IDS[kept]).all()
    queries = np.flatnonzero(kept)[::25]
    truth = true_neighbours(IDS[kept], VECTORS[kept], np.arange(kept.sum())[::25], 10)
    found = found_ids(changed, queries)
    assert not np.isin(found, gone).any()
    assert np.array_equal(found, truth) if kind == "exact" else recall(found, truth) > 0.95
    anew = StarIndex.build(changed)
    assert (
        anew.kind == "exact" and len(anew.source_id) == kept.sum()
    )  # the place of the deleted came back


@pytest.mark.parametrize("kind", KINDS)
def test_merging_equals_building_from_the_union(built, kind):
    third = N // 3
    parts = [StarIndex.build(table(IDS[rows], VECTORS[rows], g=np.arange(N)[rows] / 7), kind)
             for rows in (slice(0, third), slice(third, N))]  # fmt: skip
    merged = StarIndex.merge(parts, kind)
    assert recall(found_ids(merged), found_ids(built[kind])) > (
        0.999 if kind in ("exact", "hnsw", "rabitq") else 0.95
    )
    np.testing.assert_array_equal(merged.numbers(IDS)["g"], np.arange(N) / 7)


def test_more_neighbours_than_stars_gives_all_of_them(built):
    for index in built.values():
        found = index.neighbours(IDS[:2], N + 5)
        for star in IDS[:2]:
            rows = found.filter(np.asarray(found["query_id"]) == star)
            assert len(rows) == len(set(rows["neighbour_id"].to_pylist())) == N - 1
    foreign = built["exact"].neighbours_of(
        VECTORS[:1], np.array([5]), N + 5
    )  # a star that is not in the index
    assert len(foreign) == N


def test_effort_grows_until_the_recall_is_reached():
    """Vectors without any structure need more lists than the start values look into."""
    rng = np.random.default_rng(0)
    vector = rng.normal(size=(6000, 16)).astype(np.float32)
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    index = StarIndex.build(table(np.arange(6000), vector), "rabitq")
    start = KINDS["rabitq"].effort
    assert (
        index.parameters["nprobe"] > start["nprobe"]
        and index.parameters["refine"] > start["refine"]
    )
    assert index.recall > 0.95


def test_the_number_of_stars_chooses_the_kind():
    assert [kinds.choose(n)[0] for n in (1, 100_000, 100_001, 10**6, 10**8)] == [
        "exact", "exact", "ivf-sq8", "ivf-sq8", "pca-sq8"
    ]  # fmt: skip
    assert "1,000,000 stars" in kinds.choose(10**6)[1]
    with pytest.raises(ValueError, match=r"unknown kind of index 'kd-tree'; known are \['exact'"):
        kinds.choose(5, "kd-tree")


@pytest.mark.parametrize("kind", KINDS)
def test_few_stars_are_enough_but_for_principal_components(kind):
    for n in (1, 2, D - 1, D):
        if kind == "pca-sq8" and n < D:
            with pytest.raises(
                ValueError, match=f"at least {D} stars, one for each dimension; there are {n}"
            ):
                StarIndex.build(table(IDS[:n], VECTORS[:n]), kind)
            continue
        index = StarIndex.build(table(IDS[:n], VECTORS[:n]), kind)
        assert len(index.neighbours(IDS[:1], 40)) == n - 1


def test_files_are_read_in_chunks(tmp_path, monkeypatch):
    whole = StarIndex.build(table(IDS, VECTORS), "ivf-sq8")
    (tmp_path / "shards").mkdir()
    for i, rows in enumerate((slice(0, 900), slice(900, N))):
        pq.write_table(
            table(IDS[rows], VECTORS[rows]),
            tmp_path / "shards" / f"{i}.parquet",
            row_group_size=300,
        )
    seen = []
    monkeypatch.setattr(embeddings_module, "CHUNK", 200)
    monkeypatch.setattr(source, "check_vectors", lambda vectors, ids: seen.append(len(vectors)))
    streamed = StarIndex.build(tmp_path / "shards", "ivf-sq8")
    assert max(seen) <= 200 and sum(seen) == 2 * N  # once to train, once to add
    np.testing.assert_array_equal(found_ids(streamed), found_ids(whole))
    np.testing.assert_array_equal(streamed.source_id, IDS)


def test_batches_from_a_file_equal_queries_by_vector(built, tmp_path, monkeypatch):
    pq.write_table(table(IDS[QUERIES], VECTORS[QUERIES]), tmp_path / "q.parquet")
    monkeypatch.setattr(embeddings_module, "CHUNK", 30)
    parts = list(search_table(built["exact"], tmp_path / "q.parquet", 10, ["g"]))
    assert len(parts) == -(-len(QUERIES) // 30)
    found = pa.concat_tables(parts)
    monkeypatch.setattr(search, "AT_ONCE", 75)  # many neighbours of few stars at once
    assert pa.concat_tables(search_table(built["exact"], tmp_path / "q.parquet", 10, ["g"])).equals(
        found
    )
    np.testing.assert_array_equal(found["neighbour_id"], found_ids(built["exact"]).ravel())
    row = {int(star): row for row, star in enumerate(IDS)}
    np.testing.assert_array_equal(
        found["g"], [row[star] / 7 for star in found["neighbour_id"].to_pylist()]
    )


def test_duplicates_are_refused_or_the_first_or_last_stays():
    ids = np.r_[IDS[:50], IDS[:10]]
    vectors = VECTORS[:60]
    with pytest.raises(
        ValueError, match="10 source_ids occur more than once .*2 times.*--duplicates"
    ):
        StarIndex.build(table(ids, vectors))
    first, last = (
        StarIndex.build(table(ids, vectors), duplicates=which) for which in ("first", "last")
    )
    np.testing.assert_allclose(first.vectors(IDS[:10]), vectors[:10], atol=1e-6)
    np.testing.assert_allclose(last.vectors(IDS[:10]), vectors[50:], atol=1e-6)
    assert len(first) == len(last) == 50
    index = StarIndex.build(table(IDS[:50], VECTORS[:50]))
    with pytest.raises(ValueError, match="occur more than once"):
        index.add(table(IDS[40:60], VECTORS[140:160]))
    assert len(index) == 50
    assert index.add(table(IDS[40:60], VECTORS[140:160]), "first") == 10
    np.testing.assert_allclose(index.vectors(IDS[40:50]), VECTORS[40:50], atol=1e-6)
    assert index.add(table(IDS[40:60], VECTORS[140:160]), "last") == 20
    np.testing.assert_allclose(index.vectors(IDS[40:60]), VECTORS[140:160], atol=1e-6)
    assert len(index) == 60


@pytest.mark.parametrize("kind", KINDS)
def test_dedupe_keeps_one_of_stars_with_one_vector(kind):
    """One vector forty times, more often than the search looks for at once, and one twice."""
    vectors = np.concatenate([VECTORS[:100], np.repeat(VECTORS[:1], 39, 0), VECTORS[5:6]])
    index = StarIndex.build(table(IDS[:140], vectors), kind)
    assert index.dedupe() == 40
    np.testing.assert_array_equal(
        np.sort(index.source_id[index.source_id >= 0]), np.sort(IDS[:100])
    )


def test_metadata_come_from_both_tables_and_survive_everything(tmp_path):
    stars = table(IDS[:60], VECTORS[:60], ra=np.arange(60.0), band=["g"] * 60)
    other = pa.table(
        {
            "source_id": IDS[10:70],
            "teff": np.arange(10, 70),
            "name": ["x"] * 60,
            "ra": np.full(60, -1.0),
        }
    )
    other = other.cast(
        pa.schema([f.with_metadata({"unit": "K"}) if f.name == "teff" else f for f in other.schema])
    )
    pq.write_table(other, tmp_path / "labels.parquet")
    index = StarIndex.build(stars, metadata=tmp_path / "labels.parquet", columns=["teff"])
    assert index.metadata.names == ("ra", "teff")
    np.testing.assert_array_equal(
        index.numbers(IDS[:60])["teff"], np.r_[np.full(10, np.nan), np.arange(10, 60)]
    )
    index.add(table(IDS[60:62], VECTORS[60:62], dec=np.array([1.0, 2.0])))
    index.delete(IDS[20:30])
    index.save(tmp_path / "idx")
    index = StarIndex.build(StarIndex.load(tmp_path / "idx", mapped=True))
    np.testing.assert_array_equal(index.numbers(IDS[59:62])["dec"], [np.nan, 1, 2])
    found = index.neighbours(IDS[40:41], 3, ["teff", "ra"])
    assert found.column_names[4:] == ["teff", "ra"] and found.schema.field("teff").metadata == {
        b"unit": b"K"
    }
    place = {int(star): row for row, star in enumerate(IDS)}
    np.testing.assert_array_equal(
        found["ra"], [place[star] for star in found["neighbour_id"].to_pylist()]
    )
    with pytest.raises(KeyError, match=r"no column 'logg'; it has \['ra', 'teff', 'dec'\]"):
        index.neighbours(IDS[40:41], 3, ["logg"])


def test_a_column_called_distance_does_not_hide_the_distance():
    index = StarIndex.build(table(IDS[:60], VECTORS[:60], distance=np.arange(60.0)))
    found = index.neighbours(IDS[:1], 2, ["distance"])
    assert found.column_names[3:] == ["distance", "neighbour_distance"]
    assert found["distance"].to_numpy().max() <= 2


@pytest.mark.parametrize("other, message", [
    ({"source_id": IDS[:3], "teff": ["hot", "hot", "cold"]}, r"no numeric column \['teff'\]"),
    ({"source_id": IDS[[0, 1, 0]], "teff": [1.0, 2.0, 3.0]}, "1 stars occur more than once"),
    ({"name": ["a", "b", "c"], "teff": [1.0, 2.0, 3.0]}, "no column source_id to join by"),
    ({"source_id": IDS[:3], "teff": [2**60 + 1, 2, 3]}, "integers above 2"),
])  # fmt: skip
def test_metadata_that_cannot_be_meant_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        StarIndex.build(table(IDS[:5], VECTORS[:5]), metadata=pa.table(other), columns=["teff"])


def broken(what: str) -> pa.Table:
    vector = VECTORS[:40].copy()
    if what == "nan":
        vector[3, 2] = np.nan
    if what == "norm":
        vector[3] *= 2
    if what == "null":
        cells = [None if i == 3 else list(map(float, v)) for i, v in enumerate(vector)]
        column = pa.array(cells, pa.list_(pa.float32(), D))
        good = table(IDS[:40], vector)
        return good.set_column(2, "embedding", column)
    out = table(IDS[:40], vector, model="beef" if what == "model" else MODEL)
    if what == "metric":
        out = out.replace_schema_metadata({"model_sha256": MODEL, "metric": "euclidean"})
    if what == "dimension":
        out = table(IDS[:40], vector[:, :8] / np.linalg.norm(vector[:, :8], axis=1, keepdims=True))
    if what == "text ids":
        out = out.set_column(0, "source_id", pa.array([str(x) for x in IDS[:40]]))
    return out


FAULTS = {
    "nan": "1 vectors hold NaN", "norm": "not of unit norm", "null": "1 rows have no embedding",
    "metric": "metric 'euclidean'", "text ids": "must hold integers",
}  # fmt: skip
MISMATCHES = {
    "model": "made by the model beef, the index of 2500 stars by cafe",
    "dimension": "have 8 dimensions",
}


@pytest.mark.parametrize("what", FAULTS)
@pytest.mark.parametrize("kind", ["exact", "pca-sq8"])
def test_faulty_tables_build_no_index(what, kind):
    with pytest.raises(ValueError, match=FAULTS[what]):
        StarIndex.build(broken(what), kind)


@pytest.mark.parametrize("what", FAULTS | MISMATCHES)
def test_faulty_tables_are_neither_added_nor_searched_for(built, what):
    index = built["exact"]
    with pytest.raises(ValueError, match=(FAULTS | MISMATCHES)[what]):
        index.add(broken(what), "last")
    with pytest.raises(ValueError, match=(FAULTS | MISMATCHES)[what]):
        list(search_table(index, broken(what), 3))
    assert len(index) == len(index.source_id) == N


def test_indices_of_two_models_are_not_merged(built):
    other = StarIndex.build(table(IDS[:9], VECTORS[:9], model=""))
    with pytest.raises(ValueError, match="unknown .the table does not say."):
        StarIndex.merge([built["exact"], other], duplicates="first")


def test_rows_without_data_or_id_are_left_out_and_counted(tmp_path):
    stars = table(np.r_[IDS[:5], -1], VECTORS[:6])
    stars = stars.set_column(
        1, "status", pa.array(["ok", "no_xp,no_data", "no_xp", "ok", "ok", "bad_id"])
    )
    pq.write_table(stars, tmp_path / "e.parquet")
    for given in (stars, tmp_path / "e.parquet"):
        index = StarIndex.build(given)
        assert index.left_out == 2
        np.testing.assert_array_equal(index.source_id, IDS[[0, 2, 3, 4]])
    found = pa.concat_tables(search_table(index, stars, 2))
    assert len(found) == 8 and found.schema.metadata[b"left_out"] == b"2"
    with pytest.raises(ValueError, match="an index of no stars"):
        StarIndex.build(stars[:0])
    with pytest.raises(ValueError, match="1 stars have no source_id"):
        StarIndex.build(Embeddings.from_table(stars))


@pytest.mark.parametrize("kind", ["exact", "hnsw", "ivf-sq8", "rabitq"])
def test_chunks_without_any_data_are_no_obstacle(kind, monkeypatch):
    monkeypatch.setattr(embeddings_module, "CHUNK", 10)
    status = pa.array(["ok"] * 20 + ["no_xp,no_data"] * 20 + ["ok"] * 20)
    stars = table(IDS[:60], VECTORS[:60]).set_column(1, "status", status)
    index = StarIndex.build(stars, kind)
    assert len(index) == 40 and index.left_out == 20
    assert index.add(table(IDS[50:70], VECTORS[50:70]), "first") == 10
    assert len(pa.concat_tables(search_table(index, stars, 3))) == 120


def test_an_index_without_stars_left_says_so():
    index = StarIndex.build(table(IDS[:2], VECTORS[:2]))
    index.delete(IDS[:2])
    with pytest.raises(ValueError, match="the index is empty"):
        index.search(VECTORS[:1], 1)
    with pytest.raises(KeyError, match="1 source_ids are not in the index of 0 stars"):
        index.delete(IDS[:1])
    with pytest.raises(KeyError, match="not in the index"):
        index.vectors([-1])


def test_what_was_changed_on_disk_is_refused(built, tmp_path):
    folder = tmp_path / "idx"
    for name in ("index.faiss", "source_ids.npy", "id_order.npy", "metadata.npy"):
        built["ivf-sq8"].save(folder, overwrite=True)
        content = bytearray((folder / name).read_bytes())
        (folder / name).write_bytes(content[:-3])
        for verify in (True, False):
            with pytest.raises(ValueError, match=f"{name}: .*cut off"):
                StarIndex.load(folder, mapped=True, verify=verify)
        content[-1] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: SHA-256 is"):
            StarIndex.load(folder)


def test_cards_that_do_not_fit_are_refused(built, tmp_path):
    folder = tmp_path / "idx"
    built["exact"].save(folder)
    card = json.loads((folder / "card.json").read_text())
    assert (
        card["index"]["kind"] == "exact"
        and card["index"]["metric"] == "cosine"
        and card["index"]["stars"] == N
    )
    for change, message in (
        ({"format": 1}, "expected an index card of format 2, got 1"),
        ({"index": card["index"] | {"stars": 5}}, "do not fit together"),
        ({"index": card["index"] | {"dimension": 5}}, "do not fit together"),
        ({"index": {"kind": "exact"}}, "not readable as an index card"),
        ({"files": {}}, "not readable as an index card"),
    ):
        (folder / "card.json").write_text(json.dumps(card | change))
        with pytest.raises(ValueError, match=message):
            StarIndex.load(folder)
