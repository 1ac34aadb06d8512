"""Folders of tables: bounded parts, nothing lost, nothing done twice, the same bytes after a kill at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.api import MultiStar
from multistar.batch import job as job_module
from multistar.batch.folder import prepare, process, run, shards
from multistar.batch.job import Job
from multistar.cli.app import main
from multistar.inference import samples as samples_module
from multistar.inference import stream as stream_module
from multistar.io.chunks import read_chunks, strip_ending
from multistar.io.files import sha256
from multistar.io.tables import read_columns
from multistar.io.write import to_astropy
from multistar.stars import read_stars
from multistar.status import with_word


@pytest.fixture(scope="module")
def bare(mock_table) -> pa.Table:
    """60 stars with XP, photometry and parallax."""
    names = [
        "source_id",
        *(f"{band}_coefficient{end}" for band in ("bp", "rp") for end in ("s", "_errors")),
    ]
    names += ["phot_g_mean_mag", "phot_g_mean_mag_error", "parallax", "parallax_error"]
    return mock_table.replace_schema_metadata().select(names)[:60]


@pytest.fixture
def folder(bare, tmp_path) -> Path:
    """Three tables in three formats."""
    source = tmp_path / "in"
    source.mkdir()
    pq.write_table(bare[:25], source / "a.parquet")
    to_astropy(bare[25:40]).write(source / "b.fits")
    scalars = bare[40:].select(
        ["source_id", "phot_g_mean_mag", "phot_g_mean_mag_error", "parallax", "parallax_error"]
    )
    scalars.to_pandas().to_csv(source / "c.csv.gz", index=False)
    (source / "notes.txt").write_text("no table")
    return source


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz", "fits", "vot", "ecsv"])
def test_parts_of_a_table_are_the_whole(bare, ending, tmp_path):
    path = tmp_path / f"stars.v1.{ending}"
    plain = (
        bare
        if ending in ("parquet", "fits")
        else bare.select(["source_id", "phot_g_mean_mag", "parallax"])
    )
    if ending == "parquet":
        pq.write_table(plain, path)
    elif "csv" in ending and ending != "ecsv":
        plain.to_pandas().to_csv(path, index=False)
    else:
        to_astropy(plain).write(
            path, format={"vot": "votable", "ecsv": "ascii.ecsv"}.get(ending, ending)
        )
    parts = list(read_chunks(path, 25))
    assert [len(part) for part in parts] == [25, 25, 10]
    assert all(part.origin == str(path) for part in parts)
    whole = read_stars(read_columns(path))
    pieces = [read_stars(part) for part in parts]
    np.testing.assert_array_equal(np.concatenate([p.source_id for p in pieces]), whole.source_id)
    for name, scalar in whole.scalars.items():
        np.testing.assert_array_equal(
            np.concatenate([p.scalars[name].value for p in pieces]), scalar.value
        )
    for band, xp in whole.xp.items():
        np.testing.assert_array_equal(np.concatenate([p.xp[band].value for p in pieces]), xp.value)
    assert strip_ending(path) == "stars.v1"


def test_parts_of_parquet_do_not_follow_its_row_groups_nor_keep_them(bare, tmp_path):
    """Arrow holds what a few row groups need, not what all of them together do."""
    many = pa.concat_tables([bare] * 40).combine_chunks()
    pq.write_table(many, tmp_path / "many.parquet", row_group_size=60)
    before = pa.total_allocated_bytes()
    sizes, held, ids = [], [], []
    for part in read_chunks(tmp_path / "many.parquet", 50):
        sizes.append(len(part))
        ids.append(np.asarray(part["source_id"]).copy())
        held.append(pa.total_allocated_bytes())
    assert sizes == [50] * 48
    np.testing.assert_array_equal(np.concatenate(ids), many["source_id"].to_numpy())
    assert max(held) - before < 0.5 * many.nbytes


def test_an_empty_table_is_one_empty_part(bare, tmp_path, model_folder):
    pq.write_table(bare[:0], tmp_path / "none.parquet")
    assert [len(part) for part in read_chunks(tmp_path / "none.parquet")] == [0]
    written = Job("embed", str(model_folder)).write(
        tmp_path / "none.parquet", tmp_path / "out.parquet"
    )
    assert written == {"rows": 0, "status": {}}
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


@pytest.mark.parametrize("command", ["embed", "predict"])
def test_what_is_written_in_parts_is_what_python_gives(
    command, bare, model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(job_module, "ROWS", 17)
    pq.write_table(bare, tmp_path / "stars.parquet")
    written = Job(command, str(model_folder)).write(
        tmp_path / "stars.parquet", tmp_path / "out.parquet"
    )
    whole = getattr(MultiStar.from_pretrained(model_folder), command)(bare)
    result = pq.read_table(tmp_path / "out.parquet")
    assert result["source_id"].equals(whole["source_id"])
    assert result["status"].equals(whole["status"])
    assert result.schema.metadata[b"model_sha256"] == whole.schema.metadata[b"model_sha256"]
    assert written["rows"] == 60 == sum(written["status"].values())
    last = result.column_names[-1]
    one, other = (np.stack(t[last].to_numpy(zero_copy_only=False)) for t in (result, whole))
    np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-4)  # other batches, other rounding


def test_an_id_that_returns_in_another_part_is_flagged_everywhere(
    bare, model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(job_module, "ROWS", 16)
    pq.write_table(pa.concat_tables([bare[:40], bare[3:4]]), tmp_path / "stars.parquet")
    written = Job("embed", str(model_folder)).write(
        tmp_path / "stars.parquet", tmp_path / "out.parquet"
    )
    result = pq.read_table(tmp_path / "out.parquet")
    flagged = ["duplicate_id" in text for text in result["status"].to_pylist()]
    assert np.flatnonzero(flagged).tolist() == [3, 40]
    assert sum(n for text, n in written["status"].items() if "duplicate_id" in text) == 2
    assert list(tmp_path.glob(".*")) == []


def test_words_keep_their_order():
    assert with_word(
        np.array(["ok", "no_xp,outside_training"], object), "duplicate_id"
    ).tolist() == [
        "duplicate_id",
        "no_xp,duplicate_id,outside_training",
    ]


def test_a_folder_becomes_a_folder_and_nothing_is_done_twice(
    folder, bare, model_folder, tmp_path, capsys
):
    command = ["embed", str(folder), "--model", str(model_folder), "--out", str(tmp_path / "out")]
    log = tmp_path / "log.jsonl"
    assert main([*command, "--log", str(log)]) == 0
    results = {p.name: sha256(p) for p in (tmp_path / "out").glob("*.parquet")}
    assert set(results) == {"a.parquet", "b.parquet", "c.parquet"}
    for name, rows in (("a", bare[:25]), ("b", bare[25:40]), ("c", bare[40:])):
        ids = pq.read_table(tmp_path / "out" / f"{name}.parquet")["source_id"]
        assert ids.to_pylist() == rows["source_id"].to_pylist()
        record = json.loads((tmp_path / "out" / f"{name}.record.json").read_text())
        assert record["sha256_out"] == results[f"{name}.parquet"]
        assert record["rows"] == len(rows)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["rows"] for line in lines] == [25, 15, 20]
    assert all(line["rows_per_second"] > 0 for line in lines)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    assert main(command) == 0
    assert "3 were done before" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == before


def test_a_dry_run_writes_nothing(folder, model_folder, tmp_path, capsys):
    command = [
        "predict",
        str(folder),
        "--model",
        str(model_folder),
        "--out",
        str(tmp_path / "out"),
        "--dry-run",
    ]
    assert main(command) == 0
    assert "3 of 3 tables to do" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_broken_tables_are_said_and_left_out_and_tried_again(
    folder, bare, model_folder, tmp_path, capsys
):
    whole = (folder / "a.parquet").read_bytes()
    (folder / "a.parquet").write_bytes(whole[: len(whole) // 2])
    command = ["embed", str(folder), "--model", str(model_folder), "--out", str(tmp_path / "out")]
    assert main(command) == 3
    assert "left out a.parquet" in capsys.readouterr().err
    assert not (tmp_path / "out" / "a.parquet").exists()
    assert (
        "not readable as parquet"
        in json.loads((tmp_path / "out" / "a.failed.json").read_text())["error"]
    )
    (folder / "a.parquet").write_bytes(whole)
    assert main(command) == 0
    assert pq.read_metadata(tmp_path / "out" / "a.parquet").num_rows == 25
    assert not (tmp_path / "out" / "a.failed.json").exists()


def test_shares_of_a_folder_are_disjoint_and_whole(folder, tmp_path):
    parts = [[s.name for s in shards(folder, tmp_path, (i, 2))] for i in range(2)]
    assert parts == [["a", "c"], ["b"]]
    with pytest.raises(ValueError, match="part 3 of 2"):
        shards(folder, tmp_path, (2, 2))


def test_names_that_collide_empty_folders_and_foreign_folders_are_refused(
    folder, bare, model_folder, tmp_path
):
    job = Job("embed", str(model_folder))
    pq.write_table(bare[:2], folder / "b.parquet")
    with pytest.raises(ValueError, match="would have one result"):
        shards(folder, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no table in this folder"):
        shards(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        prepare(tmp_path / "theirs", job)
    prepare(tmp_path / "out", job)
    with pytest.raises(ValueError, match=r"another job \(different \['command', 'options'\]\)"):
        prepare(tmp_path / "out", Job("predict", str(model_folder)))
    with pytest.raises(ValueError, match="knows no options"):
        Job("embed", options={"samples": 3})


def test_a_result_without_a_sound_record_is_made_again(folder, model_folder, tmp_path):
    job, todo = Job("embed", str(model_folder)), shards(folder, tmp_path / "out")
    prepare(tmp_path / "out", job)
    run(todo, job, quiet=True)
    assert all(shard.is_done() for shard in todo)
    todo[0].record.write_text("{")
    todo[1].result.write_bytes(b"cut")
    assert [shard.is_done() for shard in todo] == [False, False, True]
    sound = json.loads(todo[2].record.read_text())
    assert run(todo[:1], job, quiet=True)["a.parquet"]["rows"] == 25
    assert sound == process(todo[2], job)


@pytest.fixture(scope="module")
def unbroken(bare, model_folder, tmp_path_factory) -> Path:
    """A folder with four long tables, `in`, and what an unbroken run makes of them, `whole`."""
    folder = tmp_path_factory.mktemp("unbroken")
    (folder / "in").mkdir()
    many = pa.concat_tables([bare] * 40)
    for i in range(4):
        pq.write_table(many, folder / "in" / f"{i}.parquet")
    job = Job("embed", str(model_folder), precision="float32")
    prepare(folder / "whole", job)
    run(shards(folder / "in", folder / "whole"), job, quiet=True)
    return folder


@pytest.mark.parametrize("moment", [0.0, 0.15, 0.4])
def test_a_killed_run_goes_on_to_the_same_bytes(moment, unbroken, model_folder, tmp_path):
    """kill -9 while rows are written; what is left over is no result, and the next run makes all of them."""
    source, whole = unbroken / "in", unbroken / "whole"
    command = [
        sys.executable,
        "-m",
        "multistar.cli",
        "embed",
        str(source),
        "--model",
        str(model_folder),
        "--precision",
        "float32",
        "--out",
    ]
    job = Job("embed", str(model_folder), precision="float32")
    process_ = subprocess.Popen([*command, str(tmp_path / "out")], stdout=subprocess.DEVNULL)
    while not list((tmp_path / "out").glob(".[0-9]*")) and process_.poll() is None:
        time.sleep(0.002)  # until the first result is being written
    time.sleep(moment)
    os.kill(process_.pid, signal.SIGKILL)
    process_.wait()
    prepare(tmp_path / "out", job)
    todo = [shard for shard in shards(source, tmp_path / "out") if not shard.is_done()]
    run(todo, job, quiet=True)
    names = {p.name for p in whole.iterdir()}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    for name in names:
        assert sha256(tmp_path / "out" / name) == sha256(whole / name), name


def test_long_tables_come_out_of_the_command_line_in_parts(
    bare, model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(job_module, "ROWS", 25)
    pq.write_table(bare, tmp_path / "stars.parquet")
    command = ["embed", str(tmp_path / "stars.parquet"), "--model", str(model_folder)]
    assert main([*command, "--out", str(tmp_path / "v.parquet")]) == 0
    assert pq.ParquetFile(tmp_path / "v.parquet").num_row_groups == 3
    assert main([*command, "--out", str(tmp_path / "v.parquet")]) == 2
    assert (
        pq.read_table(tmp_path / "v.parquet")["source_id"].to_pylist()
        == bare["source_id"].to_pylist()
    )


def test_samples_of_a_long_table_are_the_same_in_parts(bare, model_folder, tmp_path, monkeypatch):
    """Parts of 32 stars, in the table and in memory."""
    for module in (job_module, samples_module):
        monkeypatch.setattr(module, "ROWS", 32)
    monkeypatch.setattr(stream_module, "READ", 32)
    monkeypatch.setattr(stream_module, "BATCH", 16)
    pq.write_table(bare, tmp_path / "stars.parquet")
    job = Job("predict", str(model_folder), {"samples": 8, "seed": 5})
    job.write(tmp_path / "stars.parquet", tmp_path / "out.parquet")
    whole = MultiStar.from_pretrained(model_folder).predict(bare, samples=8, seed=5)
    one, other = (np.stack(list(t["teff_samples"].to_numpy(zero_copy_only=False))) for t in
                  (pq.read_table(tmp_path / "out.parquet"), whole))  # fmt: skip
    np.testing.assert_allclose(one, other, rtol=1e-3)
    assert not np.allclose(one[:28], one[32:], rtol=1e-3)


@pytest.mark.parametrize("option", [["--dry-run"], ["--part", "1/2"], ["--log", "x.json"]])
def test_options_of_folders_are_refused_for_one_table(bare, model_folder, tmp_path, option, capsys):
    pq.write_table(bare, tmp_path / "stars.parquet")
    arguments = ["predict", str(tmp_path / "stars.parquet"), "--model", str(model_folder)]
    for name in ("out.parquet", "out.csv"):
        assert main([*arguments, "--out", str(tmp_path / name), *option]) == 2
        assert "for folders of results only" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["stars.parquet"]


def test_a_folder_is_not_overwritten_and_a_log_has_a_place(folder, model_folder, tmp_path, capsys):
    arguments = ["embed", str(folder), "--model", str(model_folder), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--overwrite"]) == 2
    assert "--overwrite is for single tables" in capsys.readouterr().err
    assert main([*arguments, "--log", str(tmp_path / "none" / "log.json")]) == 2
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_many_results_become_one_file(folder, model_folder, tmp_path, capsys):
    words = ["predict", str(folder), "--model", str(model_folder), "--out", str(tmp_path / "out")]
    merged = tmp_path / "all.parquet"
    assert main([*words, "--merge", str(merged)]) == 0
    assert "60 rows of 3 tables merged" in capsys.readouterr().out
    table = pq.read_table(merged)
    assert table["table"].to_pylist() == 25 * ["a.parquet"] + 15 * ["b.fits"] + 20 * ["c.csv.gz"]
    one = pq.read_table(tmp_path / "out" / "b.parquet")
    assert table[25:40].drop_columns("table").to_pydict() == one.to_pydict()
    assert pq.read_schema(merged).field("teff").metadata == one.schema.field("teff").metadata
    assert main([*words, "--merge", str(merged)]) == 0  # again: nothing to do, merged anew
    pq.write_table(table.select(["teff"]), tmp_path / "mine.parquet")
    assert main([*words, "--merge", str(tmp_path / "mine.parquet")]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert main([*words[:-1], str(tmp_path / "x.parquet"), "--merge", str(merged)]) == 2
    assert "--merge: for folders of results only" in capsys.readouterr().err
