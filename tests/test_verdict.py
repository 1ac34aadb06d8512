"""What `check disentangle` says in words follows from its numbers."""

import copy

import pytest

from multistar.checks.verdict import judge


def result(**changes) -> dict:
    probe = {"r2": 0.8, "chance": -0.02, "error": 0.01}
    nothing = {"r2": 0.01, "chance": -0.02, "error": 0.01}
    base = {
        "ebv_percentiles": [0.02, 0.2, 0.9],
        "spaces": {
            "embedding": {"dust at fixed teff": {"linear": probe, "knn": nothing}},
            "without dust": {"dust at fixed teff": {"linear": nothing, "knn": nothing}},
        },
        "residuals": {"teff": {"spearman": 0.02, "error": 0.02}},
    }
    return copy.deepcopy(base | changes)


def test_a_flat_map_tells_nothing():
    (said,) = judge(result(ebv_percentiles=[0.04, 0.05, 0.07]))
    assert said.startswith("These stars cannot tell") and "0.04-0.07 mag" in said


def test_success_is_named():
    said = judge(result())
    assert len(said) == 4
    assert "dust is in the vectors (R2 0.80" in said[1]
    assert "dust was erased" in said[2] and "told apart" in said[3]


@pytest.mark.parametrize("size, word", [(0.3, "hot"), (-0.3, "cool")])
def test_failure_is_named(size, word):
    found = result(residuals={"teff": {"spearman": size, "error": 0.02}})
    found["spaces"]["without dust"]["dust at fixed teff"]["knn"]["r2"] = 0.4
    said = judge(found)
    assert "some dust is left at fixed Teff (R2 0.40)" in said[2]
    assert said[3].endswith(f"come out too {word}.")


def test_an_effect_that_is_real_but_tiny_is_none():
    found = result(residuals={"teff": {"spearman": 0.03, "error": 0.001}})
    assert "do not follow" in judge(found)[3]
