"""Tokens of all modalities -> one memory, and one vector for the star.

Shape letters: B star, T token, D width, E embedding size.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from encoders import Tokens
from multistar.model.attention import ATTENTION


@dataclass(frozen=True)
class Memory:
    """What the head attends to.

    Attributes
    ----------
    features : (B, T, D) Tensor
    observed : (B, T) bool Tensor
        False tokens are never attended to.
    embedding : (B, E) Tensor
        One vector of unit norm for each star.
    """

    features: Tensor
    observed: Tensor
    embedding: Tensor

    def rows(self, which: slice | Tensor) -> "Memory":
        """Select some of the stars."""
        return Memory(self.features[which], self.observed[which], self.embedding[which])


def attention_mask(observed: Tensor) -> Tensor:
    """Shape observed (B, T) for scaled-dot-product attention: (B, 1, 1, T), True = visible."""
    return rearrange(observed, "b t -> b 1 1 t")


def fusion_mask(observed: Tensor, modality: Tensor, attention: str) -> Tensor:
    """Tell which tokens may be attended to.

    The summary sees everything. A token always sees itself; it sees the summary only where other
    modalities may be seen, since the summary would tell of them.

    Parameters
    ----------
    observed : (B, T) bool Tensor
    modality : (T,) int Tensor
        The modality of each token, -1 for the summary token.
    attention : str
        A key of ATTENTION.

    Returns
    -------
    (B, 1, 1 or T, T) bool Tensor
        True where a token may be attended to.
    """
    present = attention_mask(observed)
    allow = ATTENTION[attention].allow
    if allow is None:
        return present
    return present & allow(modality)


class Fusion(nn.Module):
    """Pre-norm transformer over the tokens of all modalities; absent tokens are never attended to.

    A learned summary token is always there, so a star without any data still has a memory: the
    prior.

    Parameters
    ----------
    width, depth, heads : int
        Size of a token, number of blocks, heads of a block.
    embedding : int
        Size of the vector of a star.
    attention : str
        A key of ATTENTION: self-attention within modalities, cross-attention between them, or both
        at once; or Hadamard attention in place of it.

    Attributes
    ----------
    use_bfloat16 : bool
        Whether the blocks run in bfloat16, at inference.
    """

    def __init__(self, width: int, depth: int, heads: int, embedding: int, attention: str = "both"):
        super().__init__()
        self.attention = attention
        self.use_bfloat16 = False
        self.summary = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList()
        for _ in range(depth):
            block = Block(
                width,
                heads,
                qkv_bias=True,
                qk_norm=True,
                act_layer=nn.SiLU,
                attn_layer=ATTENTION[attention].layer,
            )
            self.blocks.append(block)
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPoolLatent(width, num_heads=heads, mlp_ratio=2.0, act_layer=nn.SiLU)
        self.to_embedding = nn.Linear(width, embedding)

    def forward(self, tokens: list[Tokens]) -> Memory:
        """Fuse the tokens of all modalities of the same stars.

        Parameters
        ----------
        tokens : list of Tokens
            One entry for each modality, at least one.

        Returns
        -------
        Memory
            Of the summary and of the tokens that at least one star of the batch has.
        """
        x, observed, modality = self._join(tokens)
        # a token that no star of the batch has costs nothing
        used = observed.any(0)
        x = x[:, used]
        observed = observed[:, used]
        mask = fusion_mask(observed, modality[used], self.attention)
        if self.use_bfloat16:
            with torch.autocast(x.device.type, torch.bfloat16):
                x = self._run_blocks(x, mask)
            x = x.float()
        else:
            x = self._run_blocks(x, mask)
        x = self.norm(x)
        pooled = self.pool(x, attn_mask=attention_mask(observed))
        embedding = F.normalize(self.to_embedding(pooled), dim=-1)
        return Memory(x, observed, embedding)

    def _join(self, tokens: list[Tokens]) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, T, D), observed (B, T) and modality (T,), after those of the summary."""
        batch = tokens[0].features.shape[0]
        features: list[Tensor] = [repeat(self.summary, "1 1 d -> b 1 d", b=batch)]
        observed = [tokens[0].observed.new_ones(batch, 1)]
        sizes = [1]
        for part in tokens:
            features.append(part.features)
            observed.append(part.observed)
            sizes.append(part.features.shape[1])
        x = torch.cat(features, dim=1)
        number = torch.arange(-1, len(tokens))
        modality = torch.repeat_interleave(number, torch.tensor(sizes))
        return x, torch.cat(observed, dim=1), modality.to(x.device)

    def _run_blocks(self, x: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, attn_mask=mask)
        return x
