"""Tiny stars with known truth and a model of them, made once for all processes of the tests."""

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

from multistar import precision
from multistar.api import MultiStar
from multistar.io.write import to_astropy
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.model.network import ModelConfig
from multistar.training.pretrain import pretrain
from multistar.training.run import DataConfig, RunConfig, TrainingConfig

# Begun first, so that no process is left alone with them at the end.
LONGEST = [
    "test_notebooks",
    "test_umap",
    "test_batch",
    "test_training",
    "test_finetune",
    "test_disentangle",
]
# Run by one process: UMAP is compiled by each that uses it, which takes longer than the tests.
TOGETHER = {"tests/test_umap.py": "tests/test_notebooks.py"}
IN_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ  # pytest -n: this process is one of several
ALONE = not IN_PARALLEL and os.environ.get("OMP_NUM_THREADS") != "1"
THREADS = min(2, len(os.sched_getaffinity(0))) if ALONE else 1
os.environ.setdefault("NUMBA_NUM_THREADS", str(THREADS))  # which numba reads when it is imported


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the others, and the tests of a file, stay in their order."""
    rank = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONGEST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Of pytest-xdist: a process takes file after file, so that fixtures of a file are made once."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return TOGETHER.get(file, file)

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def few_threads():
    """Two at most, and one where other processes test on the other cores.

    Before each test, as numba sets OpenMP's threads, which are torch's, when UMAP begins to use it.
    """
    torch.set_num_threads(THREADS)


REAL_BFLOAT16_IS_FAST = precision.bfloat16_is_fast


@pytest.fixture(scope="session", autouse=True)
def float32():
    """What tests compare is float32 on every processor; test_precision.py asks the real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            precision,
            "bfloat16_is_fast",
            lambda device_type: device_type != "cpu" and REAL_BFLOAT16_IS_FAST(device_type),
        )
        yield


def make_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """What `make` writes to the path that it is given, in the first process that asks for it."""
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
        giants = survey_block(SurveyConfig(seed=5), block=0)[:600]
        feather.write_feather(giants, path, "uncompressed")  # gives the schema back to the letter

    return feather.read_table(make_once(tmp_path_factory, "giants.arrow", make))


@pytest.fixture(scope="session")
def mock_file(mock_table, tmp_path_factory) -> Path:
    def make(path: Path) -> None:
        pq.write_table(mock_table, path)

    return make_once(tmp_path_factory, "mock.parquet", make)


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

    def make(path: Path) -> None:
        pretrain(small_run(mock_file, path), quiet=True)

    return make_once(tmp_path_factory, "tiny", make)


@pytest.fixture(scope="session")
def star_model(model_folder) -> MultiStar:
    return MultiStar.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("MULTISTAR_REAL_DATA")
    if not folder:
        pytest.skip("MULTISTAR_REAL_DATA is not set")
    return Path(folder)
