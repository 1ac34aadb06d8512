"""bfloat16 only where the hardware makes it faster; what was taken is said."""

from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import REAL_BFLOAT16_IS_FAST
from timm.optim import muon as timm_muon
from timm.optim.muon import Muon

from multistar import precision
from multistar.api import MultiStar
from multistar.batch.job import Job
from multistar.cli.app import main
from multistar.training import optimiser
from multistar.training.run import TrainingConfig

CPU = torch.device("cpu")
KEY = b"precision"


@pytest.fixture(autouse=True)
def real_processor(monkeypatch):
    monkeypatch.setattr(precision, "bfloat16_is_fast", REAL_BFLOAT16_IS_FAST)


@pytest.fixture
def hardware(monkeypatch):
    """Makes torch say what this processor has: None for what this version of torch cannot tell."""

    def has(**capabilities: bool | None) -> None:
        precision.bfloat16_is_fast.cache_clear()
        for name in ("amx_tile", "avx2", "avx512_bf16"):
            ask = f"_is_{name}_supported"
            known = capabilities.get(name, False)
            if known is None:
                monkeypatch.delattr(torch.cpu, ask, raising=False)
            else:
                monkeypatch.setattr(torch.cpu, ask, lambda known=known: known, raising=False)

    yield has
    precision.bfloat16_is_fast.cache_clear()


@pytest.mark.parametrize("capabilities, timed, fast", [
    ({"amx_tile": True, "avx2": True, "avx512_bf16": True}, 0.1, True),
    ({"avx2": True}, 9.0, False),  # emulated: not even timed
    ({"avx2": True, "avx512_bf16": True}, 1.8, True),
    ({"avx2": True, "avx512_bf16": True}, 1.1, False),
    ({}, 3.0, True),  # no x86
    ({}, 0.1, False),
    ({"amx_tile": None, "avx2": None, "avx512_bf16": None}, 3.0, True),  # an older torch
])  # fmt: skip
def test_torch_decides_and_a_trial_where_it_cannot(
    hardware, monkeypatch, capabilities, timed, fast
):
    monkeypatch.setattr(precision, "_times_faster", lambda: timed)
    hardware(**capabilities)
    assert precision.bfloat16_is_fast("cpu") is fast
    assert precision.resolve("auto", CPU) == ("bfloat16" if fast else "float32")
    assert [precision.resolve(p, CPU) for p in precision.PRECISIONS] == ["float32", "bfloat16"]


def test_the_trial_measures_and_is_made_once(hardware, monkeypatch):
    calls, trial = [], precision._times_faster
    monkeypatch.setattr(precision, "_times_faster", lambda: calls.append(trial()) or calls[-1])
    hardware()
    answers = [precision.bfloat16_is_fast("cpu") for _ in range(2)]
    assert len(calls) == 1 and 0 < calls[0] < np.inf
    assert answers == [calls[0] > precision.CLEARLY] * 2


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="precision must be one of .*auto.*got 'float16'"):
        precision.resolve("float16", CPU)


def test_auto_without_fast_bfloat16_is_float32_to_the_bit(hardware, model_folder, mock_table):
    hardware(avx2=True)
    auto = MultiStar.from_pretrained(model_folder, device="cpu").predict(mock_table[:20])
    exact = MultiStar.from_pretrained(model_folder, precision="float32", device="cpu")
    assert auto.equals(exact.predict(mock_table[:20]), check_metadata=True)
    assert auto.schema.metadata[KEY] == b"float32"


def test_auto_with_fast_bfloat16_takes_it_and_every_result_says_so(
    hardware, model_folder, mock_table
):
    hardware(amx_tile=True)
    model = MultiStar.from_pretrained(
        model_folder, device="cpu"
    )  # a warning would be an error here
    asked = MultiStar.from_pretrained(model_folder, precision="bfloat16", device="cpu")
    stars = mock_table[:20]
    results = [model.predict(stars), model.embed(stars), model.inpaint(stars)]
    results.append(model.generate(stars, samples=2))
    assert [table.schema.metadata[KEY] for table in results] == [b"bfloat16"] * 4
    assert results[0].equals(asked.predict(stars))


def test_bfloat16_where_it_is_slow_works_and_says_so_once(
    hardware, model_folder, mock_table, tmp_path
):
    hardware(avx2=True)
    source, slow, auto = (tmp_path / f"{name}.parquet" for name in ("stars", "slow", "auto"))
    pq.write_table(mock_table[:20], source)
    arguments = ["predict", str(source), "--model", str(model_folder), "--device", "cpu"]
    with pytest.warns(UserWarning, match="slower than float32.*--precision auto") as said:
        assert main([*arguments, "--precision", "bfloat16", "--out", str(slow)]) == 0
    assert len(said) == 1
    assert pq.read_schema(slow).metadata[KEY] == b"bfloat16"
    assert main([*arguments, "--out", str(auto)]) == 0  # a warning would be an error here
    assert pq.read_schema(auto).metadata[KEY] == b"float32"


def test_a_job_says_what_auto_was_and_hands_it_to_other_processes(hardware, model_folder):
    for capabilities, name in (({"amx_tile": True}, "bfloat16"), ({"avx2": True}, "float32")):
        hardware(**capabilities)
        job = Job("predict", str(model_folder), device="cpu")
        made, settings = job.__reduce__()
        assert job.precision == "auto"
        assert job.described()["precision"] == made(*settings).precision == name


def test_fine_tuning_learns_from_a_base_in_float32(hardware, model_folder, mock_table):
    """Whatever the base predicts in; afterwards that is as it was."""
    hardware(amx_tile=True)
    stars, settings = mock_table[:200], {"mode": "probe", "steps": 5}
    auto = MultiStar.from_pretrained(model_folder, device="cpu")
    exact = MultiStar.from_pretrained(model_folder, precision="float32", device="cpu")
    both = [model.finetune(stars, ["teff"], **settings) for model in (auto, exact)]
    taught, wanted = (model.adapters[0] for model in both)
    assert taught.changes.keys() == wanted.changes.keys()
    assert all(torch.equal(change, wanted.changes[name]) for name, change in taught.changes.items())
    assert (auto.model.precision, exact.model.precision) == ("bfloat16", "float32")


def network() -> torch.nn.Module:
    """Matrices of equal and unequal shapes, biases, norms and a table."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(n, m) for n, m in ((8, 24), (24, 8), (8, 24), (8, 8), (8, 2))]
    return torch.nn.ModuleList([*layers, torch.nn.LayerNorm(8)])


def stepped(kind: type[Muon], monkeypatch) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    monkeypatch.setattr(optimiser, "StackedMuon", kind)
    moved = network()
    made, noise = optimiser.build(moved, TrainingConfig()), torch.Generator().manual_seed(1)
    for _ in range(3):
        for parameter in moved.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=noise)
        made.step()
    return moved, made


def test_stacked_muon_is_that_of_timm(hardware, monkeypatch):
    """Told to use float32, too, to the bit; what one remembers the other goes on with."""
    hardware(avx2=True)
    exact = partial(timm_muon.zeropower_via_newtonschulz, dtype=torch.float32)
    monkeypatch.setattr(timm_muon, "zeropower_via_newtonschulz", exact)
    stacked = optimiser.StackedMuon
    (ours, one), (theirs, other) = stepped(stacked, monkeypatch), stepped(Muon, monkeypatch)
    assert (type(one), type(other)) == (stacked, Muon)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    remembered, _ = optimiser.state_of(one)
    wanted, numbers = optimiser.state_of(other)
    assert remembered.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in remembered.items())
    optimiser.restore(one, wanted | numbers)
    one.step()


def test_newton_schulz_is_made_in_the_precision_that_is_fast(hardware, monkeypatch):
    """The weights then differ by the rounding of bfloat16."""
    made = []
    iteration = optimiser.zeropower_via_newtonschulz
    monkeypatch.setattr(
        optimiser,
        "zeropower_via_newtonschulz",
        lambda *args, dtype: made.append(dtype) or iteration(*args, dtype=dtype),
    )
    stacked, results = optimiser.StackedMuon, {}
    for has_tiles, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        hardware(amx_tile=has_tiles, avx2=True)
        made.clear()
        results[dtype] = stepped(stacked, monkeypatch)[0]
        assert set(made) == {dtype}
    for a, b in zip(*(net.parameters() for net in results.values()), strict=True):
        assert (a - b).abs().max() < 0.05 * TrainingConfig().learning_rate * 3
