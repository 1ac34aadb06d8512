"""Matched pairs of real and mock stars, and what is measured on them, against truth."""

import numpy as np
import pytest

from multistar.checks.real import matched_pairs
from multistar.stars import Scalar, read_stars


def test_partners_are_near_and_taken_once(mock_table):
    stars = read_stars(mock_table)
    real, mock = stars.select(slice(0, 200)), stars.select(slice(200, 600))
    taken = np.zeros(400, bool)
    rows, mine = matched_pairs.match_stars(real, mock, taken, np.random.default_rng(0))
    assert len(rows) > 50
    assert len(set(rows)) == len(rows) == len(set(mine)) == taken.sum()
    apart = matched_pairs.place_stars(real)[rows] - matched_pairs.place_stars(mock)[mine]
    assert np.linalg.norm(apart, axis=1).max() < 1


def test_a_partner_is_observed_as_its_star(mock_table):
    stars = read_stars(mock_table)
    real, mock = stars.select(slice(0, 300)), stars.select(slice(300, 600))
    real.scalars["j"].value[:100] = np.nan
    real.scalars["rp"].sigma[:] = 0.5
    partner = matched_pairs.observe_alike(mock, real, np.random.default_rng(0))
    assert np.isnan(partner.scalars["j"].value[:100]).all()
    assert np.isfinite(partner.scalars["j"].value[100:]).all()
    assert partner.origin == "sky" and "teff" not in partner.scalars
    moved = partner.scalars["rp"].value - mock.scalars["rp"].value
    assert moved.std() == pytest.approx(0.5, rel=0.15)


def test_constants_are_found_and_taken_out(mock_table):
    stars = read_stars(mock_table)
    off = {"g": -0.03, "j": 0.02, "ks": -0.05}
    moved = {k: Scalar(s.value + off.get(k, 0), s.sigma) for k, s in stars.scalars.items()}
    real = stars.with_blocks(scalars=moved)
    found = matched_pairs.compare_colours(real, stars)
    expected = {"G-RP": -0.03, "G-BP": -0.03, "G-J": -0.05, "G-H": -0.03, "G-KS": 0.02}
    for name, shift in expected.items():
        assert found[name][0] == pytest.approx(shift, abs=1e-9)
    corrected = matched_pairs.correct_colours(real, found)
    for band in ("g", "bp", "rp", "j", "h", "ks", "w1", "w2"):
        want = stars.scalars[band].value
        np.testing.assert_allclose(corrected.scalars[band].value, want, atol=1e-9)


class TestShift:
    @pytest.fixture
    def shift(self):
        pytest.importorskip("sklearn")
        from multistar.checks.real import domain_shift

        return domain_shift

    def test_a_linear_classifier_knows_alike_from_shifted(self, shift):
        one, other = np.random.default_rng(0).normal(size=(2, 400, 3))
        assert shift.measure_auc(one, other, linear=True) == pytest.approx(0.5, abs=0.06)
        assert shift.measure_auc(one, other + [2.0, 0, 0], linear=True) > 0.85

    def test_trees_know_alike_from_shifted(self, shift):
        pytest.importorskip("lightgbm")
        one, other = np.random.default_rng(0).normal(size=(2, 400, 3))
        assert shift.measure_auc(one, other, linear=False) == pytest.approx(0.5, abs=0.06)
        assert shift.measure_auc(one, other + [2.0, 0, 0], linear=False) > 0.85

    def test_mock_stars_are_no_farther_than_the_control(
        self, shift, star_model, mock_table, monkeypatch
    ):
        """Real stars that are mock ones: no colour is off, and what is said of all agrees."""
        alike = shift._make_classifier(True)
        monkeypatch.setattr(shift, "_make_classifier", lambda linear: alike)
        monkeypatch.setattr(
            shift.Views,
            "tell_apart",
            lambda self, other: {
                "linear": shift.measure_auc(self.embedding, other.embedding, True)
            },
        )
        stars = read_stars(mock_table)
        found = shift.measure_shift(
            star_model.model, stars.select(slice(0, 150)), stars.select(slice(150, 600))
        )
        assert found["stars"] == 150 and 20 < found["pairs"] <= 150
        for step, _ in found["colours"].values():
            assert abs(step) < 0.1
        assert abs(found["auc"]["linear"] - found["control"]["linear"]) < 0.25
        assert set(found["accuracy"]["teff"]) == {"real", "corrected", "partners"}
        rows = shift.summarise_accuracy({"mock": found})
        assert rows[0]["partners_mad_std"] == found["accuracy"]["teff"]["partners"]["mad_std"]
