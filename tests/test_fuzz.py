"""The fuzzer of the readers: its files are valid, its faults are repeatable, what must not be is noticed."""

import numpy as np
import pytest

from multistar.checks import fuzz
from multistar.stars import read_stars


@pytest.mark.parametrize("ending", fuzz.FORMATS)
def test_files_are_valid_before_they_are_mutated(ending, tmp_path):
    content = fuzz.make_valid_file(ending, tmp_path)
    path = tmp_path / f"case.{ending}"
    path.write_bytes(content)
    assert fuzz.read_case(path) == "stars"
    stars = read_stars(path)
    assert len(stars) == 4 and stars.xp["bp"].value.shape == (4, 6)


def test_faults_are_repeatable_and_change_the_file():
    content = bytes(range(48, 120)) * 5
    one, other = (fuzz.mutate_bytes(content, np.random.default_rng([1, 2])) for _ in range(2))
    assert one == other
    changed = [fuzz.mutate_bytes(content, np.random.default_rng(i)) != content for i in range(50)]
    assert np.mean(changed) > 0.8
    fuzz.mutate_bytes(b"", np.random.default_rng(0))


def test_errors_of_one_line_are_refusals_and_others_are_failures(tmp_path, monkeypatch):
    assert fuzz.read_case(tmp_path / "absent.csv") == "refused"

    def fail(path):
        raise ValueError("two\nlines")

    monkeypatch.setattr(fuzz, "read_stars", fail)
    with pytest.raises(AssertionError, match="not one line"):
        fuzz.read_case(tmp_path / "absent.csv")


@pytest.mark.filterwarnings("ignore")
def test_failures_are_counted_and_their_files_kept(tmp_path, monkeypatch):
    found = fuzz.fuzz_format("csv", 0.5, 1, tmp_path / "keep")
    assert found["failures"] == 0 and found["cases"] == sum(found["outcomes"].values()) > 0
    assert not (tmp_path / "keep").exists()

    def fail(path):
        raise RuntimeError("no")

    monkeypatch.setattr(fuzz, "read_case", fail)
    found = fuzz.fuzz_format("csv", 0.05, 1, tmp_path / "keep")
    assert found["failures"] == found["cases"] == len(list((tmp_path / "keep").iterdir()))
