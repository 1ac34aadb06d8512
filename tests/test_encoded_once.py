"""Each network encodes each star once, however many adapters and samples are asked for."""

import numpy as np
import pytest
import torch
from conftest import assert_same_table
from test_finetune import draw, toy_base

from multistar.api import MultiStar
from multistar.finetune.decode import encodes_alike, in_slots_of
from multistar.finetune.predict import predict_columns
from multistar.inference.stream import show_measurements
from multistar.stars import read_stars

STARS = 300  # three batches


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> MultiStar:
    folder = tmp_path_factory.mktemp("once") / "base"
    toy_base(folder)
    return MultiStar.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def taught(base) -> MultiStar:
    """Two adapters on the frozen encoder, and one with changes in all layers."""
    table, few = draw(400, 0), {"steps": 4}
    model = base.finetune(table, ["y"], mode="probe", dropout=0.2, **few)
    model = model.finetune(table, ["z", "kind"], mode="head", dropout=0.2, **few)
    return model.finetune(table, ["x"], mode="lora", dropout=0.2, **few)


def count_encoded(model: MultiStar, **options) -> list[int]:
    """Stars that went through the base's network and through each adapter's own."""
    networks = [model.model.network, *(adapter.model.network for adapter in model.adapters)]
    counts = [0] * len(networks)
    hooks = []
    for place, network in enumerate(networks):

        def count(_, __, memory, place: int = place) -> None:
            counts[place] += len(memory.embedding)

        hooks.append(network.fusion.register_forward_hook(count))
    model.predict(draw(STARS, 1), **options)
    for hook in hooks:
        hook.remove()
    return counts


@pytest.mark.parametrize("options", [{}, {"samples": 4}, {"mc_dropout": 2}])
def test_a_star_is_encoded_once_per_network(taught, options):
    assert count_encoded(taught, **options) == [STARS, 0, 0, STARS]


def test_adapters_share_a_network_also_where_the_base_has_another_precision(base, taught):
    base.model.in_precision("bfloat16")
    try:
        assert count_encoded(taught) == [STARS, STARS, 0, STARS]
    finally:
        base.model.in_precision("float32")


def test_columns_are_those_of_the_adapter_alone(taught):
    table = draw(STARS, 1)
    found = taught.predict(table)
    for adapter in taught.adapters:
        columns, outside = predict_columns(adapter, read_stars(table))
        words = found["status"].to_pylist()
        assert all("outside_finetuning" in words[i] for i in np.flatnonzero(outside))
        for name, (values, unit) in columns.items():
            if values.dtype == object:
                assert found[name].to_pylist() == list(values)
                continue
            np.testing.assert_allclose(found[name].to_numpy(), values, rtol=1e-5, atol=1e-6)
            assert (found.schema.field(name).metadata or {}).get(b"unit", b"").decode() == unit


def test_the_base_draws_the_same_beside_adapters(base, taught):
    table = draw(STARS, 1)
    alone, beside = (model.predict(table, samples=4, seed=5) for model in (base, taught))
    own = [name for name in alone.column_names if name not in ("status", "covariance")]
    assert_same_table(alone.select(own), beside.select(own))


def test_networks_that_differ_before_the_memory_are_not_shared(base, taught):
    probe, head, lora = taught.adapters
    assert encodes_alike(base.model, probe) and encodes_alike(probe.model, head)
    assert not encodes_alike(base.model, lora)
    weight = probe.model.network.fusion.norm.weight
    with torch.no_grad():
        weight[0] += 1
        assert not encodes_alike(base.model, probe)
        weight[0] -= 1


def test_measurements_in_the_slots_of_another_model_are_those_that_it_would_read(base, taught):
    stars = read_stars(draw(20, 2))
    shown = show_measurements(base.model, stars)
    for adapter in taught.adapters[:2]:  # the third reads a fourth magnitude, too
        want = show_measurements(adapter.model, stars)
        found = in_slots_of(base.model.vocabulary, adapter.model.vocabulary, shown)
        assert torch.equal(found.observed, want.observed)
        for one, other in ((found.value, want.value), (found.sigma, want.sigma)):
            here = [one[want.observed], other[want.observed]]
            torch.testing.assert_close(*here, rtol=0, atol=0, equal_nan=True)
