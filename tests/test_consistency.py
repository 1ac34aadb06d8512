"""Measurements that contradict each other are found, with the shipped weights."""

import numpy as np
import pytest

from multistar.api import MultiStar
from multistar.inference.consistency import EDGE, FEWEST, mean_squared_score
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.stars import read_stars


@pytest.fixture(scope="module")
def mini() -> MultiStar:
    return MultiStar.from_pretrained("mini")


@pytest.fixture(scope="module")
def table():
    return survey_block(SurveyConfig(seed=77), block=0)[:300]


def test_mock_stars_are_consistent_and_mixed_up_ones_are_not(mini, table):
    """BP of one star with RP of another."""
    score = mean_squared_score(mini.model, read_stars(table), quiet=True)
    assert np.median(score) == pytest.approx(1.0, abs=0.4)
    assert np.mean(score > EDGE) < 0.03
    mixed = table
    for name in ("rp_coefficients", "rp_coefficient_errors"):
        place = mixed.column_names.index(name)
        mixed = mixed.set_column(place, name, table[name].take(np.roll(np.arange(len(table)), 7)))
    wrong = mean_squared_score(mini.model, read_stars(mixed), quiet=True)
    assert np.mean(wrong > EDGE) > 0.5
    flagged = mini.predict(mixed, consistency=True)
    np.testing.assert_allclose(flagged["consistency"].to_numpy(), wrong, rtol=1e-5)
    told = np.array(["inconsistent" in words for words in flagged["status"].to_pylist()])
    assert told[wrong > EDGE].all()


def test_too_few_measurements_cannot_contradict_each_other(mini, table):
    bare = table[:20].select(["source_id", "phot_g_mean_mag", "phot_bp_mean_mag"])
    assert FEWEST > 2
    assert np.isnan(mean_squared_score(mini.model, read_stars(bare), quiet=True)).all()
    assert "inconsistent" not in ",".join(
        mini.predict(bare, consistency=True)["status"].to_pylist()
    )


def test_what_is_not_observed_has_no_influence(mini, table):
    stars, other = read_stars(table[:20]), read_stars(table[:20])
    for s, filler in ((stars, np.nan), (other, np.nan)):
        s.xp["bp"].value[:, 20:] = filler
    other.xp["bp"].sigma[:, 20:] = 1e9
    one, two = (mean_squared_score(mini.model, s, quiet=True) for s in (stars, other))
    np.testing.assert_array_equal(one, two)
