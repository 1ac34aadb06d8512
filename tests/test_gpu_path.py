"""The GPU's path without a GPU: every verb and a training step on another device, with real numbers.

See other_device.py. What it cannot show, the tests marked `gpu` do: kernels, autocast, memory.
"""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_run
from golden_outputs import ADAPTER_LABEL, OUTPUTS, STARS, compute, distances
from other_device import DEVICE, Elsewhere, OtherDevice
from safetensors.numpy import load_file

from multistar import MultiStar
from multistar.index.explain import part_embeddings
from multistar.model.checkpoint import load_model, save_model
from multistar.stars import read_stars
from multistar.training.data import load_dataset
from multistar.training.pretrain import Trainer
from multistar.training.run import RunConfig
from multistar.training.workers import Workers

ROUNDING, SAMPLED = (
    2e-5,
    1e-3,
)  # as in test_golden.py: attention is composed of other operators here
DRAWN = ("samples", "generate", "inpaint", "adapter samples")
AUTOCAST, GENERATOR = torch.autocast, torch.Generator
GAIA = ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")
MOST_WAITS = 4  # of a training step; each is a pause of the GPU


def autocast_elsewhere(device_type: str, *args, **kwargs):
    """torch.autocast, which does not know the other device and there does nothing."""
    return nullcontext() if device_type == DEVICE.type else AUTOCAST(device_type, *args, **kwargs)


def generator_elsewhere(device: str | torch.device = "cpu") -> torch.Generator:
    """torch.Generator, of which the other device has none of its own."""
    return GENERATOR("cpu" if torch.device(device) == DEVICE else device)


@pytest.fixture
def other(monkeypatch):
    """There is another device, and `device="meta"` is it."""
    monkeypatch.setattr("multistar.api.device_of", torch.device)
    monkeypatch.setattr(torch, "autocast", autocast_elsewhere)
    monkeypatch.setattr(torch, "Generator", generator_elsewhere)
    with OtherDevice() as mode:
        yield mode


def test_the_other_device_refuses_what_a_gpu_refuses(other):
    here, there = torch.ones(3, 4), torch.ones(3, 4, device=DEVICE)
    refused = (
        lambda: here + there,
        lambda: there @ here.T,
        lambda: torch.where(there > 0, there, here),
        lambda: torch.cat([there, here]),
        lambda: torch.stack([there[0, 0], here[0, 0]]),
        lambda: there.gather(1, torch.zeros(3, 1, dtype=torch.long)),
        lambda: here[torch.zeros(1, dtype=torch.long, device=DEVICE)],
        lambda: there.index_put_((torch.tensor([0]),), here[0]),
        lambda: torch.nn.functional.embedding(torch.tensor([1]), there),
        lambda: torch.nn.functional.linear(there, here),
    )
    for number, operation in enumerate(refused):
        with pytest.raises(RuntimeError, match="one device"):
            operation()
            pytest.fail(f"operation {number} was not refused")
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()


def test_the_other_device_computes_and_says_when_the_cpu_waits(other):
    there = torch.arange(6.0, device=DEVICE).reshape(2, 3)
    assert isinstance(there, Elsewhere)
    assert there.device == DEVICE
    assert not other.waits
    there[:, 1] += torch.tensor(10.0)  # a single number goes anywhere
    assert not other.waits
    assert there.cpu().tolist() == [[0, 11, 2], [3, 14, 5]]
    assert there[there > 10].sum().item() == 25
    assert sum(other.waits.values()) == 3
    there[:, [0, 2]] = 1.0
    assert there[[0, 1]].cpu().tolist() == [[1, 11, 1], [1, 14, 1]]


def test_every_verb_says_the_same_on_the_other_device(other):
    moved = distances(load_file(OUTPUTS), compute(DEVICE.type))
    wrong = {
        k: d for k, d in moved.items() if d > (SAMPLED if k.split(".")[0] in DRAWN else ROUNDING)
    }
    assert not wrong


def test_columns_are_judged_the_same_on_the_other_device(other, mock_table):
    """A table of which the parallaxes are in arcseconds."""
    wrong = {name: mock_table[name].to_numpy()[:60] for name in ("source_id", *GAIA)}
    wrong["parallax"] = mock_table["parallax"].to_numpy()[:60] / 1000
    here, there = (
        MultiStar.from_pretrained("mini", device=device).describe(wrong).doubts
        for device in ("cpu", DEVICE.type)
    )
    assert here == there and here[0].startswith("parallax: in the median")


def test_views_and_parts_say_the_same_on_the_other_device(other):
    stars = pq.read_table(STARS).slice(44, 12)  # with and without a light curve
    here, there = (MultiStar.from_pretrained("mini", device=d) for d in ("cpu", DEVICE.type))
    for space in ("aligned", "eigen"):
        one, two = (
            np.stack(m.embed(stars, space=space)["embedding"].to_pylist()) for m in (here, there)
        )
        np.testing.assert_allclose(np.abs(one), np.abs(two), atol=1e-4)
    parts = [part_embeddings(m.model, read_stars(stars)) for m in (here, there)]
    for name, vectors in parts[0].items():
        np.testing.assert_allclose(vectors, parts[1][name], atol=1e-5)


def test_fine_tuning_takes_the_base_home_and_gives_it_back(other, model_folder, mock_table):
    model = MultiStar.from_pretrained(model_folder, device=DEVICE.type)
    label = mock_table["true_teff"].to_numpy() / 1000 + mock_table["true_m_h"].to_numpy()
    table = mock_table.append_column(ADAPTER_LABEL, [label])
    taught = model.finetune(table, [ADAPTER_LABEL], mode="probe", steps=4)
    assert {p.device for p in taught.model.network.parameters()} == {DEVICE}
    drawn = taught.predict(mock_table.slice(0, 12), samples=4)
    assert np.isfinite(drawn[ADAPTER_LABEL].to_numpy()).all()


def trainers(run: RunConfig) -> list[Trainer]:
    """The same run on the CPU and on the other device."""
    groups = [Workers(), Workers(device=DEVICE)]
    return [Trainer(run, load_dataset(run, group), group) for group in groups]


def with_model(run: RunConfig, **settings) -> RunConfig:
    return dataclasses.replace(run, model=dataclasses.replace(run.model, **settings))


@pytest.mark.parametrize("kind", ("dual", "clip"))
def test_training_with_light_curves_is_the_same(other, tmp_path, kind):
    run = small_run(STARS, tmp_path / "m", batch=8)
    here, there = trainers(with_model(run, alignment=kind, light_curve_depth=1, mismatch=True))
    epoch = sum(len(rows) // 8 for rows in here.kinds)  # one batch of it has light curves
    losses = [[trainer.advance() for _ in range(epoch)] for trainer in (here, there)]
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.mark.parametrize(
    "settings",
    (
        {"attention": "within"},
        {"attention": "across"},
        {"attention": "hadamard"},
        {"xp_components": 12},
    ),
    ids=str,
)
def test_every_kind_of_network_trains(other, mock_file, tmp_path, settings):
    here, there = trainers(with_model(small_run(mock_file, tmp_path / "m"), **settings))
    losses = [[trainer.advance() for _ in range(2)] for trainer in (here, there)]
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")  # it is copied
def test_a_run_goes_on_exactly_and_ends_as_a_model_for_the_cpu(other, mock_file, tmp_path):
    run = with_model(small_run(mock_file, tmp_path / "m"), mismatch=True)
    unbroken, resumed = trainers(run)[1], trainers(run)[1]
    for _ in range(3):
        unbroken.advance()
    unbroken.save(tmp_path / "partial")
    resumed.resume(tmp_path / "partial")
    for trainer in (unbroken, resumed):
        for _ in range(3):
            trainer.advance()
    assert resumed.losses == unbroken.losses
    resumed.model.provenance = resumed.finish()
    save_model(resumed.model, tmp_path / "trained")
    model = load_model(tmp_path / "trained")
    assert not any(isinstance(tensor, Elsewhere) for tensor in model.state().values())
    predicted = MultiStar(model).predict(mock_file)
    assert np.isfinite(predicted["teff"].to_numpy()).all()


def test_a_training_step_seldom_waits_for_the_device(other, mock_file, tmp_path):
    trainer = trainers(small_run(mock_file, tmp_path / "m"))[1]
    trainer.advance()
    other.waits.clear()
    for _ in range(3):
        trainer.advance()
    assert 3 <= sum(other.waits.values()) <= 3 * MOST_WAITS, other.waits
