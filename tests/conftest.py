"""Tiny stars with known truth and a model of them, made once for all processes that run the tests."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import feather

from multistar.api import MultiStar
from multistar.io.write import to_astropy
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.model.network import ModelConfig
from multistar.training.pretrain import pretrain
from multistar.training.run import DataConfig, RunConfig, TrainingConfig

IN_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ  # pytest -n: this process is one of several


@pytest.fixture(scope="session", autouse=True)
def few_threads():
    """Two at most, and one where other processes test on the other cores."""
    torch.set_num_threads(1 if IN_PARALLEL else min(2, len(os.sched_getaffinity(0))))


def make_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """What `make` writes to the path that it is given, written by the first process that asks for it."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if IN_PARALLEL else root
    path, unfinished = root / name, root / f"unfinished-{name}"
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not path.exists():
            make(unfinished)
            unfinished.rename(path)
    return path


@pytest.fixture(scope="session")
def mock_table(tmp_path_factory) -> pa.Table:
    """600 mock giants."""

    def make(path: Path) -> None:
        feather.write_feather(
            survey_block(SurveyConfig(seed=5), block=0)[:600], path, "uncompressed"
        )

    return feather.read_table(make_once(tmp_path_factory, "giants.arrow", make))


@pytest.fixture(scope="session")
def mock_file(mock_table, tmp_path_factory) -> Path:
    return make_once(
        tmp_path_factory, "mock.parquet", lambda path: pq.write_table(mock_table, path)
    )


def assert_same_table(one: pa.Table, other: pa.Table) -> None:
    """Equal to the bit, with NaN equal to NaN, which Arrow's own comparison denies."""
    assert one.schema.equals(other.schema)
    one, other = to_astropy(one), to_astropy(other)
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def small_run(mock_file: Path, out: Path, **training) -> RunConfig:
    settings = {
        "steps": 60,
        "batch": 32,
        "checkpoint_every": 20,
        "queries": 8,
        "warmup": 10,
    } | training
    model = ModelConfig(
        width=32, encoder_depth=2, decoder_depth=1, heads=2, xp_patch=11, embedding=16, components=3
    )
    data = DataConfig(train=[str(mock_file)], held_out=0.1)
    return RunConfig(str(out), data, model, TrainingConfig(**settings))


@pytest.fixture(scope="session")
def model_folder(mock_file, tmp_path_factory) -> Path:
    """A model trained for 60 steps: knows little, but everything about it is real."""
    return make_once(
        tmp_path_factory, "tiny", lambda path: pretrain(small_run(mock_file, path), quiet=True)
    )


@pytest.fixture(scope="session")
def star_model(model_folder) -> MultiStar:
    return MultiStar.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("MULTISTAR_REAL_DATA")
    if not folder:
        pytest.skip("MULTISTAR_REAL_DATA is not set")
    return Path(folder)
