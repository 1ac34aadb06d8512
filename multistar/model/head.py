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
from multistar.model.resampling import SampleWeights

# of standardised values
LOG_SIGMA_MIN = -6.0
LOG_SIGMA_MAX = 3.0
# What is smaller changes no float32 that it is added to. CPUs are very slow with yet smaller,
# denormal numbers.
TINY = 1e-30
# of standardised values; below 0.4 the gain at zero error would be a wild extrapolation
GAIN_WIDTHS = (0.4, 1.0)


def gains(value: Tensor, error: Tensor) -> Tensor:
    """Tell how much a measurement of this error is worth.

    Parameters
    ----------
    value, error : (...) Tensor
        A standardised measurement and its standard error.

    Returns
    -------
    (..., 2 len(GAIN_WIDTHS)) Tensor
        The gains, and the value times each of them.

    Notes
    -----
    A Gaussian of width w that is measured with error s moves by w^2 / (w^2 + s^2) of the
    difference. Given as features, these gains let what was learnt from noisy values extrapolate to
    exact ones (s = 0, gain 1).
    """
    gain = torch.stack([1 / (1 + (error / width) ** 2) for width in GAIN_WIDTHS], -1)
    return torch.cat([gain, gain * value[..., None]], -1)


class KeyValueCache:
    """Keys and values of one block for the targets that have been drawn so far.

    It starts with a key and value of zero: see `DecoderBlock.self_attend`.

    Parameters
    ----------
    length : int
        The largest number of targets.
    """

    def __init__(self, length: int):
        self.capacity = length + 1
        self.length = 1

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add new tokens.

        Parameters
        ----------
        key, value : (B S, H, Q, d) Tensor
            Of the new tokens.

        Returns
        -------
        key, value : (B S, H, length, d) Tensor
            Of all tokens so far.
        """
        if self.length == 1:
            shape = (*key.shape[:2], self.capacity, key.shape[-1])
            self.key = key.new_zeros(shape)
            self.value = value.new_zeros(shape)
        start = self.length
        self.length += key.shape[2]
        self.key[:, :, start : self.length] = key
        self.value[:, :, start : self.length] = value
        return self.key[:, :, : self.length], self.value[:, :, : self.length]


class DecoderBlock(nn.Module):
    """Pre-norm block: self-attention to earlier targets, cross-attention to the memory, an MLP.

    In parallel mode the self-attention is left out.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_back, self.norm_query, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.back = nn.Linear(width, 3 * width)
        # no bias: attention to nothing adds nothing
        self.back_out = nn.Linear(width, width, bias=False)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.mlp = Mlp(width, 4 * width, act_layer=nn.SiLU)

    def project_memory(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, H, T, d) of the memory (B, T, D).

        They are needed once per star, whatever targets are predicted from it.
        """
        projected = self.key_value(memory)
        key, value = rearrange(projected, "b t (two h d) -> two b h t d", two=2, h=self.heads)
        return key, value

    def self_attend(self, x: Tensor, informed: Tensor) -> Tensor:
        """Let each target attend to the targets of its star up to itself that carry a known value.

        Before them stands a key and value of zero. A target with nothing else to attend to gets
        only that, and its state stays what it is in parallel mode.

        Parameters
        ----------
        x : (B, Q, D) Tensor
            States of the targets, in their order.
        informed : (B, Q) bool Tensor
            True for targets that carry a known value.

        Returns
        -------
        (B, Q, D) Tensor
        """
        query, key, value = self._project_targets(x)
        key = F.pad(key, (0, 0, 1, 0))
        value = F.pad(value, (0, 0, 1, 0))
        causal = informed.new_ones(x.shape[1], key.shape[2]).tril(diagonal=1)
        known = F.pad(informed, (1, 0), value=True)
        mask = causal & rearrange(known, "b l -> b 1 1 l")
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self._add_attended(x, attended)

    def self_attend_cached(self, x: Tensor, cache: KeyValueCache) -> Tensor:
        """Do as `self_attend` for one more target, whose predecessors are in the cache.

        Parameters
        ----------
        x : (B, 1, D) Tensor
            A target that carries a known value, like all those in the cache.
        cache : KeyValueCache
            The target is appended to it.

        Returns
        -------
        (B, 1, D) Tensor
        """
        query, key, value = self._project_targets(x)
        keys, values = cache.append(key, value)
        attended = F.scaled_dot_product_attention(query, keys, values)
        return self._add_attended(x, attended)

    def _project_targets(self, x: Tensor) -> Tensor:
        """(3, B, H, Q, d) query, key and value of the targets (B, Q, D)."""
        projected = self.back(self.norm_back(x))
        return rearrange(projected, "b q (three h d) -> three b h q d", three=3, h=self.heads)

    def _add_attended(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what attention gave.

        A target that attends to hardly anything but the zero gets nothing, since numbers here
        would be denormal otherwise.
        """
        merged = rearrange(attended, "b h q d -> b q (h d)")
        return x + self.back_out(F.hardshrink(merged, TINY))

    def cross_attend(self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """Let the targets attend to the memory of their star, and apply the MLP.

        Samples are more queries to the same keys, which are not copied.

        Parameters
        ----------
        x : (B or 1, S, Q, D) Tensor
            States of the targets.
        memory : tuple of Tensor
            What `project_memory` gave.
        mask : (B, 1, 1, T) bool Tensor
            True where the memory may be attended to.

        Returns
        -------
        (B, S, Q, D) Tensor
        """
        key, value = memory
        query = self.query(self.norm_query(x))
        query = rearrange(query, "b s q (h d) -> b h (s q) d", h=self.heads)
        query = query.expand(len(key), -1, -1, -1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        merged = rearrange(attended, "b h (s q) d -> b s q (h d)", s=x.shape[1])
        x = x + self.out(merged)
        return x + self.mlp(self.norm_mlp(x))


class MixtureHead(nn.Module):
    """Decoder of target slots.

    A token is the identity of its slot, plus the slot, value and error of its predecessor.

    A given value y with error s stands for the measurement N(y | x, s): what follows is conditioned
    on that measurement, exactly; with s = 0 it is conditioned on the true x. Training gives noisy
    and exact values (see training/masks.py), sampling gives its own exact ones.

    Parameters
    ----------
    n_slots : int
        Number of slots that a model has.
    width, depth, heads : int
        Size of a token, number of blocks, heads of a block.
    components : int
        Gaussians per mixture.

    Attributes
    ----------
    use_bfloat16 : bool
        Whether the blocks run in bfloat16, at inference.
    """

    def __init__(self, n_slots: int, width: int, depth: int, heads: int, components: int):
        super().__init__()
        self.use_bfloat16 = False
        self.identity = nn.Embedding(n_slots, width)
        self.predecessor = SlotLinear(n_slots, 2 * len(GAIN_WIDTHS), width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList([DecoderBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.to_mixture = Mlp(width, 2 * width, 3 * components, act_layer=nn.SiLU)
        # components start spread out, or they would all learn the same
        spread = torch.linspace(-1.5, 1.5, components) if components > 1 else torch.zeros(1)
        with torch.no_grad():
            bias = cast(Tensor, self.to_mixture.fc2.bias)
            bias.view(3, components)[1] = spread

    def parallel(self, memory: Memory, query: Tensor) -> Mixture:
        """Predict densities (B, Q, K) of the slots `query` (Q,), each given the star alone."""
        with self._autocast(memory):
            x = self.read(memory, self.identity(query))
        return self.mixture(x.float())

    def read(self, memory: Memory, target: Tensor) -> Tensor:
        """Return states (B, Q, D) of the target tokens (Q, D), each of which sees only the star."""
        x = rearrange(target, "q d -> 1 1 q d")
        mask = attention_mask(memory.observed)
        for block in self.decoder_blocks():
            x = block.cross_attend(x, block.project_memory(memory.features), mask)
        return x[:, 0]

    def autoregressive(self, memory: Memory, order: Tensor, given: Measurement) -> Mixture:
        """Predict densities of slots, each given the star and the slots before it.

        Parameters
        ----------
        memory : Memory
            Of B stars.
        order : (Q,) int Tensor
            Slots, in the order of the chain rule.
        given : Measurement
            Of (B, Q), values of the same slots. A missing one tells its successors nothing, and
            what stands in its place has no influence. A NaN sigma counts as 0: the value is taken
            as it stands.

        Returns
        -------
        Mixture
            Of (B, Q, K): the i-th given the star and given[:, :i].
        """
        first = self.identity(order[:1]).expand(len(given.value), 1, -1)
        predecessors = given.slots(0, len(order) - 1)
        later = self._embed_targets(order[1:], order[:-1], predecessors)
        x = torch.cat([first, later], 1)
        informed = F.pad(predecessors.observed, (1, 0))
        mask = attention_mask(memory.observed)
        for block in self.decoder_blocks():
            x = block.self_attend(x, informed)
            x = block.cross_attend(x[:, None], block.project_memory(memory.features), mask)[:, 0]
        return self.mixture(x)

    def sample(
        self,
        memory: Memory,
        order: Tensor,
        n: int,
        generator: torch.Generator,
        known: Measurement | None = None,
    ) -> Tensor:
        """Draw joint samples: each slot given the star and the slots drawn before it.

        A slot with a known value is drawn from the product of its density and the measurement's;
        how probable each sample made the measurements is its weight, by which samples are drawn
        again at the end (sequential importance resampling, Gordon, Salmond & Smith 1993).

        Parameters
        ----------
        memory : Memory
            Of B stars.
        order : (Q,) int Tensor
            Slots, in the order of the chain rule.
        n : int
            Samples of each star.
        generator : torch.Generator
        known : Measurement, optional
            Of (B, Q): measurements, with errors above 0, of slots of which the memory was not
            told.

        Returns
        -------
        (B, n, Q) Tensor
            Standardised values, in the given order.
        """
        memories = [block.project_memory(memory.features) for block in self.decoder_blocks()]
        caches = [KeyValueCache(len(order) - 1) for _ in self.blocks]
        # the density of the first slot is the same for all samples of a star
        first = self.parallel(memory, order[:1]).repeat(n)
        weights = SampleWeights(known)
        drawn = [weights.measure(first, 0).draw(generator)]
        for position in range(1, len(order)):
            previous = order[position - 1 : position]
            slot = order[position : position + 1]
            x = self._embed_targets(slot, previous, _exact(drawn[-1]))
            with self._autocast(memory):
                x = self._decode_next(x, memory, memories, caches)
            mixture = weights.measure(self.mixture(x.float()), position)
            drawn.append(mixture.draw(generator))
        return weights.resample(torch.stack(drawn, -1), generator)

    def _decode_next(
        self,
        x: Tensor,
        memory: Memory,
        memories: list[tuple[Tensor, Tensor]],
        caches: list[KeyValueCache],
    ) -> Tensor:
        """States (B, S, D) of the next target of S samples from its tokens (B, S, D)."""
        samples = x.shape[1]
        mask = attention_mask(memory.observed)
        blocks = self.decoder_blocks()
        for block, projected, cache in zip(blocks, memories, caches, strict=True):
            rows = rearrange(x, "b s d -> (b s) 1 d")
            rows = block.self_attend_cached(rows, cache)
            x = rearrange(rows, "(b s) 1 d -> b s 1 d", s=samples)
            x = block.cross_attend(x, projected, mask)[:, :, 0]
        return x

    def _embed_targets(self, slot: Tensor, previous: Tensor, given: Measurement) -> Tensor:
        """Tokens (B, Q, D) of `slot` (Q or 1,) after `previous` (Q or 1,) had the values given."""
        value = torch.where(given.observed, given.value, 0)
        error = torch.where(given.observed, given.sigma, 0)
        features = gains(value, torch.nan_to_num(error))
        information = self.mix(self.predecessor(features, previous))
        information = torch.where(given.observed[..., None], information, 0)
        return self.identity(slot) + information

    def _autocast(self, memory: Memory):
        """Uses bfloat16 if `use_bfloat16` says so; otherwise keeps the caller's autocast."""
        if self.use_bfloat16:
            return torch.autocast(memory.features.device.type, torch.bfloat16)
        return nullcontext()

    def decoder_blocks(self) -> list[DecoderBlock]:
        """Return the blocks with their type."""
        return cast(list[DecoderBlock], list(self.blocks))

    def mixture(self, x: Tensor) -> Mixture:
        """Turn states (B, Q, D) into densities (B, Q, K)."""
        raw = self.to_mixture(self.norm(x)).float()
        logit, mean, log_sigma = rearrange(raw, "b q (three k) -> three b q k", three=3)
        log_weight = F.log_softmax(logit, -1)
        return Mixture(log_weight, mean, log_sigma.clamp(LOG_SIGMA_MIN, LOG_SIGMA_MAX))


def _exact(value: Tensor) -> Measurement:
    """Values without error, all observed."""
    observed = torch.ones_like(value, dtype=torch.bool)
    return Measurement(value, torch.zeros_like(value), observed)


def joint_log_prob(head: MixtureHead, memory: Memory, order: Tensor, values: Measurement) -> Tensor:
    """Return the log density of values by the chain rule.

    Parameters
    ----------
    head : MixtureHead
    memory : Memory
        Of B stars.
    order : (Q,) int Tensor
        Slots, in the order of the chain rule.
    values : Measurement
        Of (B, Q). Values with an error are taken as measurements; missing ones are left out, which
        integrates over them.

    Returns
    -------
    (B,) Tensor
    """
    mixture = head.autoregressive(memory, order, values)
    y = torch.where(values.observed, values.value, 0)
    error = torch.nan_to_num(values.sigma)
    log_density = mixture.log_prob(y, error)
    return torch.where(values.observed, log_density, 0).sum(1)
