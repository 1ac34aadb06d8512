"""Folders of tables on a local Ray cluster of two workers, one of which is killed while it works."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.batch.folder import prepare, run, shards
from multistar.batch.job import Job
from multistar.batch.ray_engine import on_ray
from multistar.io.files import sha256


def processes_called(title: str) -> list[int]:
    """Ray calls a process so for as long as it works on a task."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            if command.read_bytes().startswith(title.encode()):
                found.append(int(command.parent.name))
    return found


@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_costs_nothing_but_time(mock_table, model_folder, tmp_path):
    ray = pytest.importorskip("ray")
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i in range(4):
        pq.write_table(pa.concat_tables([mock_table] * 3), source / f"{i}.parquet")
    job = Job("embed", str(model_folder))
    for folder in (out, tmp_path / "whole"):
        prepare(folder, job)
    run(shards(source, tmp_path / "whole"), job, quiet=True)

    left = out / ".0-0123456789ab.tmp.parquet"  # as a worker leaves it that dies while it writes
    left.write_bytes(b"PAR1")
    killed, is_over = [], threading.Event()

    def kill_the_first() -> None:
        while not killed and not is_over.wait(0.02):
            if workers := processes_called("ray::work"):
                os.kill(workers[0], signal.SIGKILL)
                killed.append(workers[0])

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        threading.Thread(target=kill_the_first, daemon=True).start()
        records = run(shards(source, out), job, on_ray, quiet=True)
    finally:
        is_over.set()
        ray.shutdown()
    assert killed
    assert [records[f"{i}.parquet"]["rows"] for i in range(4)] == [1800] * 4
    names = {p.name for p in (tmp_path / "whole").iterdir()}
    assert {p.name for p in out.iterdir()} == names
    for name in names:
        assert sha256(out / name) == sha256(tmp_path / "whole" / name), name
