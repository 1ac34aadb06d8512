"""Folders of tables on a local Ray cluster of two workers, one of which is killed while it works."""

import os
import signal
import subprocess
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.batch.folder import prepare, run, shards
from multistar.batch.job import Job
from multistar.batch.ray_engine import on_ray
from multistar.io.files import sha256


@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_costs_nothing_but_time(mock_table, model_folder, tmp_path):
    ray = pytest.importorskip("ray")
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i in range(4):
        pq.write_table(pa.concat_tables([mock_table] * 3), source / f"{i}.parquet")
    job, killed = Job("embed", str(model_folder)), []
    for folder in (out, tmp_path / "whole"):
        prepare(folder, job)
    run(shards(source, tmp_path / "whole"), job, quiet=True)

    def kill() -> None:
        while not killed:
            time.sleep(0.02)
            workers = subprocess.run(
                ["pgrep", "-f", "ray::work"], capture_output=True, text=True
            ).stdout.split()
            if workers and list(out.glob(".*tmp*")):
                os.kill(int(workers[0]), signal.SIGKILL)
                killed.append(workers[0])

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        threading.Thread(target=kill, daemon=True).start()
        records = run(shards(source, out), job, on_ray, quiet=True)
    finally:
        ray.shutdown()
    assert killed
    assert [records[f"{i}.parquet"]["rows"] for i in range(4)] == [1800] * 4
    names = {p.name for p in (tmp_path / "whole").iterdir()}
    assert {p.name for p in out.iterdir()} == names
    for name in names:
        assert sha256(out / name) == sha256(tmp_path / "whole" / name), name
