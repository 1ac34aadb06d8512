"""A model with light curves: any subset of modalities in; what is not there has no influence."""

import dataclasses
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_run

from encoders import Measurement
from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import predict_columns
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.predict import predict
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.light_curve.features import LAYOUT, LightCurveFeatures
from multistar.modalities.light_curve.points import from_points
from multistar.model.extend import with_alignment
from multistar.stars import Stars, read_stars
from multistar.training.add_encoder import add_encoder
from multistar.training.data import load_dataset
from multistar.training.masks import Splitter
from multistar.training.pretrain import Trainer, pretrain
from multistar.training.workers import Workers


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """160 giants with XP, photometry, parallax and 90 days of Kepler."""
    return pa.concat_tables(
        survey(160, SurveyConfig(3, "kepler-like", light_curves=("kepler",), views=True))
    )


@pytest.fixture(scope="module")
def model(table, tmp_path_factory) -> MultiStar:
    """Trained for 12 steps; every third star has no light curve."""
    folder = tmp_path_factory.mktemp("light_curves")
    stars = [table.filter(pa.array(np.arange(160) % 3 > 0)), without_curves(table[::3])]
    for i, part in enumerate(stars):
        pq.write_table(part, folder / f"{i}.parquet")
    run = small_run(folder / "0.parquet", folder / "model", steps=12)
    run = dataclasses.replace(
        run,
        data=dataclasses.replace(
            run.data, train=[str(folder / "0.parquet"), str(folder / "1.parquet")]
        ),
    )
    run = dataclasses.replace(
        run, model=dataclasses.replace(run.model, alignment="dual", light_curve_depth=1)
    )
    pretrain(run, quiet=True)
    return MultiStar.from_pretrained(run.out)


def without_curves(table: pa.Table) -> pa.Table:
    return table.drop_columns(["light_curve_value", "light_curve_sigma"])


def test_slots_follow_the_layout_and_survive_saving(model, table):
    vocabulary = model.model.vocabulary
    assert vocabulary["light_curve"].layout == LAYOUT
    assert len(vocabulary.slots("light_curve")) == LAYOUT.n_slots
    assert vocabulary.slots("xp").stop == vocabulary.slots("light_curve").start
    times = LAYOUT.parts["sample_times"].start + vocabulary.slots("light_curve").start
    assert times not in vocabulary.askable
    assert times - 1 in vocabulary.askable
    m = model.model.standardiser(read_stars(table))
    seen = np.stack(table["light_curve_value"].to_pylist())
    np.testing.assert_array_equal(
        m.observed[:, vocabulary.slots("light_curve").start :], np.isfinite(seen)
    )


@pytest.mark.parametrize("kind", ["dual-clip", "clip"])
def test_another_alignment_leaves_the_rest_as_it_is(model, table, kind):
    """What both have is kept to the bit; a run file's [model] alignment comes here."""
    changed = with_alignment(model.model, kind)
    assert changed.network.alignment.kind == changed.config.alignment == kind
    own, new = model.model.state(), changed.state()
    for name in set(own) & set(new):
        assert torch.equal(own[name], new[name]), name
    others = set(own) ^ set(new)
    assert others and all(name.startswith("network.alignment.") for name in others)
    stars = read_stars(table[:5])
    assert predict(changed, stars).equals(predict(model.model, stars))


COLUMNS = {
    "xp": ["bp_coefficients", "bp_coefficient_errors", "rp_coefficients", "rp_coefficient_errors"],
    "photometry": ["phot_g_mean_mag", "phot_bp_mean_mag", "j_m", "h_m"],
    "parallax": ["parallax", "parallax_error"],
    "light curve": ["light_curve_value", "light_curve_sigma"],
}


@pytest.mark.parametrize(
    "parts", [c for n in range(1, 5) for c in combinations(COLUMNS, n)], ids="+".join
)
def test_every_subset_of_modalities_works(model, table, parts):
    bare = table[:6].select(["source_id", *(name for part in parts for name in COLUMNS[part])])
    result = model.predict(bare)
    for label in model.model.vocabulary.labels:
        low, middle, high = (result[label + s].to_numpy() for s in ("_lower", "", "_upper"))
        assert (np.isfinite(middle) & (low < middle) & (middle < high)).all()
    words = ",".join(result["status"].to_pylist())
    assert "no_data" not in words
    vectors = np.stack(model.embed(bare)["embedding"].to_pylist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    drawn = model.predict(bare, samples=4)
    assert np.isfinite(np.stack(drawn["mass_samples"].to_pylist())).all()


def test_what_is_not_observed_changes_nothing_bitwise(model, table):
    m = model.model.standardiser(read_stars(table[:8]))
    observed = m.observed & (
        torch.rand(m.observed.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    )
    embeddings = []
    for filler in (0.0, 1e9, torch.nan):
        value, sigma = (torch.where(observed, x, filler) for x in (m.value, m.sigma))
        embeddings.append(model.model.network.encode(Measurement(value, sigma, observed)).embedding)
    assert torch.equal(embeddings[0], embeddings[1])
    assert torch.equal(embeddings[0], embeddings[2])


def test_stars_of_a_batch_do_not_see_each_other(model, table):
    """With and without others that have a light curve where this one has none."""
    mixed = read_stars(table[:4])
    assert mixed.light_curve is not None
    value = mixed.light_curve.value.copy()
    value[0] = np.nan
    mixed = mixed.with_blocks(light_curve=LightCurveFeatures(value, mixed.light_curve.sigma))
    together = model.embed(mixed)["embedding"].to_pylist()[0]
    alone = model.embed(without_curves(table[:1]))["embedding"].to_pylist()[0]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_light_curve_is_told_from_its_absence_and_from_another(model, table):
    with_, without = (
        np.stack(model.embed(t)["embedding"].to_pylist())
        for t in (table[:8], without_curves(table[:8]))
    )
    assert (np.linalg.norm(with_ - without, axis=1) > 1e-3).all()
    swapped = table[:8]
    for name in COLUMNS["light curve"]:
        place = swapped.column_names.index(name)
        swapped = swapped.set_column(place, name, table[name].take(np.roll(np.arange(8), 1)))
    other = np.stack(model.embed(swapped)["embedding"].to_pylist())
    assert (np.linalg.norm(with_ - other, axis=1) > 1e-3).all()


def test_training_shows_every_combination_of_modalities(model, table):
    vocabulary = model.model.vocabulary
    m = model.model.standardiser(read_stars(table[:64]))
    splitter = Splitter(
        vocabulary, torch.ones(vocabulary.n_slots), 8, 0.25, torch.Generator().manual_seed(0)
    )
    xp, curve = list(vocabulary.slots("xp")), list(vocabulary.slots("light_curve"))
    photometry = [vocabulary.slot(n) for n in ("g", "bp", "j", "h")]
    seen = set()
    for _ in range(60):
        split = splitter(m)
        shown = split.context.observed
        seen |= set(
            zip(*(shown[:, s].any(1).tolist() for s in (xp, photometry, curve)), strict=True)
        )
        assert not (split.asked & shown).any()
        assert set(split.query.tolist()) <= set(vocabulary.askable)
    assert len(seen) == 8


def test_stars_with_a_light_curve_stand_in_batches_of_their_own(table, tmp_path):
    for i, part in enumerate((table, without_curves(table))):
        pq.write_table(part, tmp_path / f"{i}.parquet")
    run = small_run(tmp_path / "0.parquet", tmp_path / "model")
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, train=[str(tmp_path)]))
    trainer = Trainer(run, load_dataset(run, Workers()))
    start, kinds = trainer.model.vocabulary.slots("light_curve").start, set()
    for _ in range(sum(len(rows) // run.training.batch for rows in trainer.kinds)):
        has = trainer._batch()[0].observed[:, start:].any(1)
        assert has.all() or not has.any()
        kinds.add(bool(has[0]))
        trainer.step += 1
    assert kinds == {True, False}
    assert len(np.unique(trainer._order)) == trainer._order.size


def test_a_run_can_begin_with_a_larger_encoder(star_model, model, table, tmp_path):
    pq.write_table(table, tmp_path / "stars.parquet")
    core = dataclasses.replace(
        model.model.config, light_curve_depth=star_model.model.config.light_curve_depth
    )
    model.save_pretrained(tmp_path / "curves")
    star_model.save_pretrained(tmp_path / "core")
    run = small_run(tmp_path / "stars.parquet", tmp_path / "out")
    run = dataclasses.replace(
        run, model=core, start=str(tmp_path / "core"), add_encoder=str(tmp_path / "curves")
    )
    trainer = Trainer(run, load_dataset(run, Workers()))
    theirs = dict(model.model.network.encoders.light_curve.named_parameters())
    for name, parameter in trainer.model.network.encoders.light_curve.named_parameters():
        assert torch.equal(parameter, theirs[name])
    with pytest.raises(ValueError, match="name it as `start`"):
        load_dataset(dataclasses.replace(run, start=""), Workers())


def test_a_view_of_another_layout_is_refused(table):
    short = pa.table(
        {"source_id": [1], "light_curve_value": [[0.0] * 7], "light_curve_sigma": [[0.0] * 7]}
    )
    with pytest.raises(ValueError, match=rf"shape \(1, 7\).*expected \(n, {LAYOUT.n_slots}\)"):
        read_stars(short)


def test_views_of_a_mock_need_one_mission():
    with pytest.raises(ValueError, match="name one mission"):
        SurveyConfig(views=True)


def test_a_larger_model_predicts_as_before_without_light_curves(star_model, model, table):
    """And with them differently; its slots are those of both."""
    core = star_model.model
    larger = MultiStar(add_encoder(core, model.model))
    bare = without_curves(table[:10])
    one, other = (m.predict(bare) for m in (star_model, larger))
    for name in one.column_names:
        assert one[name].to_pylist() == other[name].to_pylist(), name
    seen = larger.predict(table[:10])
    assert np.abs(seen["logg"].to_numpy() - one["logg"].to_numpy()).max() > 1e-4
    both = (larger.model, model.model)  # the smaller one may lack bands in which all saturate
    one, other = (m.standardiser.scale[m.vocabulary.slots("light_curve").start :] for m in both)
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match="a modality that the first one lacks"):
        add_encoder(model.model, model.model)
    narrow = dataclasses.replace(
        model.model, config=dataclasses.replace(model.model.config, heads=1)
    )
    with pytest.raises(ValueError, match="different width and heads"):
        add_encoder(core, narrow)


@pytest.fixture(scope="module")
def curves_file(tmp_path_factory):
    """Points of five giants in one long table, magnitudes; and the survey's rows of eight."""
    config = SurveyConfig(8, "kepler-like", light_curves=("gaia",))
    rows = pa.concat_tables(survey(8, config))
    long = {"source_id": [], "time": [], "mag": [], "mag_error": []}
    for row in rows.select(["source_id", "gaia_time", "gaia_flux", "gaia_flux_error"]).to_pylist()[
        :5
    ]:
        n, flux = len(row["gaia_time"]), np.array(row["gaia_flux"])
        long["source_id"] += [row["source_id"]] * n
        long["time"] += row["gaia_time"]
        long["mag"] += list(12 - 2.5 * np.log10(flux))
        long["mag_error"] += list(1.0857 * np.array(row["gaia_flux_error"]) / flux)
    path = tmp_path_factory.mktemp("curves") / "curves.parquet"
    pq.write_table(pa.table(long), path)
    return path, rows.drop_columns(["gaia_time", "gaia_flux", "gaia_flux_error"])


def test_light_curves_join_their_stars_by_id(model, curves_file):
    path, rows = curves_file
    with_, without = model.predict(rows, light_curves=path), model.predict(rows)
    changed = (
        np.abs(with_["logg"].to_numpy() - without["logg"].to_numpy()) > 1e-5
    )  # rounding differs with the tokens
    assert changed.tolist() == [True] * 5 + [False] * 3
    missing = ["no_light_curve" in words for words in with_["status"].to_pylist()]
    assert missing == [False] * 5 + [True] * 3
    assert not any("no_data" in words for words in with_["status"].to_pylist())
    shuffled = rows.take([7, 2, 0])
    again = model.predict(shuffled, light_curves=path)["logg"].to_pylist()
    np.testing.assert_allclose(again, np.array(with_["logg"].to_pylist())[[7, 2, 0]], rtol=1e-5)


def test_a_table_of_ids_is_enough_beside_light_curves(model, curves_file):
    path, rows = curves_file
    ids = rows.select(["source_id"])
    found = model.predict(ids, light_curves=path, origin="mock")
    alone = model.predict(None, light_curves=path, origin="mock")
    want = dict(zip(alone["source_id"].to_pylist(), alone["logg"].to_pylist(), strict=True))
    for row in found.to_pylist():
        if row["source_id"] in want:
            assert row["logg"] == pytest.approx(want[row["source_id"]], rel=1e-5)
        else:
            assert "no_light_curve" in row["status"]
    (quantity,) = model.describe(ids, light_curves=path).quantities
    assert (quantity.name, quantity.stars) == ("light curve", 5)
    with pytest.raises(ValueError, match="no measurement"):
        model.predict(ids)


def test_light_curves_alone_views_and_the_command_line_agree(model, curves_file, tmp_path):
    path, rows = curves_file
    alone = model.embed(None, light_curves=path)
    assert sorted(alone["source_id"].to_pylist()) == sorted(rows["source_id"].to_pylist()[:5])
    model.save_pretrained(tmp_path / "model")
    run = ["--model", str(tmp_path / "model"), "--out"]
    assert main(["embed", "--lightcurves", str(path), *run, str(tmp_path / "a.parquet")]) == 0
    assert main(["view", str(path), "--out", str(tmp_path / "view.parquet")]) == 0
    assert main(["embed", str(tmp_path / "view.parquet"), *run, str(tmp_path / "b.parquet")]) == 0
    want = np.stack(alone["embedding"].to_pylist())
    for name in ("a", "b"):
        found = pq.read_table(tmp_path / f"{name}.parquet")
        assert found["source_id"].to_pylist() == alone["source_id"].to_pylist()
        np.testing.assert_allclose(np.stack(found["embedding"].to_pylist()), want, atol=1e-6)


def test_a_model_without_light_curves_refuses_them(star_model, curves_file):
    with pytest.raises(ValueError, match="reads no light curves"):
        star_model.predict(curves_file[1], light_curves=curves_file[0])
    with pytest.raises(ValueError, match="nothing to read"):
        star_model.predict(None)


def test_a_run_may_read_light_curves_alone(table, tmp_path):
    pq.write_table(table, tmp_path / "t.parquet")
    run = small_run(tmp_path / "t.parquet", tmp_path / "m")
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, only=["light_curve"]))
    vocabulary = load_dataset(run, Workers()).model.vocabulary
    assert vocabulary.measurements == () and "xp" not in vocabulary
    assert vocabulary["light_curve"].layout == LAYOUT
    assert vocabulary.labels
    with pytest.raises(ValueError, match=r"unknown modalities \['radio'\]"):
        dataclasses.replace(run.data, only=["radio"])


def test_classes_are_learnt_from_light_curves_and_a_table_of_classes_alone(model):
    """As the guide says: LABELLED holds ids and classes, the light curves come apart."""
    rng = np.random.default_rng(0)
    time = np.tile(np.sort(rng.uniform(0, 60, 80)), 60)
    star = np.repeat(np.arange(60), 80)
    waves = np.where(star % 2 == 0, np.sin(2 * np.pi * time), 0.0)
    flux = 1 + 0.2 * waves + 0.01 * rng.normal(size=len(time))
    curves = from_points(star, time, flux, np.full(len(time), 0.01), "tess", unit="flux")
    table = {"source_id": np.arange(60), "kind": np.where(np.arange(60) % 2 == 0, "wave", "flat")}
    adapter = finetune(
        model.model, table, ["kind:class"], "probe", config=FinetuneConfig(steps=60),
        light_curves=curves,
    )  # fmt: skip
    found, _ = predict_columns(adapter, Stars.of_light_curves(curves))
    share = found["kind_wave"][0]
    assert share[::2].mean() > share[1::2].mean() + 0.2
    with pytest.raises(ValueError, match="no measurement found"):
        finetune(model.model, table, ["kind:class"], "probe")
