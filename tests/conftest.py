"""Tiny stars with known truth, made once per session."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from multistar.api import MultiStar
from multistar.io.write import to_astropy
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.model.network import ModelConfig
from multistar.training.pretrain import pretrain
from multistar.training.run import DataConfig, RunConfig, TrainingConfig


@pytest.fixture(scope="session", autouse=True)
def two_threads():
    torch.set_num_threads(min(2, len(os.sched_getaffinity(0))))


@pytest.fixture(scope="session")
def mock_table():
    """600 mock giants (Arrow table)."""
    return survey_block(SurveyConfig(seed=5), block=0)[:600]


@pytest.fixture(scope="session")
def mock_file(mock_table, tmp_path_factory) -> Path:
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("mock") / "mock.parquet"
    pq.write_table(mock_table, path)
    return path


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
    out = tmp_path_factory.mktemp("model") / "tiny"
    pretrain(small_run(mock_file, out), quiet=True)
    return out


@pytest.fixture(scope="session")
def star_model(model_folder) -> MultiStar:
    return MultiStar.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("MULTISTAR_REAL_DATA")
    if not folder:
        pytest.skip("MULTISTAR_REAL_DATA is not set")
    return Path(folder)
