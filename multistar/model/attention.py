"""The kinds of attention that the fusion can be built with, and Hadamard self-attention.

Shape letters: B star, T token, D width, H head, C channel of a head.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from timm.layers.attention import Attention
from torch import Tensor


class HadamardAttention(Attention):
    """Self-attention in which each channel of a token has weights of its own.

    It is what timm's `Block` takes as `attn_layer`.

    Notes
    -----
    SPT (Zhang, Wu, Bu et al. 2024, arXiv:2401.04900) reads one vector, the principal components of
    a spectrum, for which Q K^T would be a number. In several heads it takes the Hadamard product of
    Q and K in place of it, scales this, puts it through an "enhanced softmax" and weights V with
    it. So much the paper tells in words and figures; its formulas are not known to us, and its
    normalisation by batch would let a star depend on others.

    Our reading, for a *set* of tokens: Q K^T is the product of the channels of two tokens, summed
    over a head; here the sum is left out. Token t takes from token s the share
    softmax_s(q_tc k_sc) of channel c, so that each channel has weights of its own, absent tokens
    have none, and tokens see each other, which a product within each token would not let them.
    Q and K are normalised within heads as in the ordinary blocks; the gains of these norms are the
    scale. As in all attention, the order of the tokens has no influence. A single token sees only
    itself, so its result is V.
    """

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Let the tokens attend to each other.

        Parameters
        ----------
        x : (B, T, D) Tensor
        attn_mask : (B, 1, 1 or T, T) bool Tensor, optional
            True where a token may be attended to.
        is_causal : bool
            Whether tokens attend only to those before them and to themselves.

        Returns
        -------
        (B, T, D) Tensor
        """
        projected = self.qkv(x)
        query, key, value = rearrange(
            projected, "b t (three h c) -> three b h t c", three=3, h=self.num_heads
        )
        query = _heads_of_one_channel(self.q_norm(query))
        key = _heads_of_one_channel(self.k_norm(key))
        value = _heads_of_one_channel(value)
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attn_mask, is_causal=is_causal, scale=1.0
        )
        return self.proj(rearrange(attended, "b d t 1 -> b t d"))


def _heads_of_one_channel(x: Tensor) -> Tensor:
    """(B, H, T, C) -> (B, H C, T, 1): the sum over the channels of a head then has one term."""
    return rearrange(x, "b h t c -> b (h c) t 1")


def _allow_within(modality: Tensor) -> Tensor:
    """(T, T) True for tokens of the same modality; the summary (-1) sees everything."""
    same = modality[:, None] == modality
    summary = modality == -1
    return same | summary[:, None]


def _allow_across(modality: Tensor) -> Tensor:
    """(T, T) True for tokens of other modalities and the token itself; the summary sees all."""
    different = modality[:, None] != modality
    itself = torch.eye(len(modality), dtype=torch.bool, device=modality.device)
    summary = modality == -1
    return different | itself | summary[:, None]


@dataclass(frozen=True)
class AttentionKind:
    """How the tokens of the fusion attend to each other.

    Attributes
    ----------
    layer : type
        The attention of a block.
    allow : callable, optional
        Takes the modality (T,) of each token, -1 for the summary token, and returns a bool Tensor
        (T, T) of who may attend (rows) to whom (columns). None lets all attend to all.
    """

    layer: type[Attention] = Attention
    allow: Callable[[Tensor], Tensor] | None = None


ATTENTION: dict[str, AttentionKind] = {
    "both": AttentionKind(),
    "within": AttentionKind(allow=_allow_within),
    "across": AttentionKind(allow=_allow_across),
    "hadamard": AttentionKind(layer=HadamardAttention),
}
