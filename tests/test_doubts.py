"""Columns that are not what they are read as: found over a table, and sound tables are left alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multistar.api import MultiStar
from multistar.checks.sky import read_clusters, read_samples
from multistar.checks.sky_clusters import NOT_MEASURED
from multistar.cli.app import main
from multistar.inference.doubts import (
    FEWEST,
    Comparison,
    question_columns,
    question_quantity,
)
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.stars import read_stars

BANDS = ["phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "j_m", "ks_m"]


@pytest.fixture(scope="module")
def mini() -> MultiStar:
    return MultiStar.from_pretrained("mini")


@pytest.fixture(scope="module")
def sound() -> pd.DataFrame:
    """Two hundred mock stars of a magnitude-limited sky."""
    table = survey_block(SurveyConfig(17, "everything"), block=0).to_pandas().head(200)
    return table[["source_id", "parallax", "parallax_error", *BANDS]]


def spoil(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The table with one mistake that people make."""
    if kind == "distance":
        return table.assign(parallax=1 / table["parallax"].clip(lower=0.01))
    if kind == "arcsec":
        milli = {name: table[name] / 1000 for name in ("parallax", "parallax_error")}
        return table.assign(**milli)
    if kind == "AB":
        return table.assign(j_m=table["j_m"] + 0.91, ks_m=table["ks_m"] + 1.85)
    swapped = {"phot_bp_mean_mag": table["phot_rp_mean_mag"]}
    return table.assign(phot_rp_mean_mag=table["phot_bp_mean_mag"], **swapped)


@pytest.mark.parametrize(
    ("kind", "named", "words"),
    [
        ("distance", ["parallax"], "is it a distance"),
        ("arcsec", ["parallax"], "times what everything else says; is it in mas"),
        ("AB", ["j", "ks"], "in the Vega system"),
        ("swapped", ["bp", "rp"], "is it this band"),
    ],
)
def test_a_mistake_of_a_whole_column_is_named(mini, sound, kind, named, words):
    doubts = mini.describe(spoil(sound, kind)).doubts
    assert [doubt.split(":")[0] for doubt in doubts] == named
    assert all(words in doubt for doubt in doubts)


def test_a_sound_table_and_a_small_one_raise_no_doubt(mini, sound):
    assert mini.describe(sound).doubts == ()
    few = spoil(sound, "distance").head(FEWEST - 1)
    assert mini.describe(few).doubts == ()


def test_the_size_of_a_difference_is_told():
    score = np.full(40, 6.0)
    magnitudes = Comparison(np.full(40, 2.0), np.full(40, 1.1), score)
    assert "+0.90 mag" in question_quantity("j", "mag", magnitudes)[0]
    near = np.linspace(1, 2, 40)
    assert (
        "0.001 times"
        in question_quantity("parallax", "mas", Comparison(near / 1000, near, score))[0]
    )
    assert question_quantity("j", "mag", Comparison(near, near - 0.05, score)) == []
    assert question_quantity("j", "mag", Comparison(near, near - 0.9, score / 6)) == []


def make_falling(n: int) -> Comparison:
    """Parallaxes whose rank correlation with what is expected is about -0.44."""
    rng = np.random.default_rng(3)
    expected = rng.normal(1.0, 0.1, n)
    parallax = 1.5 - 0.5 * expected + 0.1 * rng.normal(size=n)
    return Comparison(parallax, expected, np.zeros(n))


def test_a_few_parallaxes_in_a_wrong_order_are_no_distances():
    """Members of one cluster are all alike: few of them may fall by chance, many do not."""
    assert question_quantity("parallax", "mas", make_falling(40)) == []
    assert "is it a distance" in question_quantity("parallax", "mas", make_falling(400))[0]


def test_the_command_line_says_it_before_it_works(sound, tmp_path, capsys):
    spoil(sound, "distance").to_csv(tmp_path / "stars.csv", index=False)
    assert main(["predict", str(tmp_path / "stars.csv"), "--out", str(tmp_path / "o.csv")]) == 0
    assert "DOUBTFUL  parallax: falls where" in capsys.readouterr().err


@pytest.mark.realdata
def test_no_sample_of_real_stars_is_doubted(mini, real_data: Path):
    for sample in read_samples(real_data):
        assert question_columns(mini.model, read_stars(sample.table)) == (), sample.name
    field = read_stars(real_data / "xp" / "gaia_dr3_xp_continuous_field.fits")
    assert question_columns(mini.model, field) == ()
    clusters = read_clusters(real_data)
    assert clusters is not None
    measured = clusters.drop(columns=[*clusters.columns.intersection([*NOT_MEASURED])])
    assert question_columns(mini.model, read_stars(measured)) == ()
    for name in clusters["cluster"].unique()[:40]:
        members = measured[clusters["cluster"] == name]
        assert question_columns(mini.model, read_stars(members)) == (), name
