"""Memory + targets -> a probability density for each target; one set of weights, two masks.

*Parallel*: every target sees only the star, so all marginals p(x_i | star) come in one pass.
*Autoregressive*: targets stand in some order and each also sees those before it, so the densities
are the factors of the chain rule, p(x_i | star, x_<i), and their product is the joint posterior.
A target without predecessors is the same in both.

Shape letters: B star, S sample, Q target, T token of the memory, D width, H head, K component.
"""

from contextlib import nullcontext
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from timm.layers.mlp import Mlp
from torch import Tensor, nn

from encoders import Measurement
from encoders.layers import SlotLinear
from multistar.model.fusion import Memory, attention_mask
from multistar.model.mixture import Mixture

LOG_SIGMA_MIN, LOG_SIGMA_MAX = -6.0, 3.0  # of standardised values
TINY = 1e-30  # what is smaller changes no float32 that it is added to; CPUs crawl over yet smaller, denormal numbers
GAIN_WIDTHS = (
    0.4,
    1.0,
)  # standardised; below 0.4 the gain at zero error would be a wild extrapolation


def gains(value: Tensor, error: Tensor) -> Tensor:
    """(..., 2 len(GAIN_WIDTHS)): how much a measurement of this error is worth, and the value times this.

    A Gaussian of width w that is measured with error s moves by w^2 / (w^2 + s^2) of the difference. Given as
    features, these gains let what was learnt from noisy values extrapolate to exact ones (s = 0, gain 1).
    """
    gain = torch.stack([1 / (1 + (error / width) ** 2) for width in GAIN_WIDTHS], -1)
    return torch.cat([gain, gain * value[..., None]], -1)


class Past:
    """Keys and values of the targets so far while they are drawn: the cache of one block, of `length` at most.

    It starts with a key and value of zero: see DecoderBlock.look_back.
    """

    def __init__(self, length: int):
        self.room, self.length = length + 1, 1

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """key, value (B S, H, Q, d) of new tokens; returns all keys and values (B S, H, ..., d)."""
        if self.length == 1:
            shape = (*key.shape[:2], self.room, key.shape[-1])
            self.key, self.value = key.new_zeros(shape), value.new_zeros(shape)
        start, self.length = self.length, self.length + key.shape[2]
        self.key[:, :, start : self.length], self.value[:, :, start : self.length] = key, value
        return self.key[:, :, : self.length], self.value[:, :, : self.length]


class DecoderBlock(nn.Module):
    """Pre-norm: targets look back at earlier ones (not in parallel mode), read the star's memory, then an MLP."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_back, self.norm_query, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.back = nn.Linear(width, 3 * width)
        self.back_out = nn.Linear(
            width, width, bias=False
        )  # no bias: looking back at nothing adds nothing
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.mlp = Mlp(width, 4 * width, act_layer=nn.SiLU)

    def star(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, T, d) of the memory (B, T, D): once per star, whatever is asked of it."""
        key, value = rearrange(
            self.key_value(memory), "b t (two h d) -> two b h t d", two=2, h=self.heads
        )
        return key, value

    def look_back(self, x: Tensor, informed: Tensor) -> Tensor:
        """x (B, Q, D) looks at the tokens of its star up to itself that carry a known value: informed (B, Q).

        Before them stands a key and value of zero. A target with nothing to look back at finds only that, and its
        state stays what it is in parallel mode.
        """
        query, key, value = self._projected(x)
        key, value = (F.pad(t, (0, 0, 1, 0)) for t in (key, value))
        causal = informed.new_ones(x.shape[1], key.shape[2]).tril(diagonal=1)
        mask = causal & rearrange(F.pad(informed, (1, 0), value=True), "b l -> b 1 1 l")
        return self._with_found(
            x, F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        )

    def look_at(self, x: Tensor, past: Past) -> Tensor:
        """The same for x (B, 1, D), a token that carries a known value like all those in the past, which it joins."""
        query, key, value = self._projected(x)
        return self._with_found(x, F.scaled_dot_product_attention(query, *past.append(key, value)))

    def _projected(self, x: Tensor) -> Tensor:
        return rearrange(
            self.back(self.norm_back(x)), "b q (three h d) -> three b h q d", three=3, h=self.heads
        )

    def _with_found(self, x: Tensor, found: Tensor) -> Tensor:
        """Who attends to hardly anything but the zero finds nothing: else numbers here would be denormal."""
        return x + self.back_out(F.hardshrink(rearrange(found, "b h q d -> b q (h d)"), TINY))

    def read(self, x: Tensor, star: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """x (B or 1, S, Q, D) reads the star; samples are more queries to the same keys, which are not copied."""
        query = rearrange(
            self.query(self.norm_query(x)), "b s q (h d) -> b h (s q) d", h=self.heads
        )
        query = query.expand(len(star[0]), -1, -1, -1)
        found = F.scaled_dot_product_attention(query, *star, attn_mask=mask)
        x = x + self.out(rearrange(found, "b h (s q) d -> b s q (h d)", s=x.shape[1]))
        return x + self.mlp(self.norm_mlp(x))


class MixtureHead(nn.Module):
    """Decoder of target slots. A token is its slot's identity, plus the slot, value and error of its predecessor.

    A fed value y with error s stands for the measurement N(y | x, s): what follows is conditioned on that
    measurement, exactly; with s = 0 it is conditioned on the true x. Training feeds noisy and exact
    values (see Splitter.fed), sampling feeds its own exact ones.
    """

    def __init__(self, n_slots: int, width: int, depth: int, heads: int, components: int):
        super().__init__()
        self.fast = False  # blocks in bfloat16, at inference
        self.identity = nn.Embedding(n_slots, width)
        self.predecessor = SlotLinear(n_slots, 2 * len(GAIN_WIDTHS), width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList([DecoderBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.to_mixture = Mlp(width, 2 * width, 3 * components, act_layer=nn.SiLU)
        with torch.no_grad():  # components start spread out, or they would all learn the same
            spread = torch.linspace(-1.5, 1.5, components) if components > 1 else torch.zeros(1)
            cast(Tensor, self.to_mixture.fc2.bias).view(3, components)[1] = spread

    def parallel(self, memory: Memory, query: Tensor) -> Mixture:
        """(B, Q, K) marginal densities of the slots `query` (Q,), each seeing only the star."""
        with self._precision(memory):
            x = self.read(memory, self.identity(query))
        return self.mixture(x.float())

    def read(self, memory: Memory, target: Tensor) -> Tensor:
        """(B, Q, D) states of the target tokens (Q, D), each of which sees only the star."""
        x, mask = rearrange(target, "q d -> 1 1 q d"), attention_mask(memory.observed)
        for block in self.decoder_blocks():
            x = block.read(x, block.star(memory.features), mask)
        return x[:, 0]

    def autoregressive(self, memory: Memory, order: Tensor, given: Measurement) -> Mixture:
        """(B, Q, K) densities of the slots `order` (Q,), the i-th given the star and given[:, :i].

        given (B, Q) holds the values of the same slots; a missing one tells its successors nothing, and
        what stands in its place has no influence. A NaN sigma counts as 0: the value is taken as it stands.
        """
        first = self.identity(order[:1]).expand(len(given.value), 1, -1)
        later, informed = self._follow(order[1:], order[:-1], given.slots(0, len(order) - 1))
        x, informed = torch.cat([first, later], 1), F.pad(informed, (1, 0))
        mask = attention_mask(memory.observed)
        for block in self.decoder_blocks():
            x = block.look_back(x, informed)
            x = block.read(x[:, None], block.star(memory.features), mask)[:, 0]
        return self.mixture(x)

    def sample(self, memory: Memory, order: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """(B, n, Q) joint samples of the slots `order` (Q,): each is drawn given the star and those drawn before it."""
        batch, mask = len(memory.features), attention_mask(memory.observed)
        stars = [block.star(memory.features) for block in self.decoder_blocks()]
        pasts = [Past(len(order) - 1) for _ in self.blocks]
        first = self.parallel(memory, order[:1])  # the same for all samples of a star
        drawn = [Mixture(*(x.expand(-1, n, -1) for x in vars(first).values())).draw(generator)]
        for previous, slot in zip(order[:-1, None], order[1:, None], strict=True):
            exact = Measurement(
                drawn[-1],
                torch.zeros_like(drawn[-1]),
                drawn[-1].new_ones(batch, n, dtype=torch.bool),
            )
            x, _ = self._follow(slot, previous, exact)
            with self._precision(memory):
                for block, star, past in zip(self.decoder_blocks(), stars, pasts, strict=True):
                    x = rearrange(
                        block.look_at(rearrange(x, "b s d -> (b s) 1 d"), past),
                        "(b s) 1 d -> b s 1 d",
                        s=n,
                    )
                    x = block.read(x, star, mask)[:, :, 0]
            drawn.append(self.mixture(x.float()).draw(generator))
        return torch.stack(drawn, -1)

    def _follow(self, slot: Tensor, previous: Tensor, given: Measurement) -> tuple[Tensor, Tensor]:
        """Tokens (B, Q, D) of `slot` (Q or 1,) after `previous` (Q or 1,) had the values given (B, Q); who was told."""
        value = torch.where(given.observed, given.value, 0)
        error = torch.nan_to_num(torch.where(given.observed, given.sigma, 0))
        told = self.mix(self.predecessor(gains(value, error), previous))
        return self.identity(slot) + torch.where(given.observed[..., None], told, 0), given.observed

    def _precision(self, memory: Memory):
        """Whoever trains in another precision is left in peace."""
        return (
            torch.autocast(memory.features.device.type, torch.bfloat16)
            if self.fast
            else nullcontext()
        )

    def decoder_blocks(self) -> list[DecoderBlock]:
        return cast(list[DecoderBlock], list(self.blocks))

    def mixture(self, x: Tensor) -> Mixture:
        raw = self.to_mixture(self.norm(x)).float()
        logit, mean, log_sigma = rearrange(raw, "b q (three k) -> three b q k", three=3)
        return Mixture(
            F.log_softmax(logit, -1), mean, log_sigma.clamp(LOG_SIGMA_MIN, LOG_SIGMA_MAX)
        )


def joint_log_prob(head: MixtureHead, memory: Memory, order: Tensor, values: Measurement) -> Tensor:
    """(B,) log density of the values (B, Q) of the slots `order` (Q,), by the chain rule in that order.

    Values with an error are taken as measurements; missing ones are left out, which integrates over them.
    """
    mixture = head.autoregressive(memory, order, values)
    y, error = torch.where(values.observed, values.value, 0), torch.nan_to_num(values.sigma)
    return torch.where(values.observed, mixture.log_prob(y, error), 0).sum(1)
