"""Labels that are known beforehand, and the choice of those that come out."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from astropy.coordinates import SkyCoord
from conftest import assert_same_table

from encoders import Measurement
from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.inference.dust_evidence import find_distances, reddening_in_front, share_in_front
from multistar.mock.dust_map import MockDustQuery
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.model.mixture import Mixture
from multistar.model.resampling import SampleWeights
from multistar.stars import read_stars

SPECTROSCOPIC = ("teff", "logg", "m_h")
ERRORS = {"teff": 50.0, "logg": 0.03, "m_h": 0.03}


@pytest.fixture(scope="module")
def model() -> MultiStar:
    return MultiStar.from_pretrained("mini", device="cpu")


@pytest.fixture(scope="module")
def stars() -> dict[str, np.ndarray]:
    """Photometry and parallaxes of 300 mock giants, their spectroscopic labels, and the truth."""
    table = survey_block(SurveyConfig(seed=77), block=0)[:300]
    rng = np.random.default_rng(1)
    columns = {n: table[n] for n in ("source_id", "phot_g_mean_mag", "j_m", "ks_m", "parallax")}
    columns |= {n: table[n] for n in ("j_msigcom", "ks_msigcom", "parallax_error")}
    for name, error in ERRORS.items():
        columns[name] = table[f"true_{name}"] + error * rng.standard_normal(len(table))
        columns[f"{name}_error"] = np.full(len(table), error)
    columns |= {f"true_{name}": table[f"true_{name}"] for name in (*ERRORS, "mass", "age")}
    return {name: np.asarray(column) for name, column in columns.items()}


def ask(model: MultiStar, stars: dict, **options):
    return model.predict(stars, origin="mock", **options)


def spread(x) -> float:
    return float(np.median(np.abs(np.asarray(x))))


def test_a_mixture_times_a_measurement_is_their_product():
    generator = torch.Generator().manual_seed(0)
    logit, mean, log_sigma = torch.randn(3, 2, 4, 5, generator=generator, dtype=torch.float64)
    mixture = Mixture(logit.log_softmax(-1), mean, 0.3 * log_sigma)
    y, error = torch.full((2, 4), 0.7).double(), torch.full((2, 4), 0.4).double()
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    exact = torch.zeros(2, 4).double()
    density, updated = [], []
    for x in grid:
        at = x.expand(2, 4)
        normal = torch.exp(-0.5 * ((y - at) / error) ** 2)
        density.append(mixture.log_prob(at, exact).exp() * normal)
        updated.append(mixture.given(y, error).log_prob(at, exact).exp())
    product = torch.stack(density)
    product = product / (product.sum(0) * (grid[1] - grid[0]))
    torch.testing.assert_close(torch.stack(updated), product, rtol=1e-6, atol=1e-9)


def test_weighted_samples_follow_bayes():
    """x0 ~ N(0, 1) and x1 | x0 ~ N(x0, 0.5): x1 was measured, which tells of x0."""
    n, y, error = 60_000, 1.2, 0.3
    generator = torch.Generator().manual_seed(3)
    known = Measurement(
        torch.tensor([[0.0, y]]), torch.tensor([[1.0, error]]), torch.tensor([[False, True]])
    )
    weights = SampleWeights(known)

    def normal(mean: torch.Tensor, sigma: float) -> Mixture:
        one = torch.ones(1, n, 1)
        return Mixture(0 * one, mean[..., None] * one, np.log(sigma) * one)

    x0 = weights.measure(normal(torch.zeros(1, n), 1.0), 0).draw(generator)
    x1 = weights.measure(normal(x0, 0.5), 1).draw(generator)
    drawn = weights.resample(torch.stack([x0, x1], -1), generator)[0]
    precision = np.array([[1 + 4, -4], [-4, 4 + 1 / error**2]])
    covariance = np.linalg.inv(precision)
    mean = covariance @ [0, y / error**2]
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.015)
    np.testing.assert_allclose(np.cov(drawn.numpy().T), covariance, atol=0.01)


def test_spectroscopy_makes_masses_and_ages_better(model, stars):
    without = ask(model, stars)
    told = ask(model, stars, given=SPECTROSCOPIC)
    for name in ("mass", "age"):
        truth = stars[f"true_{name}"]
        before, after = (np.log(t[name].to_numpy() / truth) for t in (without, told))
        assert spread(after) < 0.85 * spread(before)
    inside = (told["mass_lower"].to_numpy() < stars["true_mass"]) & (
        stars["true_mass"] < told["mass_upper"].to_numpy()
    )
    assert 0.58 < inside.mean() < 0.78
    assert told.schema.metadata[b"given"] == b"teff, logg, m_h"


def test_the_column_of_a_given_label_is_its_posterior(model, stars):
    without = ask(model, stars)
    exact = ask(model, stars | {"teff_error": np.full(300, 0.01)}, given=["teff"])
    np.testing.assert_allclose(exact["teff"], stars["teff"], atol=0.1)
    useless = ask(model, stars | {"logg_error": np.full(300, 1e4)}, given=["logg"])
    np.testing.assert_allclose(useless["logg"], without["logg"], atol=0.12)
    told = ask(model, stars, given=["teff"])
    width = told["teff_upper"].to_numpy() - told["teff_lower"].to_numpy()
    assert (width < 2.05 * ERRORS["teff"]).mean() > 0.97
    assert spread(told["teff"].to_numpy() - stars["true_teff"]) < 0.8 * ERRORS["teff"]


def test_a_star_without_the_value_is_as_if_nothing_was_given(model, stars):
    missing = np.where(np.arange(300) % 3 == 0, np.nan, stars["teff"])
    told = ask(model, stars | {"teff": missing}, given=["teff"]).to_pandas()
    without = ask(model, stars).to_pandas()
    unknown = np.isnan(missing)
    columns = [name for name in without if name.startswith(("mass", "age", "teff", "logg"))]
    for name in columns:
        np.testing.assert_allclose(told[name][unknown], without[name][unknown], rtol=1e-5)
    assert (told["mass"] != without["mass"])[~unknown].mean() > 0.95


def test_a_given_value_that_cannot_be_is_inconsistent(model, stars):
    wrong = stars | {"teff": stars["teff"] + np.where(np.arange(300) < 100, 3000.0, 0.0)}
    words = ask(model, wrong, given=SPECTROSCOPIC)["status"].to_pylist()
    found = np.array(["inconsistent" in word for word in words])
    assert found[:100].mean() > 0.9
    assert found[100:].mean() < 0.03


def test_samples_keep_to_what_is_given(model, stars):
    few = {name: column[:60] for name, column in stars.items()}
    told = ask(model, few, given=["teff", "logg"], samples=200).to_pandas()
    drawn = np.stack(told["teff_samples"])
    np.testing.assert_allclose(np.median(drawn, 1), told["teff"], atol=15)
    # at a known Teff, a star of larger mass is of larger gravity by the same luminosity: samples
    # of the two belong together as without given labels
    both = [np.stack(told[f"{name}_samples"]) for name in ("mass", "age")]
    correlation = [np.corrcoef(np.log(m), np.log(a))[0, 1] for m, a in zip(*both, strict=True)]
    assert np.median(correlation) < -0.8


@pytest.mark.parametrize("parallax", [True, False])
def test_chosen_labels_come_out_alone_and_as_they_are(model, stars, parallax):
    if not parallax:
        stars = {n: c for n, c in stars.items() if not n.startswith("parallax")}
    every = ask(model, stars, samples=0)
    chosen = ask(model, stars, labels=["mass", "teff"])
    columns = [f"{name}{end}" for name in ("mass", "teff") for end in ("", "_lower", "_upper")]
    assert chosen.column_names == ["source_id", "status", *columns]
    for name in columns:
        np.testing.assert_allclose(chosen[name], every[name], rtol=1e-5)
    assert chosen["status"].to_pylist() == every["status"].to_pylist()
    drawn = ask(model, {n: c[:40] for n, c in stars.items()}, labels=["mass", "teff"], samples=30)
    assert drawn.schema.metadata[b"covariance"] == b"row-major, mass, teff"
    pairs = np.stack([np.stack(drawn[f"{n}_samples"].to_numpy()) for n in ("mass", "teff")], 1)
    expected = np.stack([np.cov(pair) for pair in pairs]).reshape(40, 4)
    np.testing.assert_allclose(np.stack(drawn["covariance"].to_numpy()), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"given": ["colour"]}, "'colour' cannot be given: the labels of this model are teff"),
        ({"given": ["age"]}, "age is given, but the table has no column of it"),
        ({"given": {"teff": 0.0}}, "the error of teff, 0.0, must be above 0"),
        ({"given": "teff"}, "must be a list of labels"),
        ({"labels": ["teff", "vsini"]}, r"labels \['vsini'\] are none of this model's"),
        ({"labels": ["teff", "teff"]}, "one of them twice"),
    ],
)
def test_refusals_say_what_is_wrong(model, stars, options, message):
    with pytest.raises(ValueError, match=message):
        ask(model, stars, **options)


def test_a_value_without_error_needs_one(model, stars):
    bare = {name: column for name, column in stars.items() if name != "teff_error"}
    with pytest.raises(ValueError, match="teff is given without errors; add a column teff_error"):
        ask(model, bare, given=["teff"])
    said = ask(model, bare, given={"teff": ERRORS["teff"]})
    assert_same_table(said, ask(model, stars, given=["teff"]))


def test_given_and_labels_on_the_command_line(model, stars, tmp_path):
    table, out = tmp_path / "stars.parquet", tmp_path / "labels.parquet"
    pq.write_table(pa.table(stars), table)
    wanted = ["--labels", "mass,age", "--given", "teff=70, logg,m_h", "--origin", "mock"]
    assert main(["predict", str(table), "--out", str(out), *wanted]) == 0
    given = {"teff": 70.0, "logg": None, "m_h": None}
    python = ask(model, stars, labels=["mass", "age"], given=given)
    found = pq.read_table(out)
    np.testing.assert_allclose(np.asarray(found["mass"]), python["mass"], rtol=1e-6)


def test_a_wrong_error_on_the_command_line_is_told(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["predict", "x.csv", "--out", "y.csv", "--given", "teff=hot"])
    assert "expected LABEL or LABEL=ERROR with a number, got 'teff=hot'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def places(stars) -> dict[str, np.ndarray]:
    """The same stars with their places, and the dust that is there."""
    table = survey_block(SurveyConfig(seed=77), block=0)[:300]
    return stars | {name: np.asarray(table[name]) for name in ("l", "b", "true_ebv")}


class WithoutDistances(MockDustQuery):
    """The mock's dust, of the whole line of sight."""

    def __call__(self, coords):
        return super().__call__(
            SkyCoord(l=coords.galactic.l, b=coords.galactic.b, frame="galactic")
        )


@pytest.mark.parametrize(
    ("dust", "gains"),
    [("mock", {"ebv": 0.6, "teff": 0.8}), (WithoutDistances(), {"ebv": 0.9, "teff": 0.97})],
)
def test_a_dust_map_tells_the_dust_and_makes_temperatures_better(model, places, dust, gains):
    table = survey_block(SurveyConfig(seed=77), block=0)[:300]
    without, told = ask(model, places), ask(model, places, dust=dust)
    for name, gain in gains.items():
        truth = np.asarray(table[f"true_{name}"])
        before, after = (spread(t[name].to_numpy() - truth) for t in (without, told))
        assert after < gain * before
    inside = (told["ebv_lower"].to_numpy() < places["true_ebv"]) & (
        places["true_ebv"] < told["ebv_upper"].to_numpy()
    )
    assert 0.6 < inside.mean() < 0.95


def test_the_share_of_the_dust_in_front():
    """None within 0.1 kpc, then a disc of 0.09 kpc scale height."""
    distance, latitude = np.array([0.0, 0.1, 0.2, 50.0]), np.radians([30.0, 30.0, 30.0, 30.0])
    share = share_in_front(distance, latitude)
    middle = 1 - np.exp(-0.1 * (0.5 / 0.09 + 1 / 8))
    np.testing.assert_allclose(share, [0, 0, middle, 1], atol=1e-9)


def test_stars_without_a_place_are_told_and_predicted_without_the_map(model, places):
    some = places | {"l": np.where(np.arange(300) < 20, np.nan, places["l"])}
    with pytest.warns(UserWarning, match="20 of 300 stars have no position"):
        told = ask(model, some, dust="mock")
    without = ask(model, some)
    np.testing.assert_allclose(told["teff"][:20], without["teff"][:20], rtol=1e-5)


class SFDQuery(WithoutDistances):
    """A map of this name is SFD, which gives too much (Schlafly & Finkbeiner 2011)."""


class Nowhere(MockDustQuery):
    def __call__(self, coords):
        return np.full(len(coords), np.nan)


def test_a_map_is_known_by_its_class_too(places):
    distance = np.tile([0.9, 1.0, 1.1], (300, 1))
    stars = read_stars(places)
    scaled, _ = reddening_in_front(stars, SFDQuery(), distance)
    plain, _ = reddening_in_front(stars, WithoutDistances(), distance)
    np.testing.assert_allclose(scaled.value, 0.86 * plain.value)


def test_distances_have_the_quantiles_of_the_prediction(model, places):
    stars = read_stars(places, origin="mock")
    distance = find_distances(model.model, stars, {})
    predicted = ask(model, places)
    assert np.all(np.diff(distance, axis=1) > 0)
    middle = distance[:, 7:9]
    median = predicted["distance"].to_numpy()
    assert np.all((middle[:, 0] <= median) & (median <= middle[:, 1]))
    inside = (distance > predicted["distance_lower"].to_numpy()[:, None]) & (
        distance < predicted["distance_upper"].to_numpy()[:, None]
    )
    np.testing.assert_array_equal(inside.sum(1), 10)  # of 16, those between 16 and 84 %


class Wall(MockDustQuery):
    """No dust, and 1 mag behind 1 kpc."""

    def __call__(self, coords):
        return np.where(coords.distance.to_value("kpc") > 1, 1.0, 0.0)


def test_a_star_that_may_be_behind_a_wall_has_the_mean_of_both(places):
    distance = np.tile([0.5, 0.8, 1.2, 2.0], (300, 1))
    ebv, _ = reddening_in_front(read_stars(places), Wall(), distance)
    np.testing.assert_allclose(ebv.value, 0.5)
    np.testing.assert_allclose(ebv.sigma, np.sqrt(0.5**2 + 0.08**2 + 0.01**2))


def test_a_part_of_the_sky_that_the_map_lacks_is_predicted_without_it(model, places):
    with pytest.warns(UserWarning, match="of 300 the map knows nothing"):
        told = ask(model, places, dust=Nowhere())
    np.testing.assert_allclose(told["teff"], ask(model, places)["teff"], rtol=1e-5)


def test_dust_twice_or_of_no_map_is_refused(model, places):
    ebv = {"ebv": places["true_ebv"], "ebv_error": np.full(300, 0.02)}
    with pytest.raises(ValueError, match="given already; choose either that or a dust map"):
        ask(model, places | ebv, given=["ebv"], dust="mock")
    with pytest.raises(ValueError, match="unknown map 'dusty'"):
        ask(model, places, dust="dusty")
