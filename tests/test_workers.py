"""Several batches at once: the same bytes, bounded memory, and errors that come out."""

import threading
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import assert_same_table

from multistar.cli.app import main
from multistar.inference import stream
from multistar.inference.stream import map_batches, stream_measurements
from multistar.io.files import sha256


@pytest.fixture
def threads() -> Iterator[None]:
    """Whatever a test sets is taken back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_batches(monkeypatch) -> None:
    """600 stars are 60 batches."""
    monkeypatch.setattr(stream, "BATCH", 10)


@pytest.mark.parametrize("verb", ["predict", "embed"])
def test_any_number_of_workers_gives_the_same_bytes(
    verb, star_model, mock_table, threads, small_batches
):
    results: list[pa.Table] = []
    for workers in (1, 2, 5):
        torch.set_num_threads(workers)
        results.append(getattr(star_model, verb)(mock_table))
    assert_same_table(results[0], results[1])
    assert_same_table(results[0], results[2])


def test_an_operator_keeps_to_the_thread_that_calls_it(
    star_model, mock_table, threads, small_batches
):
    torch.set_num_threads(3)
    seen = []

    def note(batch) -> None:
        seen.append(
            (
                batch.rows.start,
                threading.get_ident(),
                torch.get_num_threads(),
                torch.is_inference_mode_enabled(),
            )
        )

    map_batches(star_model.model, star_model._stars(mock_table, None), "embed", note, quiet=True)
    starts, workers, inside, inference = zip(*seen, strict=True)
    assert sorted(starts) == list(range(0, 600, 10))
    assert threading.get_ident() not in workers and len(set(workers)) <= 3
    assert set(inside) == {1} and all(inference)
    assert torch.get_num_threads() == 3


def test_a_long_table_does_not_wait_in_memory(
    star_model, mock_table, threads, small_batches, monkeypatch
):
    torch.set_num_threads(2)
    taken, done, most = [], [], []

    def counted(*args) -> Iterator:
        for batch in stream_measurements(*args):
            taken.append(batch[0])
            most.append(len(taken) - len(done))
            yield batch

    monkeypatch.setattr(stream, "stream_measurements", counted)
    stars = star_model._stars(mock_table, None)
    map_batches(star_model.model, stars, "embed", lambda batch: done.append(batch.rows), quiet=True)
    assert len(taken) == len(done) == 60
    assert max(most) <= 2 * 2 + 2


def test_what_goes_wrong_in_a_worker_comes_out_and_stops_the_rest(
    star_model, mock_table, threads, small_batches
):
    torch.set_num_threads(2)
    begun = []

    def fail(batch) -> None:
        begun.append(batch.rows)
        if batch.rows.start == 20:
            raise ValueError("no such star")

    with pytest.raises(ValueError, match="no such star"):
        map_batches(
            star_model.model, star_model._stars(mock_table, None), "embed", fail, quiet=True
        )
    assert len(begun) < 20
    assert torch.get_num_threads() == 2


def test_the_command_line_takes_workers(mock_table, model_folder, tmp_path, threads, capsys):
    pq.write_table(mock_table[:300], tmp_path / "stars.parquet")
    command = [
        "predict",
        str(tmp_path / "stars.parquet"),
        "--model",
        str(model_folder),
        "--device",
        "cpu",
    ]
    for workers in ("1", "2"):
        assert (
            main([*command, "--workers", workers, "--out", str(tmp_path / f"{workers}.parquet")])
            == 0
        )
    assert sha256(tmp_path / "1.parquet") == sha256(tmp_path / "2.parquet")
    capsys.readouterr()
    assert main([*command, "--workers", "0", "--out", str(tmp_path / "0.parquet")]) == 2
    assert (
        capsys.readouterr().err == "multistar predict: error: --workers must be 1 or more, got 0\n"
    )
