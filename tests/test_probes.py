"""Probes on vectors whose answer is known."""

import numpy as np
import pytest

from multistar.checks.neighbours import nearest
from multistar.checks.probes import (
    FOLDS,
    correlate_residuals,
    measure_angle,
    probe_linearly,
    probe_targets,
)


def test_neighbours_never_are_the_star_itself():
    points = np.array([[0.0], [0.0], [0.0], [1.0], [5.0]])
    found = nearest(points, 2)
    assert all(row not in found[row] for row in range(5))
    assert sorted(found[0]) == [1, 2] and found[4, 0] == 3
    assert nearest(points, 2, queries=3).shape == (3, 2)


@pytest.fixture(scope="module")
def target():
    rng = np.random.default_rng(0)
    teff = rng.normal(size=1500)
    return {"teff": teff, "dust": 0.5 * teff + rng.normal(size=1500)}


def test_probes_see_what_vectors_tell(target):
    """Both, one of the two, none.

    A vector of Teff tells of dust only what Teff does, so nothing at fixed Teff.
    """
    rng = np.random.default_rng(1)
    teff, dust = target["teff"], target["dust"]
    noise = rng.normal(size=(1500, 3))

    def r2(*columns) -> list[float]:
        """Of the linear and of the neighbours' probe, for dust and then for Teff."""
        found = probe_targets(np.stack(columns, 1), target, rng)
        dust_probes, teff_probes = found["dust at fixed teff"], found["teff at fixed dust"]
        return [
            dust_probes["linear"]["r2"],
            dust_probes["knn"]["r2"],
            teff_probes["linear"]["r2"],
            teff_probes["knn"]["r2"],
        ]

    assert min(r2(teff, dust, 0.01 * noise[:, 0])) > 0.8
    one = r2(teff, 0.01 * noise[:, 0])
    assert max(one[:2]) < 0.1
    assert min(one[2:]) > 0.6
    assert max(r2(*noise.T)) < 0.1
    error = probe_targets(noise, target, rng)["dust at fixed teff"]["linear"]
    assert abs(error["r2"] - error["chance"]) < 5 * error["error"]


def test_a_linear_probe_is_judged_on_stars_that_it_has_not_seen():
    rng = np.random.default_rng(2)
    x, fold = rng.normal(size=(200, 80)), np.arange(200) % FOLDS
    y = np.stack([rng.normal(size=200), x[:, 0]], 1)
    r2 = probe_linearly(x, y, fold)
    assert r2[0] < 0 and r2[1] > 0.99


def test_angles_of_known_directions(target):
    direction = np.array([[1, 0, 0], [np.cos(np.pi / 3), np.sin(np.pi / 3), 0]])
    z = np.stack([(x - x.mean()) / x.std() for x in target.values()], 1)
    assert measure_angle(z @ direction, target)["directions"] == pytest.approx(60, abs=1e-6)
    assert measure_angle(z @ np.eye(2, 3), target)["directions"] == pytest.approx(90, abs=1e-6)


def test_residuals_that_follow_dust_are_found(target):
    rng = np.random.default_rng(3)
    labels = {"teff": np.zeros(1500), "ebv": np.zeros(1500)}
    guess = {"teff": target["dust"], "ebv": rng.normal(size=1500)}
    found = correlate_residuals(guess, labels, ["teff"], target["dust"], rng)
    assert found["teff"]["spearman"] == pytest.approx(1)
    assert abs(found["ebv"]["spearman"]) < 4 * found["ebv"]["error"]
    assert found["ebv"]["error"] == pytest.approx(1500**-0.5, rel=0.4)
