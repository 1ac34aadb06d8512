"""Measurements that cannot be of one star, and errors that cannot be meant, are told by default."""

import json

import numpy as np
import pytest

from multistar.api import MultiStar
from multistar.checks import garbage as garbage_module
from multistar.checks.garbage import CORRUPTIONS, WORDS, garbage
from multistar.cli.app import main
from multistar.inference import parallax as parallax_module
from multistar.inference.consistency import edges
from multistar.inference.plausible import find_implausible
from multistar.modalities.gaia_xp.synthesis import synthetic_fluxes, synthetic_magnitudes
from multistar.modalities.scalars.read import Scalar
from multistar.stars import Stars, read_stars
from multistar.status import BIT

# The least share of mock giants that is told. Giants are more alike than stars of all kinds, of
# which `multistar check garbage` tells more.
LEAST = {
    "XP of another star, scaled to G": 0.8,
    "XP of another star, raw": 0.95,
    "noise for XP": 1.0,
    "BP and RP swapped": 0.8,
    "XP x 1.5": 1.0,
    "XP x 0.1": 1.0,
    "XP orders above 10 are zero": 1.0,
    "XP errors are variances": 0.95,
    "XP errors are inverse variances": 1.0,
    "XP errors / 1000": 1.0,
    "photometric errors are variances": 0.98,
    "photometric errors / 1000": 1.0,
    "parallax in arcsec": 1.0,
    "BP, RP of another star": 0.8,
    "JHK in AB": 0.95,
    "Gaia magnitudes in AB": 0.95,
}


@pytest.fixture(scope="module")
def mini() -> MultiStar:
    return MultiStar.from_pretrained("mini")


@pytest.fixture(scope="module")
def giants(mock_table) -> Stars:
    return read_stars(mock_table, labels=False, origin="sky").select(slice(0, 128))


@pytest.fixture(scope="module")
def told(mini, giants) -> dict:
    return garbage(mini.model, giants, names=("clean", *LEAST))["told"]


@pytest.mark.parametrize("corruption", LEAST)
def test_garbage_is_told_by_default(corruption, told):
    assert told[corruption]["any"] >= LEAST[corruption]
    word = "suspect_errors" if "errors" in corruption else "inconsistent"
    assert told[corruption][word] >= LEAST[corruption] - 0.05


def test_what_is_wrong_with_a_whole_table_is_told_of_the_table(told):
    assert told["clean"]["doubted"] == []
    assert told["parallax in arcsec"]["doubted"] == ["parallax"]
    assert set(told["JHK in AB"]["doubted"]) >= {"j", "h", "ks"}


def test_clean_stars_are_not_told(told, giants, mini):
    assert told["clean"]["any"] <= 0.01
    without_xp = mini.predict(giants.with_blocks(xp=None))["status"].to_pylist()
    assert np.mean([any(word in text for word in WORDS) for text in without_xp]) <= 0.015


def test_a_distance_in_the_place_of_the_parallax_is_told(mini, mock_table):
    """Where it differs from the parallax at all: at 1 kpc it does not."""
    stars = read_stars(mock_table, labels=False, origin="sky")
    far = stars.extra["true_distance"]
    stars = stars.select((far > 2) & (far < 4)).select(slice(0, 120))
    wrong = CORRUPTIONS["distance as parallax"](stars, np.random.default_rng(0))
    clean, found = (mini.predict(s)["status"].to_pylist() for s in (stars, wrong))
    assert np.mean(["inconsistent" in text for text in clean]) <= 0.02
    assert np.mean(["inconsistent" in text for text in found]) >= 0.5


def test_the_model_is_asked_for_few_sound_stars_again(mini, giants, monkeypatch):
    """So that telling costs little; what it costs is in the benchmark, not in a test."""
    asked = []
    real = parallax_module._parallax_scores

    def count(model, stars):
        asked.append(len(stars))
        return real(model, stars)

    monkeypatch.setattr(parallax_module, "_parallax_scores", count)
    mini.predict(giants)
    assert sum(asked) <= 0.15 * len(giants)


@pytest.mark.realdata
def test_real_xp_errors_and_spectra_are_plausible(real_data):
    field = read_stars(real_data / "xp" / "gaia_dr3_xp_continuous_field.fits")
    flags = find_implausible(field)
    assert np.mean(flags & (BIT["suspect_errors"] | BIT["inconsistent"]) > 0) <= 0.01
    rng = np.random.default_rng(0)
    for name in ("XP errors are variances", "XP errors are inverse variances", "XP errors / 1000"):
        flags = find_implausible(CORRUPTIONS[name](field, rng))
        assert np.mean(flags & BIT["suspect_errors"] > 0) >= 0.8
    for name in ("XP of another star, raw", "XP x 1.5", "noise for XP"):
        flags = find_implausible(CORRUPTIONS[name](field, rng))
        assert np.mean(flags & BIT["inconsistent"] > 0) >= 0.8


def test_fluxes_are_those_of_the_magnitudes(giants):
    xp = dict(giants.xp)
    flux, error = synthetic_fluxes(xp)
    for name, magnitude in synthetic_magnitudes(xp).items():
        np.testing.assert_allclose(-2.5 * np.log10(flux[name]), magnitude, rtol=1e-10)
        assert (error[name] > 0).all() and (error[name] < flux[name]).all()
    doubled = {band: type(x)(2 * x.value, 2 * x.sigma) for band, x in xp.items()}
    twice, larger = synthetic_fluxes(doubled)
    np.testing.assert_allclose(twice["g"], 2 * flux["g"])
    np.testing.assert_allclose(larger["g"], 2 * error["g"])


def test_what_is_not_known_is_no_contradiction(giants):
    """Missing magnitudes, errors, bands and orders."""
    bare = giants.with_blocks(scalars={"g": giants.scalars["g"]})
    no_error = {
        name: Scalar(s.value, np.full(len(s.value), np.nan)) for name, s in giants.scalars.items()
    }
    one_band = giants.with_blocks(xp={"bp": giants.xp["bp"]})
    few_orders = {band: type(x)(x.value[:, :8], x.sigma[:, :8]) for band, x in giants.xp.items()}
    cases = [bare, giants.with_blocks(scalars=no_error), one_band]
    cases += [giants.with_blocks(xp=few_orders), giants.with_blocks(xp=None)]
    cases += [giants.with_blocks(xp=None, scalars=None), giants.select(slice(0, 0))]
    for stars in cases:
        # without their errors, a few in a hundred have a noise that cannot be told from another's
        assert (find_implausible(stars) > 0).sum() <= 4


def test_edges_are_of_the_kind_of_input(giants):
    bare = giants.with_blocks(xp=None)
    kinds = [giants, giants.with_origin("mock"), bare, bare.with_origin("mock")]
    assert [float(edges(stars)[0]) for stars in kinds] == [3.5, 1.6, 7.0, 4.0]


def test_models_without_distance_or_parallax_are_not_asked(mini, giants, monkeypatch):
    vocabulary = mini.model.vocabulary
    monkeypatch.setattr(type(vocabulary), "labels", ("teff",))
    assert not parallax_module.contradicts_parallax(mini.model, giants, lambda name: None).any()


def test_corruptions_change_what_they_say(giants):
    rng = np.random.default_rng(0)
    for name, corrupt in CORRUPTIONS.items():
        wrong = corrupt(giants, rng)
        assert len(wrong) == len(giants)
        same = all(
            np.array_equal(giants.xp[band].value, wrong.xp[band].value)
            and np.array_equal(giants.xp[band].sigma, wrong.xp[band].sigma)
            for band in giants.xp
        ) and all(
            np.array_equal(s.value, wrong.scalars[key].value, equal_nan=True)
            and np.array_equal(s.sigma, wrong.scalars[key].sigma, equal_nan=True)
            for key, s in giants.scalars.items()
        )
        assert same == (name == "clean"), name


def test_the_command_writes_the_table(mock_file, model_folder, tmp_path, capsys, monkeypatch):
    few = {name: CORRUPTIONS[name] for name in ("clean", "XP x 10")}
    real = garbage_module.garbage

    def of_few(*given, **options):
        return real(*given, names=tuple(few), **options)

    monkeypatch.setattr(garbage_module, "garbage", of_few)
    out = tmp_path / "told"
    command = ["check", "garbage", str(mock_file), "--model", str(model_folder)]
    assert main([*command, "--out", str(out)]) == 0
    written = json.loads((out / "garbage.json").read_text())
    assert list(written["told"]) == list(few) and written["told"]["XP x 10"]["any"] == 1.0
    assert "XP x 10" in capsys.readouterr().out


def test_one_star_cannot_be_exchanged(mini, giants):
    with pytest.raises(ValueError, match="at least 2 are needed"):
        garbage(mini.model, giants.select(slice(0, 1)))
