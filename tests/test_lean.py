"""Blocks of the fusion at inference are those of training, to rounding."""

import pytest
import torch

from encoders import Tokens
from multistar.model import fusion as fusion_module
from multistar.model.fusion import Fusion


def random_fusion(attention: str, heads: int = 4) -> Fusion:
    """All parameters random: norms and biases are 1 and 0 in a new network, where faults in them would not show."""
    torch.manual_seed(0)
    fusion = Fusion(32, 3, heads, 8, attention).eval()
    with torch.no_grad():
        for name, parameter in fusion.blocks.named_parameters():
            if parameter.dim() == 1:
                parameter.copy_(
                    torch.rand_like(parameter)
                    + (0.5 if "norm" in name and "weight" in name else -0.5)
                )
    return fusion


def tokens(absent: float) -> list[Tokens]:
    """Two modalities of 5 stars, with this share of their tokens absent."""
    generator = torch.Generator().manual_seed(1)
    shapes = (5, 6), (5, 3)
    return [
        Tokens(
            torch.randn(*s, 32, generator=generator), torch.rand(s, generator=generator) >= absent
        )
        for s in shapes
    ]


@pytest.mark.parametrize("attention", ["both", "within", "across"])
@pytest.mark.parametrize("absent", [0.0, 0.3, 1.0])
def test_without_gradients_the_blocks_say_the_same(attention, absent, monkeypatch):
    fusion, seen = random_fusion(attention), tokens(absent)
    plain = fusion(seen)
    calls = []

    class Counted(fusion_module.LeanBlocks):
        def __call__(self, *args):
            calls.append(args)
            return super().__call__(*args)

    monkeypatch.setattr(fusion_module, "LeanBlocks", Counted)
    with torch.no_grad():
        lean = fusion(seen)
    assert len(calls) == 1 and plain.features.requires_grad and not lean.features.requires_grad
    torch.testing.assert_close(lean.features, plain.features.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(lean.embedding, plain.embedding.detach(), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_star_does_not_depend_on_its_batch_and_nothing_is_changed():
    fusion, seen = random_fusion("both"), tokens(0.3)
    before = [t.features.clone() for t in seen]
    whole = fusion(seen)
    alone = fusion([Tokens(t.features[2:3], t.observed[2:3]) for t in seen])
    torch.testing.assert_close(alone.embedding, whole.embedding[2:3], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(t.features, features) for t, features in zip(seen, before, strict=True))
    torch.testing.assert_close(fusion(seen).features, whole.features, rtol=0, atol=0)


@torch.no_grad()
def test_weights_that_change_are_seen():
    fusion, seen = random_fusion("both"), tokens(0.0)
    before = fusion(seen).embedding
    fusion.blocks[0].attn.qkv.weight.mul_(1.5)
    assert (fusion(seen).embedding - before).abs().max() > 1e-3
