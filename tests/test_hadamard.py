"""Hadamard attention against a loop, on sets of tokens, and in a model that is trained, saved and loaded."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from conftest import assert_same_table, small_run
from timm.layers.attention import Attention

from encoders import Measurement
from multistar.api import MultiStar
from multistar.model.attention import HadamardAttention
from multistar.model.checkpoint import load_model
from multistar.model.network import ModelConfig
from multistar.stars import read_stars
from multistar.training.pretrain import pretrain

B, T, D, H = 3, 5, 8, 2


@pytest.fixture(scope="module")
def layer() -> HadamardAttention:
    torch.manual_seed(0)
    layer = HadamardAttention(
        D, H, qkv_bias=True, qk_norm=True, norm_layer=torch.nn.LayerNorm
    ).double()
    for norm in (layer.q_norm, layer.k_norm):  # gains and offsets as training leaves them
        for parameter in norm.parameters():
            torch.nn.init.normal_(parameter)
    return layer.requires_grad_(False)


def tokens(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    seen = torch.rand(B, T, generator=generator) < 0.6
    seen[:, 0] = True
    return torch.randn(B, T, D, generator=generator, dtype=torch.float64), seen


def test_it_is_the_loop_over_stars_tokens_and_channels(layer):
    x, seen = tokens()
    q, k, v = layer.qkv(x).chunk(3, -1)
    q, k = (
        norm(part.view(B, T, H, D // H)).view(B, T, D)
        for norm, part in ((layer.q_norm, q), (layer.k_norm, k))
    )
    found = np.zeros((B, T, D))
    for b in range(B):
        rows = np.flatnonzero(seen[b])
        for t in range(T):
            for c in range(D):
                weight = np.array([np.exp(float(q[b, t, c] * k[b, s, c])) for s in rows])
                found[b, t, c] = weight @ v[b, rows, c].numpy() / weight.sum()
    want = found @ layer.proj.weight.numpy().T + layer.proj.bias.numpy()
    np.testing.assert_allclose(layer(x, attn_mask=seen[:, None, None]), want, atol=1e-12)


def test_it_is_not_ordinary_attention_and_channels_have_weights_of_their_own(layer):
    x, seen = tokens()
    ordinary = Attention.forward(layer, x, attn_mask=seen[:, None, None])
    assert not torch.allclose(ordinary, layer(x, attn_mask=seen[:, None, None]))
    alone = x[:, :1]
    torch.testing.assert_close(layer(alone), layer.proj(layer.qkv(alone)[..., 2 * D :]))


def test_tokens_are_a_set_and_absent_ones_are_nothing(layer):
    x, seen = tokens()
    order = torch.tensor([3, 0, 4, 1, 2])
    mixed = layer(x[:, order], attn_mask=seen[:, order][:, None, None])
    torch.testing.assert_close(mixed, layer(x, attn_mask=seen[:, None, None])[:, order])
    junk = torch.where(seen[..., None], x, 1e9)
    one, two = (layer(part, attn_mask=seen[:, None, None]) for part in (x, junk))
    assert torch.equal(one[seen], two[seen])
    fewer = layer(x[:1, seen[0]])
    torch.testing.assert_close(fewer, one[:1, seen[0]])


@pytest.fixture(scope="module")
def model(mock_file, tmp_path_factory) -> MultiStar:
    out = tmp_path_factory.mktemp("hadamard") / "model"
    run = small_run(mock_file, out, steps=20)
    model = dataclasses.replace(run.model, attention="hadamard")
    pretrain(dataclasses.replace(run, model=model), quiet=True)
    return MultiStar.from_pretrained(out)


def test_a_model_with_it_ignores_what_is_not_observed_and_is_saved(model, mock_table, tmp_path):
    assert all(
        isinstance(block.attn, HadamardAttention) for block in model.model.network.fusion.blocks
    )
    m = model.model.standardiser(read_stars(mock_table[:20]))
    observed = m.observed & (
        torch.rand(m.observed.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    )
    junk = Measurement(
        torch.where(observed, m.value, 1e9), torch.where(observed, m.sigma, 1e9), observed
    )
    one, two = (
        model.model.network.encode(x) for x in (Measurement(m.value, m.sigma, observed), junk)
    )
    assert torch.equal(one.features, two.features) and torch.equal(one.embedding, two.embedding)
    model.save_pretrained(tmp_path / "m")
    assert_same_table(
        MultiStar.from_pretrained(tmp_path / "m").predict(mock_table), model.predict(mock_table)
    )
    tuned = model.finetune(mock_table, ["mass"], mode="lora", steps=3)
    assert any(
        name.startswith("low_rank.fusion.blocks.0.attn.qkv") for name in tuned.adapters[0].changes
    )


def test_configs_of_before_load_and_the_word_is_checked(model_folder, tmp_path):
    import shutil

    shutil.copytree(model_folder, tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    del config["model"]["xp_components"]
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    assert load_model(tmp_path / "old").config == load_model(model_folder).config
    with pytest.raises(ValueError, match="hadamard"):
        ModelConfig(attention="Hadamard")
