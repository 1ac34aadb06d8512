"""Hadamard self-attention: each channel of a token attends for itself.

Shape letters: B star, T token, D width, H head, C channel of a head.
"""

import torch.nn.functional as F
from einops import rearrange
from timm.layers.attention import Attention
from torch import Tensor


class HadamardAttention(Attention):
    """What timm's Block takes as `attn_layer`: (B, T, D) -> (B, T, D), mask (B, 1, 1 or T, T), True = may be seen.

    SPT (Zhang, Wu, Bu et al. 2024, arXiv:2401.04900) reads one vector, the principal components of a spectrum, for
    which Q K^T would be a number; in several heads it takes the Hadamard product of Q and K in place of it, scales
    this, puts it through an "enhanced softmax" and weights V with it. So much the paper tells in words and figures;
    its formulas are not known to us, and its normalisation by batch would let a star depend on others.

    Our reading, for a *set* of tokens: Q K^T is the product of the channels of two tokens, summed over a head; here
    the sum is left out. Token t takes from token s the share softmax_s(q_tc k_sc) of channel c, so that each channel
    has weights of its own, absent tokens have none, and tokens see each other, which a product within each token
    would not let them. Q and K are normalised within heads as in the ordinary blocks; the gains of these norms are
    the scale. As in all attention the order of the tokens is nothing; a single token sees itself, V, alone.
    """

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        q, k, v = rearrange(
            self.qkv(x), "b t (three h c) -> three b h t c", three=3, h=self.num_heads
        )
        # channels are heads of one number: the sum over a head's channels is then none
        q, k, v = (
            rearrange(part, "b h t c -> b (h c) t 1")
            for part in (self.q_norm(q), self.k_norm(k), v)
        )
        found = F.scaled_dot_product_attention(
            q, k, v, attn_mask=attn_mask, is_causal=is_causal, scale=1.0
        )
        return self.proj(rearrange(found, "b d t 1 -> b t d"))
