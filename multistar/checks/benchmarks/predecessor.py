"""The network of the predecessor (Leung & Bovy, arXiv 2308.10944) with random weights, for its speed.

Its size as published: a context of 64 tokens of width 128, two encoder blocks, three decoder blocks, a dense
head, together 8.8 million parameters. One label is asked for at a time: the stars are encoded once, then the
decoder runs once per label.

Shape letters: B star, T token, Q query (one), D width.
"""

import time

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

WIDTH, TOKENS, QUANTITIES = 128, 64, 118
ENCODER = ((16, 1024), (8, 512))  # heads, width of the feed-forward layer
DECODER = ((16, 3096), (8, 1548), (4, 774))
DENSE = (WIDTH, 3096, 1548, 774, 387, 2)
LABELS = 6
BATCHES = (32, 64, 128, 256, 512)  # stars at once, of which the fastest counts


class Block(nn.Module):
    """Attention of queries to a memory (for an encoder block, to themselves), then a feed-forward layer."""

    def __init__(self, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.query, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.key_value = nn.Linear(WIDTH, 2 * WIDTH)
        self.norm_attention, self.norm_dense = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.dense = nn.Sequential(nn.Linear(WIDTH, hidden), nn.GELU(), nn.Linear(hidden, WIDTH))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """x (B, Q, D), memory (B, T, D) -> (B, Q, D)."""
        query = rearrange(self.query(x), "b q (h d) -> b h q d", h=self.heads)
        kv = rearrange(self.key_value(memory), "b t (two h d) -> two b h t d", two=2, h=self.heads)
        found = F.scaled_dot_product_attention(query, kv[0], kv[1])
        x = self.norm_attention(x + self.out(rearrange(found, "b h q d -> b q (h d)")))
        return self.norm_dense(x + self.dense(x))


class Predecessor(nn.Module):
    """Values of 64 quantities -> mean and log variance of one quantity after another."""

    def __init__(self):
        super().__init__()
        self.identity = nn.Embedding(QUANTITIES, WIDTH)
        self.bias = nn.Embedding(QUANTITIES, WIDTH)
        self.encoder = nn.ModuleList([Block(*size) for size in ENCODER])
        self.decoder = nn.ModuleList([Block(*size) for size in DECODER])
        layers = [
            nn.Sequential(nn.Linear(a, b), nn.GELU())
            for a, b in zip(DENSE[:-2], DENSE[1:-1], strict=True)
        ]
        self.head = nn.Sequential(*layers, nn.Linear(*DENSE[-2:]))

    def encode(self, value: Tensor, quantity: Tensor) -> Tensor:
        """Encode value, quantity (B, T) to a memory (B, T, D)."""
        x = F.gelu(self.identity(quantity) * value[..., None]) + self.bias(quantity)
        for block in self.encoder:
            x = block(x, x)
        return x

    def decode(self, memory: Tensor, target: int) -> Tensor:
        """Mean and log variance (B, 2) of the quantity number `target`."""
        x = self.identity.weight[target].expand(len(memory), 1, WIDTH)
        for block in self.decoder:
            x = block(x, memory)
        return self.head(x[:, 0])

    @torch.inference_mode()
    def predict(self, value: Tensor, quantity: Tensor, batch: int) -> Tensor:
        """Predict (n, LABELS, 2) for n stars, `batch` of them at once."""
        parts = []
        for v, q in zip(value.split(batch), quantity.split(batch), strict=True):
            memory = self.encode(v, q)
            parts.append(torch.stack([self.decode(memory, target) for target in range(LABELS)], 1))
        return torch.cat(parts)


class RandomStars:
    """Stars of random numbers for it; called, it predicts their labels."""

    def __init__(self, n: int, batch: int = BATCHES[0]):
        generator = torch.Generator().manual_seed(0)
        self.value = torch.randn(n, TOKENS, generator=generator)
        self.quantity = torch.rand(n, QUANTITIES, generator=generator).argsort(1)[:, :TOKENS]
        self.network, self.batch = Predecessor().eval(), batch

    def __call__(self) -> Tensor:
        return self.network.predict(self.value, self.quantity, self.batch)


def find_fastest_batch(n: int = 1024) -> int:
    """Find the batch size at which it is fastest here, by the clock."""
    stars, seconds = RandomStars(n), {}
    for batch in BATCHES:
        stars.batch = batch
        stars()
        start = time.perf_counter()
        stars()
        seconds[batch] = time.perf_counter() - start
    return min(seconds, key=lambda batch: seconds[batch])
