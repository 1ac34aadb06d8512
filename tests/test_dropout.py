"""Monte-Carlo dropout: thinned networks against a loop and quadrature, by seed; what widths hold; training with it."""

import json

import numpy as np
import pytest
import torch
from conftest import assert_same_table
from scipy.integrate import trapezoid
from test_finetune import SCATTER, SLOPE, draw, toy_base

from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.finetune.adapter import load_adapter
from multistar.finetune.dropout import densities, dropped, thinned_layers
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import predict_columns
from multistar.finetune.tune import FinetuneConfig, Trainer
from multistar.inference.stream import show_measurements
from multistar.model.mixture import Mixture, pooled
from multistar.stars import read_stars

LABELS = ["y", "z", "kind"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "base"
    toy_base(path)
    return path


@pytest.fixture(scope="module")
def base(folder) -> MultiStar:
    return MultiStar.from_pretrained(folder)


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory) -> MultiStar:
    settings = {"steps": 300, "learning_rate": 6e-3, "batch": 128, "hide": 0.1, "dropout": 0.2}
    return base.finetune(draw(2500, 0), LABELS, mode="full", **settings)


@pytest.fixture(scope="module")
def shown(tuned):
    return show_measurements(tuned.adapters[0].model, read_stars(draw(40, 1)))


@pytest.fixture(scope="module")
def memory(tuned, shown):
    with torch.no_grad():
        return tuned.adapters[0].encode(shown)


def test_pooled_mixtures_are_the_mean_of_their_densities():
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(5, 3, 2, 1, 4, generator=generator, dtype=torch.float64)
    parts = [Mixture(r[0].log_softmax(-1), 2 * r[1], 0.3 * r[2]) for r in raw]
    both = pooled(parts)
    grid = torch.linspace(-20, 20, 8001, dtype=torch.float64).repeat(2, 1)
    wide = [Mixture(*(t.expand(-1, 8001, -1) for t in vars(p).values())) for p in (*parts, both)]
    density = torch.stack([p.log_prob(grid, torch.zeros_like(grid)).exp() for p in wide])
    torch.testing.assert_close(density[:-1].mean(0), density[-1])
    np.testing.assert_allclose(trapezoid(density[-1], grid, axis=-1), 1, atol=1e-6)
    levels = torch.tensor([0.16, 0.5, 0.84], dtype=torch.float64)
    for quantile, level in zip(both.quantile(levels).unbind(-1), levels, strict=True):
        below = torch.where(grid <= quantile, density[-1], 0)
        np.testing.assert_allclose(trapezoid(below, grid, axis=-1), level, atol=2e-3)


@torch.no_grad()
def test_passes_are_the_same_thinned_networks_for_every_star(tuned, shown, memory):
    adapter = tuned.adapters[0]
    whole, _ = densities(adapter, shown, memory)
    again, _ = adapter.readout(adapter.model.network, memory, adapter.slots)
    assert all(
        torch.equal(a, b) for a, b in zip(vars(whole).values(), vars(again).values(), strict=True)
    )
    many, logs = densities(adapter, shown, memory, 6)
    few, _ = densities(adapter, shown, memory, 3)
    size = whole.mean.shape[-1]
    assert many.mean.shape[-1] == 6 * size and torch.equal(many.mean[..., : 3 * size], few.mean)
    torch.testing.assert_close(many.log_weight.exp().sum(-1), torch.ones(40, 2))
    torch.testing.assert_close(logs[0].exp().sum(-1), torch.ones(40))
    one, _ = densities(
        adapter, shown.rows(slice(17, 18)), memory.rows(slice(17, 18)), 6
    )  # the same networks for every star
    torch.testing.assert_close(one.mean[0], many.mean[17], rtol=1e-4, atol=1e-5)
    assert (many.mean[..., 0] != many.mean[..., size]).any(), "passes differ"


@torch.no_grad()
def test_a_thinned_network_has_silent_units_and_the_rest_made_up_for(tuned, memory):
    """With the inputs of a layer replaced by hand the result is that of the hooks."""
    adapter = tuned.adapters[0]
    layer, generator = adapter.model.network.head.to_mixture.fc2, torch.Generator().manual_seed(5)
    seen = []
    hook = layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    adapter.readout(adapter.model.network, memory, adapter.slots)
    with dropped(adapter, generator, alike=True):
        adapter.readout(adapter.model.network, memory, adapter.slots)
    hook.remove()
    kept = seen[1][0].abs().sum((0, 1)) > 0
    assert 0.5 < kept.float().mean() < 1
    torch.testing.assert_close(seen[1][1], layer(seen[1][0]))
    ones = torch.ones(2000, 1, adapter.model.config.width)
    first = thinned_layers(adapter)[0]
    with dropped(adapter, generator):
        mean = first(ones).mean(0)
    torch.testing.assert_close(mean, first(ones[:1])[0], atol=0.1, rtol=0)
    assert not any(layer._forward_pre_hooks for layer in thinned_layers(adapter))


def test_the_mean_of_the_passes_is_learnt_and_its_widths_hold_the_truth(tuned):
    stars = draw(1000, 2)
    found, whole = (tuned.predict(stars, mc_dropout=n).to_pandas() for n in (16, 0))
    for said in (found, whole):
        assert np.std(said["y"] - SLOPE * stars["x"]) < 0.4
        inside = (stars["truth"] > said["y_lower"]) & (stars["truth"] < said["y_upper"])
        assert 0.6 < inside.mean() < 0.78
        assert (said["kind"] == stars["kind"]).mean() > 0.9
    width = (found["y_upper"] - found["y_lower"]).median() / 2
    assert abs(width - SCATTER) < 0.2
    np.testing.assert_allclose(found["kind_cold"] + found["kind_hot"], 1, atol=1e-6)
    assert found["teff"].equals(whole["teff"])


def test_disagreement_of_the_passes_widens(tuned, shown, memory):
    """Law of total variance: that of the pooled mixture is the mean variance and the variance of the means."""
    adapter = tuned.adapters[0]
    with torch.no_grad():
        mixture, _ = densities(adapter, shown, memory, 8)
    weight, mean, variance = mixture.log_weight.exp(), mixture.mean, (2 * mixture.log_sigma).exp()
    center = (weight * mean).sum(-1)
    total = (weight * (variance + mean**2)).sum(-1) - center**2
    by_pass = [t.unflatten(-1, (8, -1)) for t in (weight * 8, mean, variance)]
    centers = (by_pass[0] * by_pass[1]).sum(-1)
    own = (by_pass[0] * (by_pass[2] + by_pass[1] ** 2)).sum(-1) - centers**2
    torch.testing.assert_close(
        total, own.mean(-1) + centers.var(-1, correction=0), rtol=1e-3, atol=1e-4
    )
    assert (centers.var(-1) > 0).all()


@pytest.mark.parametrize("mode", ["probe", "head", "lora"])
def test_an_adapter_from_disk_gives_the_same_passes(mode, base, folder, tmp_path):
    stars = draw(50, 3)
    tuned = base.finetune(
        draw(300, 4), ["y", "kind"], mode=mode, steps=6, dropout=0.3, out=tmp_path / "a"
    )
    again = MultiStar.from_pretrained(folder, adapter=tmp_path / "a")
    assert again.adapters[0].dropout == 0.3
    one = tuned.predict(stars, mc_dropout=4)
    assert_same_table(one, again.predict(stars, mc_dropout=4))
    assert_same_table(one.slice(20), tuned.predict(stars[20:], mc_dropout=4))
    assert not one["y"].equals(tuned.predict(stars)["y"])
    joint = tuned.predict(stars, mc_dropout=4, samples=1000).to_pandas()
    middle = np.median(np.stack(list(joint["y_samples"])), axis=1)
    assert (np.abs(middle - joint["y"]) / (joint["y_upper"] - joint["y_lower"])).max() < 0.05


def test_an_interrupted_run_with_dropout_goes_on_exactly(base, tmp_path, monkeypatch):
    table, config = draw(300, 5), FinetuneConfig(steps=10, dropout=0.2)
    whole = finetune(base.model, table, ["y", "kind"], "head", config=config)
    advance = Trainer.advance

    def interrupted(self):
        if self.step == 6:
            raise KeyboardInterrupt
        advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            finetune(
                base.model,
                table,
                ["y", "kind"],
                "head",
                config=config,
                out=tmp_path / "a",
                checkpoint_seconds=0,
            )
    again = finetune(base.model, table, ["y", "kind"], "head", config=config, out=tmp_path / "a")
    assert again.changes.keys() == whole.changes.keys()
    assert all(torch.equal(again.changes[name], whole.changes[name]) for name in whole.changes)
    without = finetune(base.model, table, ["y", "kind"], "head", config=FinetuneConfig(steps=10))
    assert not torch.equal(without.changes["readout.token"], whole.changes["readout.token"])


def test_it_needs_an_adapter_that_was_trained_with_it(base, folder, tmp_path):
    stars = draw(30, 6)
    plain = base.finetune(draw(200, 7), ["y"], mode="probe", steps=3, out=tmp_path / "a")
    with pytest.raises(ValueError, match="y was trained without dropout"):
        plain.predict(stars, mc_dropout=4)
    with pytest.raises(ValueError, match="there is none"):
        base.predict(stars, mc_dropout=4)
    with pytest.raises(ValueError, match="at least 2 passes"):
        plain.predict(stars, mc_dropout=1)
    for wrong in (-0.1, 1.0):
        with pytest.raises(ValueError, match="dropout=.* below 1"):
            FinetuneConfig(dropout=wrong)
    config = json.loads((tmp_path / "a" / "adapter.json").read_text())
    del config["dropout"]  # as before there was any
    (tmp_path / "a" / "adapter.json").write_text(json.dumps(config))
    assert_same_table(
        MultiStar.from_pretrained(folder, adapter=tmp_path / "a").predict(stars),
        plain.predict(stars),
    )
    for wrong in (0.2, 1.5):
        (tmp_path / "a" / "adapter.json").write_text(json.dumps(config | {"dropout": wrong}))
        with pytest.raises(ValueError, match="do not fit together"):
            load_adapter(base.model, tmp_path / "a")


def test_both_are_options_of_the_command(folder, tmp_path, capsys):
    draw(200, 8).to_parquet(tmp_path / "t.parquet")
    table, model = str(tmp_path / "t.parquet"), ["--model", str(folder)]
    train = [
        "finetune",
        table,
        "--labels",
        "y",
        *model,
        "--mode",
        "probe",
        "--steps",
        "4",
    ]
    assert main([*train, "--dropout", "0.25", "--out", str(tmp_path / "a")]) == 0
    assert json.loads((tmp_path / "a" / "adapter.json").read_text())["dropout"] == 0.25
    ask = ["predict", table, *model, "--adapter", str(tmp_path / "a")]
    for name, options in (
        ("one.parquet", []),
        ("many.parquet", ["--mc-dropout", "3"]),
        ("many.csv", ["--mc-dropout", "3"]),
    ):
        assert main([*ask, *options, "--out", str(tmp_path / name)]) == 0
    adapter = load_adapter(MultiStar.from_pretrained(folder).model, tmp_path / "a")
    want = predict_columns(adapter, read_stars(table), passes=3)[0]["y_upper"][0]
    import pandas as pd

    many = pd.read_parquet(tmp_path / "many.parquet")["y_upper"]
    np.testing.assert_allclose(many, want, rtol=1e-5)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "many.csv")["y_upper"], many)
    assert not np.allclose(pd.read_parquet(tmp_path / "one.parquet")["y_upper"], want)
    assert main([*ask[:-2], "--mc-dropout", "3", "--out", str(tmp_path / "none.csv")]) == 2
    assert "there is none" in capsys.readouterr().err
