"""Tokens of all modalities -> one memory, and one vector for the star.

Shape letters: B star, T token, D width, E embedding size.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from timm.layers.attention import Attention
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from encoders import Tokens
from multistar.model.attention import HadamardAttention


@dataclass(frozen=True)
class Memory:
    """What the head looks at: features (B, T, D) with observed (B, T), and the embedding (B, E) of unit norm."""

    features: Tensor
    observed: Tensor
    embedding: Tensor

    def rows(self, which: slice | Tensor) -> "Memory":
        return Memory(self.features[which], self.observed[which], self.embedding[which])


# Which tokens a token sees: all, those of its own modality, those of others; or all, channel by channel (hadamard.py).
ATTENTION = ("both", "within", "across", "hadamard")


def attention_mask(observed: Tensor) -> Tensor:
    """(B, 1, 1, T) for scaled-dot-product attention: True = may be attended to."""
    return rearrange(observed, "b t -> b 1 1 t")


def fusion_mask(observed: Tensor, modality: Tensor, attention: str) -> Tensor:
    """(B, 1, 1 or T, T) True = may be attended to; observed (B, T), modality (T,) with -1 for the summary token.

    The summary sees everything. A token always sees itself; it sees the summary only where other modalities may
    be seen, since the summary would tell of them.
    """
    seen = attention_mask(observed)
    if attention in ("both", "hadamard"):
        return seen
    same = modality[:, None] == modality
    summary = modality == -1
    allowed = (
        same
        if attention == "within"
        else ~same | torch.eye(len(modality), dtype=torch.bool, device=same.device)
    )
    return seen & (allowed | summary[:, None])


class Fusion(nn.Module):
    """Pre-norm transformer over the tokens of all modalities; absent tokens are never attended to.

    A learned summary token is always there, so a star without any data still has a memory: the prior.
    attention: one of ATTENTION; self-attention within modalities, cross-attention between them, or both at once;
    Hadamard attention in place of it.
    """

    def __init__(self, width: int, depth: int, heads: int, embedding: int, attention: str = "both"):
        super().__init__()
        self.attention = attention
        self.fast = False  # blocks in bfloat16, at inference
        self.summary = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        layer = HadamardAttention if attention == "hadamard" else Attention
        self.blocks = nn.ModuleList(
            [
                Block(
                    width, heads, qkv_bias=True, qk_norm=True, act_layer=nn.SiLU, attn_layer=layer
                )
                for _ in range(depth)
            ]
        )
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPoolLatent(width, num_heads=heads, mlp_ratio=2.0, act_layer=nn.SiLU)
        self.to_embedding = nn.Linear(width, embedding)

    def forward(self, tokens: list[Tokens]) -> Memory:
        summary = repeat(self.summary, "1 1 d -> b 1 d", b=tokens[0].features.shape[0])
        present = tokens[0].observed.new_ones(len(summary), 1)
        x = torch.cat([summary, *(t.features for t in tokens)], dim=1)
        observed = torch.cat([present, *(t.observed for t in tokens)], dim=1)
        sizes = torch.tensor([1, *(t.features.shape[1] for t in tokens)])
        modality = torch.repeat_interleave(torch.arange(-1, len(tokens)), sizes).to(x.device)
        used = observed.any(0)  # a token that no star of the batch has costs nothing
        x, observed, modality = x[:, used], observed[:, used], modality[used]
        mask = fusion_mask(observed, modality, self.attention)
        if self.fast:
            with torch.autocast(x.device.type, torch.bfloat16):
                x = self._through_blocks(x, mask)
            x = x.float()
        else:
            x = self._through_blocks(x, mask)
        x = self.norm(x)
        embedding = F.normalize(
            self.to_embedding(self.pool(x, attn_mask=attention_mask(observed))), dim=-1
        )
        return Memory(x, observed, embedding)

    def _through_blocks(self, x: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, attn_mask=mask)
        return x
