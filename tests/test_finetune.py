"""Fine-tuning against a linear-Gaussian truth, and the promises of adapters: base unchanged, locked, exact."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from conftest import assert_same_table

from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.finetune.adapter import load_adapter
from multistar.finetune.examples import held_out_stars
from multistar.finetune.finetune import finetune
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.predict import predict
from multistar.inference.stream import show_measurements
from multistar.modalities import Scalars
from multistar.model.checkpoint import Model, load_model, save_model
from multistar.model.extend import extend
from multistar.model.network import ModelConfig
from multistar.model.vocabulary import Vocabulary
from multistar.quantities import QUANTITIES, declared
from multistar.stars import read_stars

SLOPE, SCATTER, ERROR = (
    2.0,
    0.5,
    1.5,
)  # of the new label: 2 x + N(0, 0.5), measured with errors of 1.5 or none


def draw(n: int, seed: int) -> pd.DataFrame:
    """Stars of three magnitudes; y follows from one colour, z from the other, `kind` from y."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(2, n))
    truth = SLOPE * x + SCATTER * rng.normal(size=n)
    error = np.where(np.arange(n) % 2, ERROR, 0.01)
    g = rng.normal(14, 1, n)
    return pd.DataFrame(
        {
            "source_id": rng.choice(2**60, n, replace=False),
            "phot_g_mean_mag": g, "phot_bp_mean_mag": g + 0.5 + 0.3 * x, "phot_rp_mean_mag": g - 0.6 + 0.2 * w,
            "gP1": g + 5 + 0.3 * rng.normal(size=n), "teff": rng.normal(5000, 300, n), "logg": rng.normal(2.5, 0.5, n),
            "x": x, "truth": truth, "y": truth + error * rng.normal(size=n), "y_error": error,
            "z": 5 * w, "kind": np.where(x > 0, "hot", "cold"),
        }
    )  # fmt: skip


def toy_base(folder, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    config = ModelConfig(
        width=32, encoder_depth=1, decoder_depth=1, heads=2, embedding=16, components=3
    )
    model = Model.fresh(config, Vocabulary((Scalars(("g", "bp", "rp"), ("teff", "logg")),)))
    model.standardiser.fit(read_stars(draw(500, 99)))
    save_model(model, folder)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "base"
    toy_base(path)
    return path


@pytest.fixture(scope="module")
def base(folder) -> MultiStar:
    return MultiStar.from_pretrained(folder)


@pytest.fixture(scope="module")
def test_stars() -> pd.DataFrame:
    return draw(400, 1)


@pytest.fixture(scope="module")
def learnt(base) -> MultiStar:
    """y, half of it with large errors, z for every third star, and kind for three quarters of them."""
    table = draw(3000, 0)
    table.loc[np.arange(3000) % 3 > 0, "z"] = np.nan
    table.loc[np.arange(3000) % 4 == 0, "kind"] = None
    return base.finetune(
        table, ["y", "z", "kind"], mode="full", steps=400, learning_rate=6e-3, batch=128, hide=0.1
    )


def test_a_longer_model_says_the_same_about_old_labels(mock_table, star_model):
    core = star_model.model
    stars = read_stars(mock_table[:40])
    larger = extend(
        core, [declared("u", "magnitude"), declared("c_n", "other")], [declared("vsini", "label")]
    )
    assert larger.vocabulary.n_slots == core.vocabulary.n_slots + 3
    one, two = (m.network.encode(show_measurements(m, stars)) for m in (core, larger))
    assert torch.equal(one.features, two.features) and torch.equal(one.embedding, two.embedding)
    assert torch.equal(core.domain.outside(one.embedding, show_measurements(core, stars)),
                       larger.domain.outside(two.embedding, show_measurements(larger, stars)))  # fmt: skip
    before, after = predict(core, stars, True), predict(larger, stars, True)
    for name in before.column_names:
        assert before[name].equals(after[name]), name
    xp = torch.arange(5)
    slots = [core.vocabulary.slots("xp").start + xp, larger.vocabulary.slots("xp").start + xp]
    assert torch.equal(
        core.network.decode(one, slots[0]).mean, larger.network.decode(two, slots[1]).mean
    )
    with pytest.raises(ValueError, match="has these already"):
        extend(core, [], [QUANTITIES["teff"]])


def test_a_new_label_has_the_mean_and_the_noise_free_width_of_the_truth(learnt, test_stars):
    found = learnt.predict(test_stars).to_pandas()
    expected = SLOPE * test_stars["x"]
    assert np.std(found["y"] - expected) < 0.3  # the scatter of the labels is 1.2 about it
    width = (found["y_upper"] - found["y_lower"]).median() / 2
    assert abs(width - SCATTER) < 0.12  # not 1.1, which errors and scatter are together
    inside = (test_stars["truth"] > found["y_lower"]) & (test_stars["truth"] < found["y_upper"])
    assert 0.6 < inside.mean() < 0.78


def test_labels_that_few_stars_have_are_learnt_from_these(learnt, test_stars):
    found = learnt.predict(test_stars).to_pandas()
    assert np.corrcoef(found["z"], test_stars["z"])[0, 1] > 0.97


def test_probabilities_of_classes(learnt, test_stars):
    table = learnt.predict(test_stars)
    assert table.column_names[-3:] == ["kind", "kind_cold", "kind_hot"]
    found = table.to_pandas()
    np.testing.assert_allclose(found["kind_cold"] + found["kind_hot"], 1, atol=1e-6)
    assert (found["kind"] == test_stars["kind"]).mean() > 0.93
    sure = (found["kind_hot"] > 0.9) | (found["kind_hot"] < 0.1)
    assert sure.mean() > 0.5 and (found["kind"] == test_stars["kind"])[sure].mean() > 0.97


def test_base_columns_are_those_of_the_base_and_units_and_metadata_stay(learnt, base, test_stars):
    alone, both = base.predict(test_stars), learnt.predict(test_stars)
    for name in alone.column_names[2:]:
        assert both[name].equals(alone[name])
    assert both.schema.metadata[b"adapters"] == b"y, z, kind"
    assert both.schema.field("teff").metadata == alone.schema.field("teff").metadata


@pytest.mark.parametrize("mode", ["probe", "head", "lora", "full"])
def test_an_adapter_from_disk_is_the_one_that_was_saved(mode, base, folder, test_stars, tmp_path):
    table, inputs = draw(300, 2), ["c_n"] if mode in ("lora", "full") else []
    tuned = base.finetune(
        table.assign(c_n=table["x"]), ["y", "teff", "kind"], mode=mode, steps=12, inputs=["logg", *inputs],
        out=tmp_path / "a",
    )  # fmt: skip
    again = MultiStar.from_pretrained(folder, adapter=tmp_path / "a")
    stars = test_stars.assign(c_n=0.5)
    assert_same_table(tuned.predict(stars), again.predict(stars))
    assert not (tmp_path / "a.partial").exists()
    adapter = again.adapters[0]
    assert adapter.request.given == ("logg",)
    assert [q.name for q in adapter.request.inputs] == (["ps1_g", "c_n"] if inputs else [])
    before = base.predict(stars)
    assert not again.predict(stars)["teff"].equals(
        before["teff"]
    )  # an own label of the base takes its column
    assert again.predict(stars)["logg"].equals(before["logg"])
    other = again.predict(stars.assign(logg=stars["logg"] + 1))
    assert not np.allclose(other["y"], again.predict(stars)["y"])  # what is given is read


def test_only_what_the_mode_names_moves(base):
    table = draw(200, 3)
    adapters = {
        m: finetune(base.model, table, ["y"], m, config=FinetuneConfig(steps=3))
        for m in ("probe", "head", "lora")
    }
    state = base.model.network.state_dict()
    for mode, adapter in adapters.items():
        moved = {n for n in adapter.changes if n.startswith("model.network.")}
        assert mode != "probe" or not moved
        encoder = {n for n in moved if not n.startswith("model.network.head.")}
        assert mode == "lora" or not encoder
        assert all(n.startswith("model.network.encoders.scalars.embed") for n in encoder)
        rows = adapter.model.network.head.identity.weight[adapter.model.vocabulary.slot("teff")]
        assert torch.equal(rows, state["head.identity.weight"][base.model.vocabulary.slot("teff")])
    assert any(n.startswith("low_rank.fusion") for n in adapters["lora"].changes)


def test_training_leaves_the_base_as_it_is(base, folder, test_stars):
    before = base.predict(test_stars)
    base.finetune(draw(200, 3), ["y"], mode="full", steps=3)
    assert_same_table(before, base.predict(test_stars))
    now = base.model.state()
    for name, tensor in load_model(folder).state().items():
        assert torch.equal(tensor, now[name]), name


def test_another_base_refuses_an_adapter_and_damage_is_found(base, tmp_path):
    base.finetune(draw(200, 3), ["y"], mode="head", steps=3, out=tmp_path / "a")
    other = toy_base(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="made for the base model"):
        load_adapter(other, tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="not an adapter folder"):
        load_adapter(base.model, tmp_path / "other")
    weights, config = tmp_path / "a" / "adapter.safetensors", tmp_path / "a" / "adapter.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps(told | {"request": told["request"] | {"mode": "probe"}}))
    with pytest.raises(ValueError, match="do not fit together"):
        load_adapter(base.model, tmp_path / "a")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="SHA-256"):
        load_adapter(base.model, tmp_path / "a")
    never_saved = Model.fresh(base.model.config, base.model.vocabulary)
    with pytest.raises(ValueError, match="no hash"):
        MultiStar(never_saved).finetune(draw(200, 3), ["y"], mode="probe", steps=1).save_adapter(
            tmp_path / "b"
        )


def test_adapters_stand_side_by_side(base, folder, test_stars, tmp_path):
    for label, mode in (("y", "lora"), ("z", "probe")):
        base.finetune(draw(300, 4), [label], mode=mode, steps=5, out=tmp_path / label)
    both = MultiStar.from_pretrained(folder, adapter=[tmp_path / "y", tmp_path / "z"]).predict(
        test_stars
    )
    for label in "yz":
        alone = MultiStar.from_pretrained(folder, adapter=str(tmp_path / label)).predict(test_stars)
        assert all(both[label + s].equals(alone[label + s]) for s in ("", "_lower", "_upper"))
    with pytest.raises(ValueError, match="two adapters predict"):
        MultiStar.from_pretrained(folder, adapter=[tmp_path / "y", tmp_path / "y"])


@pytest.mark.parametrize("mode", ["head", "lora"])
def test_an_interrupted_run_goes_on_exactly(mode, base, tmp_path, monkeypatch):
    table, config = draw(300, 5), FinetuneConfig(steps=14, seed=3)
    whole = finetune(base.model, table, ["y", "kind"], mode, config=config)
    from multistar.finetune import tune as train

    advance, stop = train.Trainer.advance, 8

    def interrupted(self):
        if self.step == stop:
            raise KeyboardInterrupt
        advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(train.Trainer, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            finetune(
                base.model,
                table,
                ["y", "kind"],
                mode,
                config=config,
                out=tmp_path / "a",
                checkpoint_seconds=0,
            )
    assert not (tmp_path / "a").exists() and (tmp_path / "a.partial").exists()
    with pytest.raises(ValueError, match="other settings or data"):
        finetune(base.model, table, ["y"], mode, config=config, out=tmp_path / "a")
    again = finetune(
        base.model,
        table,
        ["y", "kind"],
        mode,
        config=config,
        out=tmp_path / "a",
        checkpoint_seconds=0,
    )
    assert again.changes.keys() == whole.changes.keys()
    assert all(torch.equal(again.changes[name], whole.changes[name]) for name in whole.changes)
    assert again.provenance == whole.provenance
    assert not (tmp_path / "a.partial").exists()


@pytest.mark.parametrize(
    "change, labels, options, message",
    [
        ({}, ["vsini"], {}, "no column 'vsini'"),
        ({}, [], {}, "no labels"),
        ({"y": np.nan}, ["y"], {}, "no star has a value of"),
        ({"y": np.inf}, ["y"], {}, "no star has a value of"),
        ({"kind": "one"}, ["kind"], {}, "has 1 classes"),
        ({}, ["x:class"], {}, "classes"),
        ({}, ["y:cube"], {}, "after the colon"),
        ({}, ["y", "y"], {}, "named twice"),
        ({}, ["teff"], {"inputs": ["teff"]}, "both as a label"),
        ({}, ["bp"], {}, "measured, no label"),
        ({}, ["y"], {"inputs": ["x"], "mode": "head"}, "frozen encoder"),
        ({}, ["y"], {"inputs": ["nothing"]}, "no column 'nothing'"),
        ({}, ["y"], {"mode": "best"}, "mode must be one of"),
        ({}, ["y"], {"held_out": 0.001}, "held-out|validation"),
        ({}, ["y"], {"split": "healpix"}, "needs columns ra and dec"),
        ({}, ["y"], {"batch": 0}, "at least 1"),
    ],
)
def test_bad_requests_are_refused_in_words(change, labels, options, message, base):
    table = draw(60, 6).assign(**change)
    if options.get("split"):
        table["source_id"] = np.arange(60)
    with pytest.raises(ValueError, match=message):
        base.finetune(table, labels, **options)


def test_one_star_is_too_few_and_faults_of_the_data_are_left_out(base):
    with pytest.raises(
        ValueError, match="training stars with this label|held-out stars with this label"
    ):
        base.finetune(draw(1, 7), ["y"])
    table = draw(200, 7)
    table.loc[3, "y"], table.loc[4, "y"], table.loc[5, "y_error"] = np.inf, 1e9, -1.0
    table.loc[6, ["phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "gP1"]] = np.nan
    tuned = base.finetune(table, ["y"], mode="head", steps=5)
    said = tuned.adapters[0].provenance
    assert (
        said["training_stars"] + said["held_out_stars"] == 197
    )  # without the infinite, the absurd, the unmeasured
    assert np.isfinite(tuned.predict(table)["y"].to_numpy()).all()


def test_splits_go_by_star_and_by_place():
    table = draw(3000, 8)
    stars = read_stars(table)
    twice = read_stars(pd.concat([table, table]))
    out = held_out_stars(twice, "star", 0.2)
    np.testing.assert_array_equal(out[:3000], out[3000:])
    assert 0.16 < out.mean() < 0.24
    rng = np.random.default_rng(0)
    here = read_stars(table.assign(ra=rng.uniform(0, 360, 3000), dec=rng.uniform(-60, 60, 3000)))
    near = read_stars(
        table.assign(ra=here.extra["ra"], dec=here.extra["dec"] + 1e-5, source_id=np.arange(3000))
    )
    blocks = [held_out_stars(s, "healpix", 0.2) for s in (here, near)]
    assert np.mean(blocks[0] != blocks[1]) < 0.01 and 0.1 < blocks[0].mean() < 0.3
    gaia = held_out_stars(stars, "healpix", 0.2)
    pixel = stars.source_id // 2**49
    assert all(len(set(gaia[pixel == p])) == 1 for p in np.unique(pixel)[:200])


def test_the_command_line(folder, tmp_path, capsys):
    draw(300, 9).to_parquet(tmp_path / "stars.parquet")
    arguments = [
        "finetune",
        tmp_path / "stars.parquet",
        "--labels",
        "y,kind",
        "--model",
        folder,
        "--out",
        tmp_path / "a",
    ]
    options = ["--steps", "5", "--mode", "head"]
    assert main([str(a) for a in (*arguments, *options)]) == 0
    said = capsys.readouterr().out
    assert "adapter of 0.1 MB written" in said and "values learnt from" in said
    assert main([str(a) for a in (*arguments, *options)]) == 2  # exists
    wanted = ["predict", tmp_path / "stars.parquet", "--model", folder, "--adapter", tmp_path / "a"]
    assert main([str(a) for a in (*wanted, "--out", tmp_path / "out.parquet")]) == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert {"teff", "y", "y_lower", "y_upper", "kind", "kind_hot"} <= set(table.column_names)
    assert len(table) == 300


def test_retain_is_still_accepted_and_warns_that_it_does_nothing(folder, tmp_path):
    table = draw(300, 9)
    settings = {"mode": "probe", "steps": 2}
    with pytest.warns(DeprecationWarning, match="retain does nothing any more"):
        MultiStar.from_pretrained(folder).finetune(table, ["y"], retain=table, **settings)
    table.to_parquet(tmp_path / "stars.parquet")
    command = ["finetune", str(tmp_path / "stars.parquet"), "--labels", "y", "--mode", "probe"]
    command += ["--steps", "2", "--model", str(folder), "--out"]
    for name, option in (("a", ["--retain", "unread.csv"]), ("b", ["--no-retain"])):
        with pytest.warns(FutureWarning, match=f"{option[0]} does nothing any more"):
            assert main([*command, str(tmp_path / name), *option]) == 0


@pytest.mark.parametrize("label", ["source_id", "status", "teff_lower", "y_upper", "covariance"])
def test_labels_do_not_take_the_columns_of_others(base, label):
    table = draw(300, 0).rename(columns={"z": label}) if label != "source_id" else draw(300, 0)
    with pytest.raises(ValueError, match=r"predict has columns of this name already"):
        base.finetune(table, ["y", label], steps=1)


def test_classes_do_not_look_like_quantiles(base):
    table = draw(300, 0).assign(
        y=lambda t: np.where(t.x > 0, "lower", "upper"), y_lower=lambda t: t.z
    )
    with pytest.raises(ValueError, match=r"\['y_lower'\]: predict has columns"):
        base.finetune(table, ["y", "y_lower"], steps=1)


def test_what_is_wrong_is_said_before_anything_is_learnt(base, learnt, tmp_path):
    table = draw(300, 0)
    with pytest.raises(
        ValueError, match=r"\['y'\]: an adapter of this model predicts these already"
    ):
        learnt.finetune(table, "y", out=tmp_path / "again")
    assert not list(tmp_path.iterdir())
    bare = table[["source_id", "y", "teff"]]
    with pytest.raises(ValueError, match="no star has a measurement that the model reads"):
        base.finetune(bare, "y")
    with pytest.raises(ValueError, match="the table is empty"):
        base.finetune(table[:0], "y")
    for label in ("teff:log", "y:magnitude"):
        with pytest.raises(ValueError, match="fixed|no magnitude"):
            base.finetune(table, label)


def test_whole_numbers_with_gaps_are_classes_without_a_point(base):
    table = draw(300, 0).assign(k=lambda t: np.where(t.x > 0, 1.0, 2.0))
    table.loc[:50, "k"] = np.nan
    found = base.finetune(table, "k:class", mode="probe", steps=3).predict(table[:5])
    assert {"k", "k_1", "k_2"} <= set(found.column_names)


def test_values_that_are_left_out_are_counted(base):
    table = draw(600, 0)
    table.loc[:9, "y"] = -9.99e8
    table.loc[10:29, "y"] = np.nan
    said = (
        base.finetune(table, ["y", "kind"], mode="probe", steps=3).adapters[0].provenance["labels"]
    )
    assert said["y"]["far"] == 10 and said["y"]["training"] + said["y"]["held_out"] == 570
    assert said["kind"]["training"] + said["kind"]["held_out"] == 600


def test_an_input_that_the_table_lacks_is_named(base):
    table = draw(300, 0)
    tuned = base.finetune(table, "y", inputs="logg", steps=3)
    with pytest.warns(UserWarning, match="the adapter of y also reads .*logg, not in this table"):
        tuned.predict(table.drop(columns="logg"))


def test_stars_without_a_place_are_held_out_one_by_one():
    table = draw(2000, 0).assign(ra=np.nan, dec=10.0)
    assert held_out_stars(read_stars(table), "healpix", 0.15).mean() == pytest.approx(
        0.15, abs=0.03
    )
