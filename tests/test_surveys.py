"""Mock spectra, scales of labels, surveys beside each other, and training of an added encoder alone."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import assert_same_table, small_run

from multistar import MultiStar
from multistar.checks.fitting.optical import is_kept_aside, plain_name
from multistar.checks.surveys import OWN, compare_surveys
from multistar.cli.app import main
from multistar.mock.optical import load_optical_spectra
from multistar.mock.spectra import SPECTROGRAPHS, as_published, with_spectra
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities import LabelScale
from multistar.modalities.label_scale.cross import cross_labels
from multistar.modalities.spectrum.features import compute_features, find_parts
from multistar.modalities.spectrum.grid import Grid
from multistar.stars import read_stars
from multistar.training.pretrain import pretrain
from multistar.training.run import RunConfig, TrainingConfig

LINES = {"H beta": 486.27, "Mg b": 517.5, "Na D": 589.5}  # nm, in vacuum


def depth(optical, ln_flux: np.ndarray, wavelength: float) -> np.ndarray:
    """How far the middle of a line lies below its sides."""
    pixel = int(np.argmin(np.abs(np.exp(optical.grid.ln_wavelength) - wavelength)))
    middle = ln_flux[:, pixel - 2 : pixel + 3].min(1)
    return (ln_flux[:, pixel - 25] + ln_flux[:, pixel + 25]) / 2 - middle


@pytest.mark.parametrize("line, stronger, weaker", [
    ("H beta", (9000, 4.0, 0.0), (5000, 4.5, 0.0)),
    ("Mg b", (4500, 4.6, 0.0), (4500, 1.5, 0.0)),  # in dwarfs
    ("Mg b", (5500, 4.4, 0.2), (5500, 4.4, -1.5)),
    ("Na D", (4000, 4.6, 0.0), (6500, 4.3, 0.0)),
])  # fmt: skip
def test_lines_follow_labels(line, stronger, weaker):
    optical = load_optical_spectra()
    labels = np.array([stronger, weaker], float).T
    strong, weak = depth(optical, optical.ln_flux(*labels), LINES[line])
    assert strong > weak + 0.02


def test_spectra_vary_more_where_the_library_has_no_stars():
    optical = load_optical_spectra()
    normal = np.random.default_rng(0).normal(size=(200, optical.n_draws))
    known, unknown = (5800, 4.4, 0.0), (5800, 0.0, -2.7)
    spread = []
    for labels in (known, unknown):
        drawn = optical.draw(*np.repeat(np.array(labels)[:, None], 200, 1), normal)
        spread.append(drawn.std(0).mean())
    assert spread[1] > 2 * spread[0]


def test_a_star_is_kept_aside_under_either_of_its_names():
    assert plain_name("HD 004307") == plain_name("HD4307") == "HD4307"
    names = np.array([f"HD{number:06d}" for number in range(1000)])
    assert 150 < is_kept_aside(names).sum() < 250
    np.testing.assert_array_equal(
        is_kept_aside(names), is_kept_aside(np.array([plain_name(name) for name in names]))
    )


@pytest.fixture(scope="module")
def giants(mock_table) -> pa.Table:
    return mock_table[:60]


@pytest.mark.parametrize("name", SPECTROGRAPHS)
def test_spectra_are_read_as_they_were_written(giants, name):
    own = SPECTROGRAPHS[name]
    table = with_spectra(giants, name, seed=1)
    assert_same_table(with_spectra(giants[20:30], name, seed=1), table[20:30])
    spectra = read_stars(table).blocks["spectrum"]
    wavelength = spectra.grids[0]
    assert own.arms[0][0] <= wavelength.min() and wavelength.max() <= own.arms[-1][1]
    assert set(spectra.arms[0]) == set(range(len(own.arms)))
    assert (spectra.resolving_power == own.resolving_power).all()
    assert (spectra.is_normalised == own.normalised).all()
    signal = np.nanmedian(spectra.flux / spectra.sigma, axis=1)
    least, largest = own.signal_to_noise
    assert 0.8 * least < signal.min() and signal.max() < 1.25 * largest


def test_two_spectrographs_see_the_same_lines_of_a_star(giants):
    """Not the same draw of what the library does not tell, so that they agree to that alone."""
    grid = Grid(400.0, 700.0, 600.0)
    lines = find_parts(grid)["lines"]
    seen = []
    for name in ("sdss-like", "desi-like"):
        spectra = read_stars(with_spectra(giants, name, seed=1)).blocks["spectrum"]
        value, _ = compute_features(spectra, grid)
        seen.append(value[:, lines])
    both = np.isfinite(seen).all((0, 1))
    one, other = (x[:, both].ravel() for x in seen)
    assert np.corrcoef(one, other)[0, 1] > 0.85


def test_a_pipeline_moves_labels_and_says_whose_they_are(giants):
    table = as_published(giants, "desi-like")
    constant, slope = SPECTROGRAPHS["desi-like"].systematics["teff"]
    teff = giants["teff"].to_numpy()
    np.testing.assert_allclose(
        table["teff"].to_numpy(), teff + constant + slope * (teff - 5772), rtol=1e-12
    )
    assert table["true_teff"].equals(giants["true_teff"])
    assert set(table["label_scale"].to_pylist()) == {"desi-like"}


def test_the_same_stars_in_all_spectrographs():
    configs = [SurveyConfig(seed=3, spectra=name) for name in ("blue", "normalised")]
    one, other = (pa.concat_tables(survey(50, config)) for config in configs)
    assert one["source_id"].equals(other["source_id"])
    with pytest.raises(ValueError, match="name one as spectra"):
        SurveyConfig(published=True)
    with pytest.raises(ValueError, match="unknown spectra 'hires'.*lamost-like"):
        SurveyConfig(spectra="hires")


SHIFT = 600.0  # K, between two scales


@pytest.fixture(scope="module")
def two_scales(mock_table, tmp_path_factory) -> MultiStar:
    """A model of giants whose temperatures two pipelines publish, SHIFT apart."""
    folder = tmp_path_factory.mktemp("scales")
    tables = []
    for name, shift in (("low", -SHIFT / 2), ("high", SHIFT / 2)):
        place = mock_table.schema.get_field_index("teff")
        moved = pa.array(mock_table["teff"].to_numpy() + shift)
        table = mock_table.set_column(place, "teff", moved)
        tables.append(table.append_column("label_scale", pa.array([name] * len(table))))
    pq.write_table(pa.concat_tables(tables), folder / "stars.parquet")
    run = small_run(folder / "stars.parquet", folder / "model", steps=250, learning_rate=1e-2)
    pretrain(run, quiet=True)
    return MultiStar.from_pretrained(folder / "model", device="cpu")


def test_labels_are_asked_on_a_scale(two_scales, mock_table):
    part = two_scales.model.vocabulary["label_scale"]
    assert isinstance(part, LabelScale) and part.scales == ("high", "low")
    found = {}
    for scale in ("low", "high"):
        asked = mock_table.append_column("label_scale", pa.array([scale] * len(mock_table)))
        found[scale] = two_scales.predict(asked)["teff"].to_numpy()
    assert 0.6 * SHIFT < np.median(found["high"] - found["low"]) < 1.4 * SHIFT
    without = two_scales.predict(mock_table)
    assert "no_data" not in " ".join(without["status"].to_pylist())
    with pytest.raises(ValueError, match="label_scale 'apogee' is none.*'high', 'low'"):
        wrong = mock_table.append_column("label_scale", pa.array(["apogee"] * len(mock_table)))
        two_scales.predict(wrong)
    with pytest.raises(ValueError, match="label_scale must hold the name or number"):
        read_stars({"source_id": [1], "label_scale": [0.5]})


def test_stars_in_common_get_the_labels_of_every_survey():
    one = pa.table(
        {"source_id": [1, 2, 3], "teff": [5000.0, 5100.0, 5200.0], "flux": [1.0, 2.0, 3.0]}
    )
    other = pa.table(
        {"source_id": [3, 2, 9], "teff": [6200.0, 6100.0, 6900.0], "flux": [7.0, 8.0, 9.0]}
    )
    crossed = cross_labels({"one": one, "other": other}, ["teff"])
    assert crossed["one"].to_pydict() == {
        "source_id": [1, 2, 3, 2, 3],
        "teff": [5000.0, 5100.0, 5200.0, 6100.0, 6200.0],
        "flux": [1.0, 2.0, 3.0, 2.0, 3.0],
        "label_scale": ["one"] * 3 + ["other"] * 2,
    }
    assert crossed["other"]["teff"].to_pylist()[:2] == [5100.0, 5200.0]
    assert sorted(crossed["other"]["flux"].to_pylist()) == [7.0, 7.0, 8.0, 8.0, 9.0]


def test_a_scale_alone_is_no_data(two_scales):
    table = pa.table({"source_id": [1, 2], "label_scale": ["low", "high"]})
    assert all("no_data" in word for word in two_scales.predict(table)["status"].to_pylist())


def test_surveys_are_compared_on_their_own_scales_and_on_one(two_scales, mock_table):
    surveys = {}
    for scale in ("low", "high"):
        table = mock_table.append_column("label_scale", pa.array([scale] * len(mock_table)))
        surveys[scale] = read_stars(table, labels=False)
    own, common = (
        compare_surveys(two_scales.model, surveys, scale, ["teff"])[0] for scale in ("", "high")
    )
    assert own["scale"] == OWN and common["scale"] == "high"
    assert own["n"] == common["n"] == len(mock_table)
    assert own["bias"] < -0.6 * SHIFT and own["bias_sigma"] < -0.5
    assert common["bias"] == common["mad_std"] == 0
    tables = {
        scale: mock_table.append_column("label_scale", pa.array([scale] * len(mock_table)))
        for scale in surveys
    }
    result = two_scales.check_surveys(tables, "high")
    assert own in result["rows"] and common in result["rows"]
    others = read_stars(mock_table, labels=False)
    others = others.select(slice(0, 5))
    with pytest.raises(ValueError, match="stars of the same source_id"):
        compare_surveys(two_scales.model, {"one": others, "other": others})


def test_the_command_writes_numbers_and_a_page(star_model, model_folder, giants, tmp_path):
    paths = []
    for name in ("one", "other"):
        paths.append(tmp_path / f"{name}.parquet")
        pq.write_table(giants, paths[-1])
    out = tmp_path / "found"
    command = ["check", "surveys", str(paths[0]), "--and", str(paths[1])]
    assert main([*command, "--model", str(model_folder), "--out", str(out)]) == 0
    result = json.loads((out / "surveys.json").read_text())
    assert result["surveys"] == {"one": len(giants), "other": len(giants)}
    assert all(row["bias"] == 0 for row in result["rows"])
    assert "one - other" in (out / "surveys.html").read_text()
    assert main([*command, "--model", str(model_folder), "--out", str(out)]) == 2


@pytest.fixture(scope="module")
def added(mock_table, mock_file, tmp_path_factory) -> tuple[MultiStar, MultiStar]:
    """A core, and the same with an encoder of spectra that was trained while it stood still."""
    folder = tmp_path_factory.mktemp("added")
    pretrain(small_run(mock_file, folder / "core", steps=20), quiet=True)
    pq.write_table(with_spectra(mock_table, "blue", 1), folder / "spectra.parquet")
    run = small_run(folder / "spectra.parquet", folder / "apart", steps=5)
    only = RunConfig(
        run.out, type(run.data)(train=run.data.train, held_out=0.1, only=["spectrum"]),
        run.model, run.training,
    )  # fmt: skip
    pretrain(only, quiet=True)
    settings = TrainingConfig(steps=20, batch=32, queries=8, warmup=5, only_added=True)
    joint = RunConfig(
        str(folder / "joint"), run.data, run.model, settings,
        start=str(folder / "core"), add_encoder=str(folder / "apart"),
    )  # fmt: skip
    pretrain(joint, quiet=True)
    core, both = (
        MultiStar.from_pretrained(folder / name, device="cpu") for name in ("core", "joint")
    )
    return core, both


def test_the_core_stands_still_while_an_encoder_is_added(added, mock_table):
    core, both = added
    assert_same_table(core.predict(mock_table), both.predict(mock_table))
    assert_same_table(core.embed(mock_table), both.embed(mock_table))


def test_the_larger_model_names_the_weights_that_it_contains(added):
    core, both = added
    assert both.model.hash != core.model.hash
    assert both.model.provenance["contains"] == [core.model.hash]
    assert core.model.provenance["contains"] == []


def test_what_was_added_has_learnt(added, mock_table):
    core, both = added
    spectra = with_spectra(mock_table, "blue", 1)
    assert not core.predict(spectra).equals(both.predict(spectra))
    rows = both.model.vocabulary.slots("spectrum")
    identity = both.model.network.head.identity.weight[list(rows)]
    assert torch.isfinite(identity).all() and identity.std() > 0


def test_only_added_needs_something_added(mock_file, tmp_path):
    run = small_run(mock_file, tmp_path / "x")
    with pytest.raises(ValueError, match="needs add_encoder"):
        RunConfig(run.out, run.data, run.model, TrainingConfig(only_added=True))
