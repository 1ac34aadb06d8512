"""The blocks of the fusion at inference on a CPU: the same numbers to rounding, with fewer passes over memory.

What takes time beside the matrix products of a block is small work on large arrays: norms of 32 numbers, copies
between layouts, arrays that are made anew for each step. So here

- buffers are made once per batch and serve all blocks;
- queries and keys are centred by centring the weights that make them, and what their norms multiply and add is
  gathered in the queries: a number that is the same for all keys of a query cancels in the softmax;
- heads are read where they stand, without copies;
- sums are taken in place.

Weights are prepared anew for each batch, which costs a thousandth of its time: nothing can go stale.

Shape letters: B star, T token, N = B T, D width, H head, d width of a head.
"""

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn


class LeanBlocks:
    """Pre-norm blocks of timm with normalised queries and keys, for batches of one shape."""

    def __init__(self, x: Tensor, heads: int, hidden: int, mask: Tensor):
        """x (B, T, D): of the shape that all will have; mask (B, 1, 1 or T, T), True = may be attended to."""
        batch, tokens, width = self.shape = x.shape
        self.heads, self.head = heads, width // heads
        n, new = batch * tokens, x.new_empty
        self.found = new(n, width)
        self.qkv, self.squares = new(n, 3 * width), new(n, 2 * width)
        self.hidden = new(n, hidden)
        self.values = new(heads, batch, tokens, self.head)
        self.scores = new(heads, batch, tokens, tokens)
        self.mask = None if bool(mask.all()) else torch.where(mask[:, 0], 0.0, -torch.inf)
        same = torch.arange(2 * width) // self.head == torch.arange(2 * heads)[:, None]
        self.of_head = same.to(x.dtype)  # (2 H, 2 D) which number belongs to which query or key

    def __call__(self, x: Tensor, blocks: Iterable[Block]) -> Tensor:
        """x (B, T, D) -> (B, T, D)."""
        x = x.reshape(-1, x.shape[-1]).clone()
        for block in blocks:
            self._attend(x, cast(nn.LayerNorm, block.norm1), cast(Attention, block.attn))
            self._transform(x, cast(nn.LayerNorm, block.norm2), cast(Mlp, block.mlp))
        return x.view(self.shape)

    def _attend(self, x: Tensor, norm: nn.LayerNorm, attention: Attention) -> None:
        """Add what the tokens find in each other to x (N, D)."""
        weight, bias = _centred(attention)
        torch.addmm(bias, norm(x), weight.T, out=self.qkv)
        query, key, value = self._normalised(attention)
        for head in range(self.heads):
            torch.bmm(query[head], key[head].transpose(1, 2), out=self.scores[head])
        if self.mask is not None:
            self.scores += self.mask
        share = torch.softmax(self.scores, -1)
        for head in range(self.heads):
            torch.bmm(share[head], value[head], out=self.values[head])
        self._by_head(self.found).copy_(self.values)
        x.addmm_(self.found, attention.proj.weight.T).add_(attention.proj.bias)

    def _transform(self, x: Tensor, norm: nn.LayerNorm, mlp: Mlp) -> None:
        """Add the MLP of the normalised tokens to x (N, D)."""
        first, second = cast(nn.Linear, mlp.fc1), cast(nn.Linear, mlp.fc2)
        torch.addmm(first.bias, norm(x), first.weight.T, out=self.hidden)
        x.addmm_(F.silu(self.hidden, inplace=True), second.weight.T).add_(second.bias)

    def _normalised(self, attention: Attention) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (H, B, T, d) that stand in self.qkv; queries hold all gains, and the scale."""
        width = self.shape[2]
        both = self.qkv[:, : 2 * width]
        q_norm, k_norm = cast(nn.LayerNorm, attention.q_norm), cast(nn.LayerNorm, attention.k_norm)
        torch.mul(both, both, out=self.squares)
        variance = self.squares @ self.of_head.T / self.head
        scaled = k_norm.weight * attention.scale
        gain = (q_norm.weight * scaled).repeat(self.heads)
        by = torch.cat([gain, torch.ones_like(gain)]) * self.of_head
        torch.mm((variance + q_norm.eps).rsqrt_(), by, out=self.squares)
        both *= self.squares
        self.qkv[:, :width] += (q_norm.bias * scaled).repeat(self.heads)
        query, key, value = (self._by_head(part) for part in self.qkv.split(width, 1))
        return query, key, value

    def _by_head(self, x: Tensor) -> Tensor:
        """(N, D) -> (H, B, T, d), a view."""
        batch, tokens, _ = self.shape
        return (
            x.unflatten(0, (batch, tokens))
            .unflatten(2, (self.heads, self.head))
            .permute(2, 0, 1, 3)
        )


def _centred(attention: Attention) -> tuple[Tensor, Tensor]:
    """Weights (3 D, D) and biases (3 D,) of queries, keys and values; the first two less their means over a head."""
    weight, bias = attention.qkv.weight, attention.qkv.bias
    both = torch.cat([weight, bias[:, None]], 1).unflatten(
        0, (3, attention.num_heads, attention.head_dim)
    )
    both[:2] -= both[:2].mean(2, keepdim=True)
    both = both.flatten(0, 2)
    return both[:, :-1], both[:, -1]
