"""A folder that is gone on with holds results of one job and of the tables that are there now."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.batch import job as job_module
from multistar.batch.folder import prepare, results_without_table, run, shards
from multistar.batch.job import Job
from multistar.cli.app import main
from multistar.io.files import atomic_write, quick_hash, sha256
from multistar.model.nuisance import LABELS, fit_projection, save_projection


@pytest.fixture
def folder(tmp_path) -> Path:
    source = tmp_path / "in"
    source.mkdir()
    for i, name in enumerate("ab"):
        table = {"source_id": [10 * i, 10 * i + 1], "parallax": [1.0, 2.0 + i]}
        pq.write_table(pa.table(table), source / f"{name}.parquet")
    return source


@pytest.fixture(scope="module")
def job(model_folder) -> Job:
    return Job("embed", str(model_folder))


@pytest.fixture
def finished(folder, job, tmp_path):
    """The shards of a folder that was done."""
    prepare(tmp_path / "out", job)
    run(shards(folder, tmp_path / "out"), job, quiet=True)
    found = shards(folder, tmp_path / "out")
    assert all(shard.is_done() for shard in found)
    return found


def change_byte(path: Path, at: int) -> None:
    """One bit, at the same size and time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_another_table_of_the_same_size_is_done_again(finished):
    path = finished[0].source
    size = path.stat().st_size
    pq.write_table(pa.table({"source_id": [0, 1], "parallax": [1.0, 7.0]}), path)
    assert path.stat().st_size == size
    assert [shard.is_done() for shard in finished] == [False, True]


@pytest.mark.parametrize("at", [5, -20])
def test_a_change_of_head_or_footer_is_found_whatever_the_time_says(at, finished):
    change_byte(finished[0].source, at)
    assert [shard.is_done() for shard in finished] == [False, True]


def test_a_change_in_the_middle_is_found_by_time_or_on_request(folder, job, tmp_path):
    path = folder / "a.parquet"
    numbers = pa.array(range(40_000))
    table = pa.table({"source_id": numbers, "parallax": numbers.cast(pa.float64())})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    prepare(tmp_path / "out", job)
    shard = shards(path, tmp_path / "out")[0]
    record = {"bytes_in": path.stat().st_size, "time_in": path.stat().st_mtime_ns}
    record |= {"ends_in": quick_hash(path), "sha256_in": sha256(path)}
    shard.result.write_bytes(b"result")
    shard.record.write_text(json.dumps(record | {"sha256_out": sha256(shard.result)}))
    assert shard.is_done(verify=True)
    change_byte(path, path.stat().st_size // 2)
    assert shard.is_done() and not shard.is_done(verify=True)
    os.utime(path)
    assert not shard.is_done()


def test_a_copy_of_the_table_with_another_time_is_the_same_table(finished):
    os.utime(finished[0].source)
    assert all(shard.is_done() for shard in finished)


def test_a_damaged_result_of_the_same_size_is_done_again(finished, job):
    good = sha256(finished[0].result)
    change_byte(finished[0].result, 200)
    assert [shard.is_done() for shard in finished] == [False, True]
    run([finished[0]], job, quiet=True)
    assert sha256(finished[0].result) == good and finished[0].is_done()


def test_a_result_whose_table_is_gone_is_named(finished, folder, model_folder, tmp_path, capsys):
    (folder / "a.parquet").rename(folder / "c.parquet")
    assert results_without_table(folder, tmp_path / "out") == ["a.parquet"]
    command = ["embed", str(folder), "--model", str(model_folder), "--out", str(tmp_path / "out")]
    assert main([*command, "--dry-run"]) == 0
    err = capsys.readouterr().err
    assert "a.parquet: its table is not in" in err and "b.parquet" not in err


def test_a_folder_is_of_one_model_one_version_one_layout(job, model_folder, tmp_path, monkeypatch):
    prepare(tmp_path / "out", job)
    prepare(tmp_path / "out", Job("embed", str(model_folder), time_limit=3.0))
    for change in ("__version__", "ROWS"):
        with monkeypatch.context() as patch:
            patch.setattr(job_module, change, "9.9.9" if change == "__version__" else 17)
            with pytest.raises(ValueError, match=r"another job \(different"):
                prepare(tmp_path / "out", job)


def test_a_folder_is_of_one_adapter_with_all_its_files(star_model, mock_table, tmp_path):
    star_model.finetune(mock_table, ["teff"], mode="probe", steps=2, out=tmp_path / "adapter")
    base = tmp_path / "model"
    star_model.save_pretrained(base)
    job = Job("predict", str(base), adapters=(str(tmp_path / "adapter"),))
    prepare(tmp_path / "out", job)
    card = tmp_path / "adapter" / "adapter.json"
    text = card.read_text()
    assert '"transform": "linear"' in text
    card.write_text(text.replace('"transform": "linear"', '"transform": "log"', 1))
    with pytest.raises(ValueError, match=r"different \['adapters'\]"):
        prepare(tmp_path / "out", job)


def test_a_folder_is_of_one_nuisance_projection(star_model, mock_table, tmp_path):
    base, file = tmp_path / "model", tmp_path / "dust.safetensors"
    star_model.save_pretrained(base)
    described = []
    for seed in (0, 1):
        job = Job("embed", str(base), {"ignore": str(file)})
        make_projection(star_model, seed, file)
        described.append(job.described())
    different = {k for k in described[0] if described[0][k] != described[1][k]}
    assert different == {"nuisance_projection"}


def make_projection(star_model, seed: int, file: Path) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(1200, star_model.model.config.embedding))
    labels = {name: rng.uniform(1, 2, 1200) for name in LABELS}
    file.unlink(missing_ok=True)
    save_projection(fit_projection(vectors, labels, "ebv", star_model.model.hash), file)


def test_what_a_killed_process_left_is_tidied(tmp_path):
    """Checkpoints of fine-tuning left a folder for each kill."""
    code = f"""
import os, signal
from pathlib import Path
from multistar.io.files import atomic_write
with atomic_write({str(tmp_path / "taught.partial")!r}, True, ["x"]) as temporary:
    temporary.mkdir()
    (temporary / "x").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(tmp_path.glob(".taught-*.tmp.partial"))) == 1  # the second tidied the first
    mine = tmp_path / "taught.partial"
    with atomic_write(mine, True, ["x"]) as living:
        living.mkdir()
        (living / "x").write_text("whole")
        with atomic_write(tmp_path / "taught", True, ["x"]) as other:  # leaves that of a living one
            other.mkdir()
        assert living.exists()
    assert sorted(os.listdir(tmp_path)) == ["taught", "taught.partial"]
