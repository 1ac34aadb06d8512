"""What only a GPU shows: its numbers are those of the CPU, and what is trained there goes on and is read anywhere."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import small_run
from golden_outputs import ADAPTER, ADAPTER_LABEL, OUTPUTS, compute, distances
from safetensors.numpy import load_file

from multistar import MultiStar
from multistar.model.checkpoint import load_model
from multistar.training.dataset import load_dataset
from multistar.training.loop import Trainer, pretrain
from multistar.training.workers import Workers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
# Of the root mean square of a column over the frozen stars, as for tests/test_golden.py. Draws amplify rounding.
ROUNDING, SAMPLED = 1e-4, 1e-2
DRAWN = ("samples", "generate", "inpaint", "adapter samples")


def on_gpu(run) -> Trainer:
    group = Workers(device=torch.device("cuda"))
    return Trainer(run, load_dataset(run, group), group)


def test_outputs_are_those_of_the_cpu():
    moved = distances(load_file(OUTPUTS), compute("cuda"))
    wrong = {k: d for k, d in moved.items() if d > (SAMPLED if k.split(".")[0] in DRAWN else ROUNDING)}
    assert not wrong


def test_a_gpu_is_the_default_and_holds_network_and_domain():
    model = MultiStar.from_pretrained("mini").model
    states = (model.network.state_dict(), model.domain.state_dict())
    assert {tensor.device.type for state in states for tensor in state.values()} == {"cuda"}


def test_training_lowers_the_loss_and_the_result_predicts_on_the_cpu(mock_file, mock_table, tmp_path):
    run = small_run(mock_file, tmp_path / "m", steps=80)
    trained = pretrain(run, quiet=True)
    on_cpu = MultiStar.from_pretrained(run.out, device="cpu")
    assert on_cpu.model.hash == trained.hash
    losses = on_gpu(dataclasses.replace(run, out=str(tmp_path / "other")))
    first = np.mean([losses.advance() for _ in range(5)])
    assert trained.provenance["final_loss"] < first
    here, there = (m.predict(mock_table) for m in (on_cpu, MultiStar.from_pretrained(run.out, device="cuda")))
    np.testing.assert_allclose(here["teff"].to_numpy(), there["teff"].to_numpy(), rtol=1e-4)
    assert here["status"].equals(there["status"])


def test_a_resumed_run_has_the_losses_of_an_unbroken_one(mock_file, tmp_path):
    run = small_run(mock_file, tmp_path / "m")
    unbroken = on_gpu(run)
    for _ in range(20):
        unbroken.advance()
    unbroken.save(tmp_path / "partial")
    resumed = on_gpu(run)
    resumed.resume(tmp_path / "partial")
    for one, other in zip(resumed.model.state().values(), unbroken.model.state().values(), strict=True):
        assert torch.equal(one, other)
    for trainer in (unbroken, resumed):
        for _ in range(15):
            trainer.advance()
    assert resumed.losses == unbroken.losses


def test_fine_tuning_gives_the_base_back_to_the_gpu(mock_table, model_folder):
    model = MultiStar.from_pretrained(model_folder, device="cuda")
    label = mock_table["true_teff"].to_numpy() / 1000 + mock_table["true_m_h"].to_numpy()
    table = mock_table.append_column(ADAPTER_LABEL, [label])
    taught = model.finetune(table, [ADAPTER_LABEL], mode="probe", steps=30)
    assert next(taught.model.network.parameters()).device.type == "cuda"
    drawn = taught.predict(mock_table.slice(0, 20), samples=8)
    assert np.isfinite(drawn[ADAPTER_LABEL].to_numpy()).all()
    assert load_model(model_folder).hash == taught.model.hash


def test_an_adapter_says_the_same_beside_a_base_on_the_gpu(mock_table):
    here, there = (MultiStar.from_pretrained("mini", adapter=ADAPTER, device=d) for d in ("cpu", "cuda"))
    few = mock_table.slice(0, 20)
    one, other = (m.predict(few)[ADAPTER_LABEL].to_numpy() for m in (here, there))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_faiss_finds_the_same_neighbours_on_the_gpu():
    kinds = pytest.importorskip("multistar.index.kinds")
    if not kinds.gpus():
        pytest.skip("this faiss has no GPU")
    vectors = np.random.default_rng(0).normal(size=(20_000, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for kind in ("exact", "ivf-sq8"):
        index, _ = kinds.trained(kind, vectors, len(vectors))
        index.add(vectors)
        there = kinds.on_gpu(kind, index)
        assert there is not None
        distance, found = index.search(vectors[:50], 5)
        distance_there, found_there = there.search(vectors[:50], 5)
        np.testing.assert_allclose(distance, distance_there, atol=1e-5)
        assert (found == found_there).mean() > 0.99
