"""The command line end to end: mock -> predict, embed -> index -> search; every failure is one clear line."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from multistar.cli.app import main
from multistar.model.checkpoint import load_model
from multistar.quantities import LABELS


def run(*arguments, code: int = 0) -> None:
    assert main([str(a) for a in arguments]) == code


@pytest.fixture(scope="module")
def work(mock_file, model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    run("predict", mock_file, "--model", model_folder, "--out", folder / "labels.parquet")
    run("embed", mock_file, "--model", model_folder, "--out", folder / "vectors.parquet")
    run("index", folder / "vectors.parquet", "--out", folder / "idx")
    return folder


def test_predict_writes_the_contract(work, mock_table):
    table = pq.read_table(work / "labels.parquet")
    wanted = ["source_id", "status"] + [
        f"{label}{s}" for label in LABELS for s in ("", "_lower", "_upper")
    ]
    assert table.column_names == wanted
    assert table["source_id"].to_pylist() == mock_table["source_id"].to_pylist()
    assert table.schema.field("teff").metadata[b"unit"] == b"K"
    assert len(table.schema.metadata[b"model_sha256"]) == 64
    frame = table.to_pandas()
    for label in LABELS:
        assert np.all(
            (frame[f"{label}_lower"] < frame[label]) & (frame[label] < frame[f"{label}_upper"])
        )


def test_embed_writes_the_contract(work, mock_table):
    table = pq.read_table(work / "vectors.parquet")
    assert table.column_names == ["source_id", "status", "embedding"]
    assert table["source_id"].to_pylist() == mock_table["source_id"].to_pylist()
    assert table.schema.field("embedding").type.list_size == 16


def test_search_by_id_and_by_table(work, mock_table, capsys):
    ids = mock_table["source_id"].to_pylist()[:3]
    run("search", work / "idx", "--source-id", ids[0], "--k", 4)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 4
    pq.write_table(mock_table.select(["source_id"])[:3], work / "ids.parquet")
    run(
        "search",
        work / "idx",
        "--queries",
        work / "ids.parquet",
        "--k",
        4,
        "--out",
        work / "found.parquet",
    )
    found = pq.read_table(work / "found.parquet")
    assert found.column_names == ["query_id", "rank", "neighbour_id", "distance"]
    assert found["neighbour_id"].to_pylist()[:4] == [int(line.split()[2]) for line in lines]


def test_an_index_with_labels_is_made_changed_and_searched(
    work, mock_file, mock_table, model_folder, capsys
):
    vectors, labels = pq.read_table(work / "vectors.parquet"), work / "labels.parquet"
    pq.write_table(vectors[:400], work / "a.parquet")
    pq.write_table(vectors[400:], work / "b.parquet")
    run("index", work / "a.parquet", "--kind", "ivf-sq8", "--metadata", labels, "--out", work / "a")
    assert "kind ivf-sq8: as asked for; recall@10" in capsys.readouterr().out
    keep = ["--metadata", labels, "--keep", "teff,teff_lower,teff_upper,mass"]
    run("index", work / "b.parquet", *keep, "--out", work / "b")
    assert (
        "400 stars are few enough" not in (text := capsys.readouterr().out)
        and "200 stars are few" in text
    )
    pq.write_table(mock_table.select(["source_id"])[:10], work / "gone.parquet")
    run(
        "update",
        work / "a",
        "--delete",
        work / "gone.parquet",
        "--merge",
        work / "b",
        "--dedupe",
        "--out",
        work / "c",
    )
    assert "400 stars before" in (text := capsys.readouterr().out) and "index of 590 stars" in text
    batch = ["--table", work / "b.parquet", "-k", 3, "--with", "teff,mass"]
    run("search", work / "c", *batch, "--out", work / "n.parquet")
    found = pq.read_table(work / "n.parquet")
    assert len(found) == 600 and found.column_names[4:] == ["teff", "mass"]
    own = pq.read_table(labels).to_pandas().set_index("source_id")
    np.testing.assert_array_equal(found["teff"], own.loc[found["neighbour_id"].to_numpy(), "teff"])
    capsys.readouterr()
    pq.write_table(mock_table[:1], work / "star.parquet")
    for query in (["--like", "teff=4700", "logg=2.5"], ["--star", work / "star.parquet"]):
        arguments = [
            work / "c",
            *query,
            "-k",
            3,
            "--model",
            model_folder,
            "--explain",
            "--data",
            mock_file,
        ]
        run("search", *arguments, "--with", "mass", "--out", work / "e.parquet", "--overwrite")
        assert "teff - query [K]" in capsys.readouterr().out
        told = pq.read_table(work / "e.parquet")
        assert len(told) == 3 and np.isfinite(told["delta_teff_error"].to_numpy()).all()
        assert np.isfinite(told["distance_xp"].to_numpy()).all() == (query[0] == "--star")


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "csv"])
def test_predictions_in_other_formats(work, mock_file, model_folder, ending):
    out = work / f"labels.{ending}"
    run("predict", mock_file, "--model", model_folder, "--out", out)
    table = Table.read(out)
    want = pq.read_table(work / "labels.parquet")
    np.testing.assert_array_equal(np.asarray(table["source_id"]), want["source_id"].to_numpy())
    np.testing.assert_allclose(np.asarray(table["mass"]), want["mass"].to_numpy())


def test_mock_and_pretrain_commands(tmp_path, capsys):
    run("mock", "--stars", 200, "--seed", 2, "--out", tmp_path / "m.parquet")
    (tmp_path / "run.toml").write_text(
        'out = "model"\n[data]\ntrain = ["m.parquet"]\nheld_out = 0.2\n'
        "[model]\nwidth = 16\nencoder_depth = 1\ndecoder_depth = 1\nheads = 2\nembedding = 8\n"
        "[training]\nsteps = 3\nbatch = 16\n"
    )
    run("pretrain", tmp_path / "run.toml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.parquet", "model", "run.toml"]
    assert load_model(tmp_path / "model").provenance["sky_stars"] == 0
    run("pretrain", tmp_path / "run.toml", "--overwrite", "--sky", tmp_path / "m.parquet")
    assert load_model(tmp_path / "model").provenance["sky_stars"] > 100
    run("pretrain", tmp_path / "run.toml", code=2)
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, message", [
    (["predict", "absent.fits", "--model", "{model}", "--out", "x.parquet"], "no such file"),
    (["predict", "{mock}", "--model", "absent", "--out", "x.parquet"], "not a model folder"),
    (["predict", "{mock}", "--model", "{model}", "--out", "x.docx"], "known endings"),
    (["predict", "{mock}", "--model", "{model}", "--out", "x.parquet", "--columns", "teff"], "QUANTITY=COLUMN"),
    (["embed", "{mock}", "--model", "{model}", "--out", "{mock}"], "exists already"),
    (["embed", "{mock}", "--model", "{model}", "--out", "x.csv"], "CSV cannot hold embeddings"),
    (["index", "{mock}", "--out", "i"], "expected the output of multistar embed"),
    (["search", "absent", "--source-id", "1"], "not an index folder"),
    (["search", "{index}", "--source-id", "1"], "not in the index"),
    (["search", "{index}", "--table", "{mock}"], "expected the output of multistar embed"),
    (["search", "{index}", "--like", "teff=4700"], "dimensions"),
    (["search", "{index}", "--source-id", "1", "--with", "teff", "--out", "x.docx"], "known endings"),
    (["index", "absent.parquet", "--out", "i"], "no such file"),
    (["index", "{mock}", "--kind", "tree", "--out", "{index}"], "exists already"),
    (["update", "{index}", "--delete", "{mock}", "--merge", "absent", "--out", "i"], "not an index folder"),
    (["pretrain", "absent.toml"], "no such run file"),
    (["mock", "--stars", "-3", "--out", "x.parquet"], "at least 1"),
])  # fmt: skip
def test_failures_are_one_clear_line(
    arguments, message, mock_file, model_folder, work, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    places = {"mock": mock_file, "model": model_folder, "index": work / "idx"}
    run(*[a.format(**places) for a in arguments], code=2)
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_source_id_is_refused(work, capsys):
    with pytest.raises(SystemExit):
        main(["search", str(work / "idx"), "--source-id", "99999999999999999999999"])
    assert "no 64-bit source_id" in capsys.readouterr().err


def test_fits_and_votable_keep_the_models_hash(work, mock_file, model_folder):
    want = pq.read_table(work / "labels.parquet").schema.metadata[b"model_sha256"].decode()
    for ending in ("fits", "vot"):
        run("predict", mock_file, "--model", model_folder, "--out", work / f"again.{ending}")
        assert want in str(Table.read(work / f"again.{ending}").meta)
