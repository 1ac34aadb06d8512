"""Injected faults from table to result, each with a stated outcome; SECURITY.md lists them."""

import errno
import fcntl
import gzip
import hashlib
import json
import os
import resource
import shutil
import signal
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.api import MultiStar
from multistar.batch import job as job_module
from multistar.batch.folder import prepare, run, shards
from multistar.batch.job import Job
from multistar.cli.app import main
from multistar.finetune.adapter import load_adapter
from multistar.index.star_index import StarIndex
from multistar.io import tables, untrusted
from multistar.io.chunks import read_chunks
from multistar.io.files import atomic_write, sha256
from multistar.mock.shards import write_survey
from multistar.mock.survey import SurveyConfig
from multistar.model.checkpoint import load_model, save_model
from multistar.model.nuisance import load_projection
from multistar.stars import read_stars

LABELS = ("teff", "logg", "m_h", "mass", "age", "ebv", "distance")


def count_errors(said: str) -> int:
    """Lines of errors, of which there is one; what was read of the table is said before."""
    lines = said.splitlines()
    return len([line for line in lines if ": error: " in line or "Traceback" in line])


@pytest.fixture(scope="module")
def bare(mock_table) -> pa.Table:
    """45 stars with BP, photometry and parallax."""
    names = [
        "source_id",
        "bp_coefficients",
        "bp_coefficient_errors",
        "phot_g_mean_mag",
        "phot_g_mean_mag_error",
    ]
    return mock_table.replace_schema_metadata().select(
        [*names, "j_m", "j_msigcom", "parallax", "parallax_error"]
    )[:45]


@pytest.fixture
def folder(bare, tmp_path) -> Path:
    """Three tables."""
    source = tmp_path / "in"
    source.mkdir()
    for i, name in enumerate("abc"):
        pq.write_table(bare[15 * i : 15 * (i + 1)], source / f"{name}.parquet")
    return source


@pytest.fixture(scope="module")
def job(model_folder) -> Job:
    made = Job("embed", str(model_folder))
    assert made.star_model  # loaded once, before threads ask for it
    return made


@pytest.fixture(scope="module")
def adapter(star_model, mock_table, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("adapter") / "a"
    star_model.finetune(mock_table, ["teff"], mode="probe", steps=2, out=out)
    return out


def contents(folder: Path) -> dict[str, str]:
    return {p.name: sha256(p) for p in folder.iterdir()}


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column", ["parallax", "parallax_error", "j_m", "j_msigcom", "bp_coefficients"]
)
def test_impossible_numbers_cost_their_own_star_a_word_and_the_others_nothing(
    star_model, bare, column
):
    """A predicted star stays finite whatever stands in one cell; others keep their results."""
    faults = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, -1.0, -999999999.0])
    frame, clean = bare[:10].to_pandas(), star_model.predict(bare[:10]).to_pandas()
    for row, fault in enumerate(faults):
        cell = frame.at[row, column]
        frame.at[row, column] = fault if np.isscalar(cell) else np.r_[fault, cell[1:]]
    found = star_model.predict(frame).to_pandas()
    assert found["source_id"].tolist() == clean["source_id"].tolist()
    assert np.isfinite(found[list(LABELS)].to_numpy()).all()
    assert "bad_value" in found.loc[3, "status"] and "bad_value" not in found.loc[0, "status"]
    np.testing.assert_allclose(
        found.loc[8:, LABELS].astype(float), clean.loc[8:, LABELS].astype(float), rtol=1e-4
    )


def test_one_row_no_row_unsorted_ids_and_extra_columns(star_model, bare):
    whole = star_model.embed(bare)
    one = star_model.embed(bare[7:8])
    np.testing.assert_allclose(
        one["embedding"].to_pylist(), whole["embedding"].to_pylist()[7:8], atol=1e-5
    )
    assert (
        star_model.embed(bare[:0]).schema.equals(whole.schema)
        and len(star_model.embed(bare[:0])) == 0
    )
    order = np.random.default_rng(0).permutation(len(bare))
    shuffled = star_model.embed(bare.take(order))
    assert shuffled["source_id"].to_pylist() == bare["source_id"].take(order).to_pylist()
    more = bare.append_column("name", pa.array(["x"] * 45)).append_column(
        "tags", pa.array([[{"a": 1}]] * 45)
    )
    assert star_model.embed(more).equals(whole)


@pytest.mark.parametrize("ending", ["csv.gz", "ecsv.gz", "fits.gz", "vot.gz"])
def test_a_small_file_that_expands_without_end_is_refused_in_bounded_memory(
    ending, tmp_path, monkeypatch
):
    monkeypatch.setattr(untrusted, "FREE_BYTES", 1 << 22)
    bomb = tmp_path / f"bomb.{ending}"
    with gzip.open(bomb, "wb") as stream:
        for _ in range(40):
            stream.write(bytes(1 << 20))
    tracemalloc.start()
    for read in (tables.read_columns, lambda path: next(read_chunks(path))):
        with pytest.raises(ValueError, match="expands to more than"):
            read(bomb)
    assert tracemalloc.get_traced_memory()[1] < 6 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("text", ["1e9992500850741", "-1e-9992500850741", "9" * 5000])
def test_numbers_beyond_all_exponents_are_values_like_others(text, tmp_path):
    """The parser of pandas crashes on the first."""
    (tmp_path / "a.csv").write_text(f"source_id,parallax,j_m\n1,{text},9.5\n2,1.5,9.5\n")
    for table in (
        tmp_path / "a.csv",
        {"source_id": [1, 2], "parallax": np.array([text, "1.5"], object)},
    ):
        value = read_stars(table).scalars["parallax"].value
        assert value[1] == 1.5 and (np.isnan(value[0]) or value[0] == 0)


def test_a_small_parquet_of_very_many_rows_is_read_in_parts(tmp_path):
    rows = 3_000_000
    pq.write_table(
        pa.table({"source_id": np.zeros(rows, np.int64), "parallax": np.ones(rows)}),
        tmp_path / "b.parquet",
    )
    assert (tmp_path / "b.parquet").stat().st_size < rows / 10
    before = pa.total_allocated_bytes()
    part = next(read_chunks(tmp_path / "b.parquet", 1000))
    assert len(part) == 1000 and pa.total_allocated_bytes() - before < 1 << 24


def test_entities_that_multiply_are_refused(tmp_path):
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "ha"}">' for i in range(12))
    head = f'<?xml version="1.0"?><!DOCTYPE VOTABLE [{entities}]>'
    text = f"{head}<VOTABLE><DESCRIPTION>&e11;</DESCRIPTION></VOTABLE>"
    (tmp_path / "laughs.vot").write_text(text)
    with pytest.raises(ValueError, match="not readable as votable"):
        tables.read_columns(tmp_path / "laughs.vot")


def test_a_file_that_asks_for_more_memory_than_there_is_is_left_out(
    folder, job, tmp_path, monkeypatch
):
    """Damaged sizes in a file look like that; the other tables are done."""
    real = job_module.read_chunks

    def greedy(path, rows):
        with monkeypatch.context() as patch:
            if path.name == "b.parquet":
                patch.setattr(
                    "multistar.io.chunks._read_parquet", lambda *_: map(np.empty, [1 << 55])
                )
            yield from real(path, rows)

    monkeypatch.setattr(job_module, "read_chunks", greedy)
    prepare(tmp_path / "out", job)
    records = run(shards(folder, tmp_path / "out"), job, quiet=True)
    assert "Unable to allocate" in records["b.parquet"]["error"]
    assert records["a.parquet"]["rows"] == records["c.parquet"]["rows"] == 15


# --- the disk -------------------------------------------------------------------------------------


@contextmanager
def disk_of(size: int):
    """No file may grow longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("ending", ["parquet", "fits", "vot", "ecsv"])
def test_a_full_disk_is_one_line_and_leaves_nothing(ending, bare, model_folder, tmp_path, capsys):
    pq.write_table(bare, tmp_path / "stars.parquet")
    out = tmp_path / "out" / f"v.{ending}"
    with disk_of(1500):
        code = main(
            [
                "embed",
                str(tmp_path / "stars.parquet"),
                "--model",
                str(model_folder),
                "--out",
                str(out),
            ]
        )
    error = capsys.readouterr().err.strip()
    assert (
        code == 2 and count_errors(error) == 1 and f"{out}: not written, is the disk full?" in error
    )
    assert list(out.parent.iterdir()) == []


def test_a_full_disk_under_models_adapters_and_indices(star_model, bare, adapter, tmp_path):
    index = StarIndex.build(star_model.embed(bare))
    loaded = MultiStar(star_model.model, [load_adapter(star_model.model, adapter)])
    for write in (star_model.save_pretrained, loaded.save_adapter, index.save):
        with disk_of(1000), pytest.raises(OSError, match="x: not written, is the disk full"):
            write(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_stops_a_folder_which_goes_on_when_there_is_room(
    folder, job, tmp_path, monkeypatch, capsys
):
    command = ["embed", str(folder), "--model", job.model, "--out", str(tmp_path / "out")]
    with monkeypatch.context() as full:
        full.setattr(
            job_module, "_to_disk", _fails_from(2, OSError(errno.ENOSPC, "No space left on device"))
        )
        assert main(command) == 2
    assert "b.parquet: not written" in capsys.readouterr().err
    assert sorted(contents(tmp_path / "out")) == ["a.parquet", "a.record.json", "run.json"]
    assert main(command) == 0
    prepare(tmp_path / "whole", job)
    run(shards(folder, tmp_path / "whole"), job, quiet=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _fails_from(call: int, error: BaseException):
    """Stands in for a function that works `call` - 1 times."""
    calls = []

    def function(*_):
        calls.append(1)
        if len(calls) >= call:
            raise error

    return function


def test_a_place_where_nothing_can_be_written(bare, model_folder, tmp_path, monkeypatch, capsys):
    pq.write_table(bare[:3], tmp_path / "stars.parquet")
    command = ["embed", str(tmp_path / "stars.parquet"), "--model", str(model_folder), "--out"]
    assert main([*command, str(tmp_path / "stars.parquet" / "v.parquet")]) == 2
    assert "File exists" in capsys.readouterr().err
    read_only = _fails_from(1, PermissionError(errno.EROFS, "Read-only file system", "v.parquet"))
    monkeypatch.setattr(job_module.pq, "ParquetWriter", read_only)
    assert main([*command, str(tmp_path / "v.parquet")]) == 2
    assert count_errors(capsys.readouterr().err.strip()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["stars.parquet"]


# --- the process ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["embed", "predict"])
def test_ctrl_c_leaves_whole_results_and_the_next_run_makes_the_rest(
    command, folder, model_folder, tmp_path, capsys
):
    arguments = [command, str(folder), "--model", str(model_folder), "--out", str(tmp_path / "out")]
    to_disk = job_module._to_disk
    calls = []

    def pressed(path):
        calls.append(path)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        to_disk(path)

    # a run in the background of a shell ignores Ctrl-C, which its children inherit
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(job_module, "_to_disk", pressed)
            assert main(arguments) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted; of a folder, finished tables stay" in capsys.readouterr().err
    assert sorted(contents(tmp_path / "out")) == ["a.parquet", "a.record.json", "run.json"]
    before = contents(tmp_path / "out")
    assert main(arguments) == 0
    assert (
        before.items() <= contents(tmp_path / "out").items()
        and len(contents(tmp_path / "out")) == 7
    )
    assert main([*arguments[:-1], str(tmp_path / "whole")]) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_two_runs_in_one_folder_both_finish_with_the_same_bytes(folder, job, tmp_path):
    prepare(tmp_path / "whole", job)
    run(shards(folder, tmp_path / "whole"), job, quiet=True)
    together = threading.Barrier(2)

    def one(_):
        together.wait()
        prepare(tmp_path / "out", job)
        return run(shards(folder, tmp_path / "out"), job, quiet=True)

    with ThreadPoolExecutor(2) as pool:
        records = list(pool.map(one, range(2)))
    assert all("error" not in record for made in records for record in made.values())
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_only_a_run_that_is_alone_removes_what_killed_ones_left(folder, job, tmp_path):
    out = tmp_path / "out"
    prepare(out, job)
    left = out / ".b-0123abcd.tmp.parquet"
    left.touch()
    other = os.open(out, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_SH)  # as a run that is writing this file
    run(shards(folder, out)[:1], job, quiet=True)
    assert left.exists()
    os.close(other)
    run(shards(folder, out)[1:], job, quiet=True)
    assert not left.exists()


# --- files of ours that were changed --------------------------------------------------------------


@pytest.mark.parametrize("content", ["{", "[]", "null", '"x"', '{"format": 1}', "\udcff"])
def test_a_changed_run_file_is_refused_by_name(content, job, tmp_path):
    prepare(tmp_path, job)
    (tmp_path / "run.json").write_text(content, errors="surrogateescape")
    with pytest.raises(ValueError, match="run.json: not readable|results of another job"):
        prepare(tmp_path, job)


@pytest.mark.parametrize(
    "content", ["[]", "7", '{"bytes_in": "x"}', "\udcff", '{"source": "../../x"}']
)
def test_a_changed_record_makes_its_table_done_again(content, folder, job, tmp_path):
    todo = shards(folder, tmp_path / "out")[:1]
    prepare(tmp_path / "out", job)
    run(todo, job, quiet=True)
    before = contents(tmp_path / "out")
    todo[0].record.write_text(content, errors="surrogateescape")
    assert not todo[0].is_done()
    run(todo, job, quiet=True)
    assert contents(tmp_path / "out") == before


ABSURD = {  # headers of safetensors files
    "of 2^63 bytes": (2**63 - 1).to_bytes(8, "little") + b"{}",
    "of no JSON": (4).to_bytes(8, "little") + b"\xff\xff\xff\xff",
    "of tensors beyond the end": None,
    "of no bytes": b"",
}


def absurd(which: str) -> bytes:
    tensor = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    header = json.dumps({"network.x": tensor, "mean": tensor}).encode()
    return (
        ABSURD[which] if ABSURD[which] is not None else len(header).to_bytes(8, "little") + header
    )


@pytest.mark.parametrize("which", ABSURD)
def test_absurd_headers_of_safetensors_are_refused_though_the_hash_is_right(
    which, model_folder, adapter, tmp_path
):
    base = load_model(model_folder)
    cases = (
        (model_folder, "model.safetensors", "config.json", load_model),
        (adapter, "adapter.safetensors", "adapter.json", lambda folder: load_adapter(base, folder)),
    )
    for source, weights, config, load in cases:
        copy = tmp_path / weights.split(".")[0]
        shutil.copytree(source, copy)
        (copy / weights).write_bytes(absurd(which))
        told = json.loads((copy / config).read_text())
        (copy / config).write_text(json.dumps(told | {"sha256": sha256(copy / weights)}))
        with pytest.raises(ValueError, match="do not fit together"):
            load(copy)
    (tmp_path / "e.safetensors").write_bytes(absurd(which))
    with pytest.raises(ValueError, match="not readable as a nuisance projection"):
        load_projection(tmp_path / "e.safetensors", base.hash)


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[1]", b"\xff\xfe", b'{"format": 1, "sha256": 5}', b" " * (1 << 23)]
)
def test_changed_cards_of_models_and_adapters_are_refused(
    content, model_folder, adapter, star_model, tmp_path
):
    cases = (model_folder, "config.json", load_model), (adapter, "adapter.json", None)
    for source, config, load in cases:
        copy = tmp_path / config
        shutil.copytree(source, copy)
        (copy / config).write_bytes(content)
        with pytest.raises(ValueError, match=config):
            load(copy) if load else load_adapter(star_model.model, copy)


def test_an_index_card_names_no_other_files(star_model, bare, tmp_path):
    index = StarIndex.build(star_model.embed(bare))
    index.save(tmp_path / "idx")
    (tmp_path / "x").write_text("theirs")
    card = json.loads((tmp_path / "idx" / "card.json").read_text())
    entry = {"bytes": 6, "sha256": hashlib.sha256(b"theirs").hexdigest()}
    (tmp_path / "idx" / "card.json").write_text(
        json.dumps(card | {"files": card["files"] | {"../x": entry}})
    )
    StarIndex.load(tmp_path / "idx").save(tmp_path / "again")
    assert (tmp_path / "x").read_text() == "theirs"
    again = json.loads((tmp_path / "again" / "card.json").read_text())
    assert again["files"].keys() == card["files"].keys()


def test_a_card_without_sense_is_refused(star_model, bare, tmp_path):
    StarIndex.build(star_model.embed(bare)).save(tmp_path / "idx")
    for content in (b"", b"[]", b"null", b"\xff\xfe", b'{"format": 2, "index": [], "files": []}'):
        (tmp_path / "idx" / "card.json").write_bytes(content)
        with pytest.raises(ValueError, match="not readable as an index card"):
            StarIndex.load(tmp_path / "idx")


def test_stars_are_not_searched_with_another_model(
    star_model, bare, model_folder, tmp_path, capsys
):
    StarIndex.build(star_model.embed(bare)).save(tmp_path / "idx")
    changed = load_model(model_folder)
    changed.standardiser.center += 1
    save_model(changed, tmp_path / "other")
    pq.write_table(bare[:2], tmp_path / "stars.parquet")
    search = ["search", str(tmp_path / "idx"), "--star", str(tmp_path / "stars.parquet"), "--model"]
    assert main([*search, str(model_folder)]) == 0
    capsys.readouterr()
    assert main([*search, str(tmp_path / "other")]) == 2
    error = capsys.readouterr().err.strip()
    assert changed.hash[:8] in error and count_errors(error) == 1


@pytest.mark.parametrize("name", ["../../theirs", "/etc/passwd", "part-00001.parquet", None, 3])
def test_a_manifest_names_its_own_shards_only(name, tmp_path):
    (tmp_path / "theirs").write_text("precious")
    survey = tmp_path / "a" / "survey"
    survey.mkdir(parents=True)
    shard = {
        "file": name,
        "rows": 3,
        "sha256": sha256(tmp_path / "theirs"),
        "next_block": 0,
        "next_row": 3,
    }
    (survey / "manifest.json").write_text(json.dumps({"stars": 9, "config": {}, "shards": [shard]}))
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="not a manifest of ours"):
            write_survey(9, SurveyConfig(), survey, overwrite, quiet=True)
    assert (tmp_path / "theirs").read_text() == "precious"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"shards": [1]}', '{"shards": 3}'])
def test_a_changed_manifest_is_refused_by_name(content, tmp_path):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="manifest.json: not"):
        write_survey(9, SurveyConfig(), tmp_path, quiet=True)


def test_results_stay_in_their_folder_whatever_tables_are_called(bare, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in (
        "a..parquet",
        "...parquet",
        "..csv",
        "[ab]*.parquet",
        "a\n.parquet",
        "..%2f..%2fx.parquet",
        "-rf.fits",
    ):
        (source / name).touch()
    found = shards(source, out)
    assert len(found) == 4  # hidden ones are left alone
    for shard in found:
        for path in (shard.result, shard.record, shard.failure):
            assert path.resolve().parent == out.resolve() and not path.name.startswith(".")


def test_an_error_of_the_reader_is_not_called_a_full_disk(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="stars.csv"),
        atomic_write(tmp_path / "out.parquet"),
    ):
        read_stars(tmp_path / "stars.csv")
    assert list(tmp_path.iterdir()) == []
