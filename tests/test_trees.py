"""Boosted trees behind the network: their widths against a known scatter, and an adapter's promises."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import assert_same_table
from test_finetune import draw, toy_base

from multistar.api import MultiStar
from multistar.finetune import finetune as finetuning
from multistar.finetune import grow
from multistar.finetune.adapter import load_adapter
from multistar.finetune.grow import fit_classes, fit_numbers
from multistar.finetune.judge import is_better
from multistar.finetune.trees import TreeReadout
from multistar.inference.stream import show_measurements
from multistar.io.artifact import write_tensors
from multistar.stars import read_stars

pytest.importorskip("xgboost")


@pytest.fixture(scope="module", autouse=True)
def few_trees():
    """So few that a test takes seconds; they learn faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grow, "ROUNDS", 80)
        patch.setattr(grow, "FOLDS", 3)
        patch.setitem(grow.SETTINGS, "learning_rate", 0.15)
        yield


def readout(**classes: int) -> TreeReadout:
    targets = () if classes else ("y",)
    return TreeReadout(targets, classes, torch.tensor([0]), n_slots=3, n_labels=1)


def test_the_width_is_the_scatter_without_the_labels_errors():
    rng = np.random.default_rng(0)
    n, errors, slope = 6000, np.array([0.0, 0.6]), 2.0
    x = rng.normal(size=(n, 3)).astype("f4")
    scatter = np.where(x[:, 1] > 0, 0.5, 0.2)  # of the star's kind
    error = errors[np.arange(n) % 2]
    y = slope * x[:, 0] + rng.normal(0, scatter) + rng.normal(0, error)
    trees = readout()
    fit_numbers(trees, "y", x, y, error, seed=0)
    new = torch.from_numpy(rng.normal(size=(2000, 3)).astype("f4"))
    middle, width = (trees._predict(f"y.{what}", new).numpy() for what in ("middle", "width"))
    inner = new[:, 0].abs().numpy() < 1.5  # trees do not extrapolate
    assert np.std(middle[inner] - slope * new[inner, 0].numpy()) < 0.2
    for kind, truth in ((new[:, 1] > 0.2, 0.5), (new[:, 1] < -0.2, 0.2)):
        told = np.median(np.exp(width[kind.numpy() & inner]))
        assert truth < 1.15 * told < 1.6 * truth, (truth, told)  # the middle's own error is in it


def test_shares_of_classes_are_those_of_the_truth():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 2)).astype("f4")
    codes = (rng.random(4000) < np.where(x[:, 0] > 0, 0.8, 0.3)).astype(int)
    trees = readout(kind=2)
    fit_classes(trees, "kind", x, codes, 2, seed=0)
    logits = trees._predict("kind.classes", torch.from_numpy(x)).reshape(-1, 2)
    share = torch.softmax(logits, 1)[:, 1].numpy()
    assert abs(np.mean(share[x[:, 0] > 0]) - 0.8) < 0.03
    assert abs(np.mean(share[x[:, 0] < 0]) - 0.3) < 0.03


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> MultiStar:
    folder = tmp_path_factory.mktemp("base") / "base"
    toy_base(folder)
    return MultiStar.from_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trees") / "adapter"


@pytest.fixture(scope="module")
def grown(base, folder) -> MultiStar:
    """y, of which half has large errors, and kind; the new band and a column are inputs."""
    table = draw(1500, 0)
    table["rotation"] = table["truth"] + 0.1
    return base.finetune(table, ["y", "kind"], "trees", inputs=["rotation"], out=folder)


@pytest.fixture(scope="module")
def asked():
    table = draw(400, 1)
    table["rotation"] = table["truth"] + 0.1
    return table


def test_labels_follow_from_a_column_that_the_base_cannot_read(grown, asked):
    table = grown.predict(asked).to_pandas()
    truth = asked["truth"].to_numpy()
    assert np.std(table["y"] - truth) < 0.4 * np.std(truth)
    held = (table["y_lower"] < truth) & (truth < table["y_upper"])
    assert 0.5 < held.mean() < 0.9
    assert (table["kind"] == asked["kind"]).mean() > 0.9
    np.testing.assert_allclose(table["kind_hot"] + table["kind_cold"], 1, atol=1e-5)


def test_the_network_is_not_shown_what_it_has_not_learnt(grown, base, asked):
    (adapter,) = grown.adapters
    names = ["ps1_g", "rotation"]
    assert [q.name for q in adapter.request.inputs] == names
    stars = read_stars(asked, declared=adapter.request.quantities)
    shown = show_measurements(adapter.model, stars)
    assert shown.observed[:, [adapter.model.vocabulary.slot(n) for n in names]].all()
    alone = base.model.network.encode(show_measurements(base.model, stars))
    ours = adapter.encode(shown).embedding
    torch.testing.assert_close(ours, alone.embedding, rtol=0, atol=1e-6)  # of length 1
    shown.value[:, [adapter.model.vocabulary.slot(n) for n in names]] = 7
    assert torch.equal(adapter.encode(shown).embedding, ours)


def test_numbers_of_unobserved_slots_change_nothing(grown, asked):
    (adapter,) = grown.adapters
    some = asked.copy()
    some.loc[::2, "rotation"] = np.nan
    stars = read_stars(some, declared=adapter.request.quantities)
    shown = show_measurements(adapter.model, stars)
    other = show_measurements(adapter.model, stars)
    other.value[~other.observed] = 1e9
    one, two = (adapter.decode(m, adapter.encode(m))[0] for m in (shown, other))
    assert torch.equal(one.mean, two.mean) and torch.equal(one.log_sigma, two.log_sigma)


def test_a_saved_adapter_says_the_same(grown, base, folder, asked):
    again = MultiStar(base.model, [load_adapter(base.model, folder)])
    one, two = (model.predict(asked, samples=5, quiet=True) for model in (grown, again))
    assert_same_table(one, two)
    assert one["y_samples"].to_pylist()[0] != one["y_samples"].to_pylist()[1]


@pytest.mark.parametrize("tampered", ["bytes", "missing"])
def test_trees_that_do_not_fit_are_refused(grown, base, folder, tmp_path, tampered):
    changes = dict(grown.adapters[0].changes)
    if tampered == "bytes":
        changes["trees.y.middle"] = torch.arange(200, dtype=torch.uint8)
    else:
        del changes["trees.y.width"]
    config = json.loads((folder / "adapter.json").read_text())
    config["sha256"] = write_tensors(tmp_path / "adapter.safetensors", changes)
    (tmp_path / "adapter.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="trees"):
        load_adapter(base.model, tmp_path)


def test_auto_keeps_the_mode_with_more_skill(base):
    table = draw(600, 3)
    table["step"] = np.sign(np.sin(8 * table["x"]))  # trees find it, 30 steps of a network do not
    table["rotation"] = table["step"] + 0.01 * np.random.default_rng(0).normal(size=len(table))
    settings = {"steps": 30, "inputs": ["rotation"]}
    chosen = base.finetune(table, ["step"], "auto", **settings).adapters[0]
    assert chosen.request.mode == "trees"
    compared = chosen.provenance["compared"]
    assert set(compared) == {"lora", "trees"}
    assert compared["trees"]["step"]["skill"] > max(0.8, compared["lora"]["step"]["skill"])


def test_lora_stays_unless_trees_are_clearly_better():
    losses = np.random.default_rng(0).exponential(size=200)
    clear, slight = (SimpleNamespace(losses=losses - gain) for gain in (0.1, 0.0))
    lora = SimpleNamespace(losses=losses)
    assert finetuning.choose({"lora": lora, "trees": clear}) == "trees"
    assert finetuning.choose({"lora": lora, "trees": slight}) == "lora"
    assert finetuning.choose({"lora": clear, "trees": lora}) == "lora"


def test_what_may_be_noise_is_not_better():
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=4000)
    noisy = losses - 0.01 + rng.normal(size=4000)
    assert is_better(losses - 0.05, losses) and not is_better(losses, losses - 0.05)
    few = slice(0, 30)
    assert not is_better(losses[few], losses[few])
    shares = [is_better(noisy[i : i + 30], losses[i : i + 30]) for i in range(0, 3990, 30)]
    assert np.mean(shares) < 0.3  # a gain of 0.01 in a noise of 0.18


def test_trees_refuse_dropout(base):
    with pytest.raises(ValueError, match="no dropout"):
        base.finetune(draw(200, 0), ["y"], "trees", dropout=0.1)


def test_xgboost_is_asked_for_before_anything_is_learnt(base):
    program = (
        "import sys; sys.modules['xgboost'] = None\n"
        "from multistar.finetune.finetune import finetune\n"
        "try: finetune(None, None, ['y'], 'auto')\n"
        "except ImportError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "pip install" in said and "multistar[trees]" in said
