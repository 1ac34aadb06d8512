"""Records of evaluations: what stands in them, and that they are kept and shown."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import multistar
from multistar.checks import results


def test_a_result_says_how_it_was_made(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["scripts/benchmark_x.py", "--stars", "3"])
    figures = {"speed": np.float32(2.5), "rows": np.arange(2), "unknown": np.nan}
    path = results.write_result("x", figures, 3, "ab" * 32, tmp_path / "docs")
    assert path == tmp_path / "docs" / "x.json"
    record = json.loads(path.read_text())
    assert record["figures"] == {"speed": 2.5, "rows": [0, 1], "unknown": None}
    assert (record["n"], record["weights_sha256"]) == (3, "ab" * 32)
    assert record["command"] == "python scripts/benchmark_x.py --stars 3"
    assert record["multistar"] == multistar.__version__
    assert record["date"].endswith("+00:00")
    assert {"cpu", "cores", "isa", "threads", "torch"} <= set(record["machine"])


def test_a_result_replaces_an_earlier_one_whole_or_not_at_all(tmp_path):
    results.write_result("x", {"value": 1}, 1, folder=tmp_path)
    with pytest.raises(TypeError, match="not JSON serializable"):
        results.write_result("x", {"value": object()}, 1, folder=tmp_path)
    assert json.loads((tmp_path / "x.json").read_text())["figures"] == {"value": 1}
    results.write_result("x", {"value": 2}, 1, folder=tmp_path)
    assert json.loads((tmp_path / "x.json").read_text())["figures"] == {"value": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_commands_hold_no_places_of_a_machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTISTAR_REAL_DATA", "/somewhere/data")
    words = ["/else/run.py", str(tmp_path / "a b"), "/somewhere/data", "/somewhere/data/xp/f.fits"]
    told = results.describe_command(words)
    real = "$MULTISTAR_REAL_DATA"
    assert told == f"python run.py 'a b' {real} {real}/xp/f.fits"


def test_the_commit_is_that_of_git(monkeypatch):
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    found = results.find_commit()
    if head.returncode:
        assert found is None
    else:
        assert found is not None and found.removesuffix("+changes") == head.stdout.strip()
    monkeypatch.setenv("PATH", "")
    assert results.find_commit() is None


def test_what_is_kept_is_not_made_again(tmp_path):
    assert results.keep_result(tmp_path / "a.json", lambda: {"x": np.ones(1)}) == {"x": [1.0]}
    assert results.keep_result(tmp_path / "a.json", lambda: {"x": 2}) == {"x": [1.0]}
    assert results.keep_result(None, lambda: {"x": 2}) == {"x": 2}


def test_rows_are_shown_as_a_table(capsys):
    results.print_rows(
        "title", [{"who": "[K]", "mad_std": 0.12345}, {"who": "b", "list": [1], "n": 12}]
    )
    shown = capsys.readouterr().out
    assert (
        "[K]" in shown
        and "mad std" in shown
        and "0.123" in shown
        and "12" in shown
        and "list" not in shown
    )
