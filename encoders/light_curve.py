"""Light curves: summary, power spectrum, folded profile and patches of samples with their times."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from torch import nn

from encoders.contract import Measurement, Tokens
from encoders.layers import N_CHANNELS, SlotLinear, channels, patches

# slots per token
SUMMARY_PATCH = 9
SPECTRUM_PATCH = 8
PROFILE_PATCH = 16


@dataclass(frozen=True)
class LightCurveLayout:
    """The slots of a light curve, part after part.

    Parameters
    ----------
    summary, spectrum, profile : int
        Number of slots of each part.
    patches : int
        Number of patches of samples.
    samples : int
        Number of samples of each patch.
    """

    summary: int
    spectrum: int
    profile: int
    patches: int
    samples: int

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Where each part stands, by its name.

        samples and sample_times hold patch after patch, sample_band one slot per patch.
        """
        all_samples = self.patches * self.samples
        sizes = {
            "summary": self.summary,
            "spectrum": self.spectrum,
            "profile": self.profile,
            "samples": all_samples,
            "sample_times": all_samples,
            "sample_band": self.patches,
        }
        parts = {}
        start = 0
        for name, size in sizes.items():
            parts[name] = slice(start, start + size)
            start += size
        return parts

    @property
    def n_slots(self) -> int:
        """Number of slots of all parts."""
        return self.parts["sample_band"].stop


class LightCurveEncoder(nn.Module):
    """Tokens of 9 slots of the summary, 8 of the spectrum, 16 of the profile; and one per patch.

    A patch of samples reads its values, errors, times and band through weights that all such
    patches share: they are a set, and their times say where they belong. Times and bands alone make
    no token. Then the tokens attend to each other in pre-norm blocks; an absent token is attended
    to by itself alone.

    Parameters
    ----------
    layout : LightCurveLayout
        The slots of the measurement.
    width : int
        D, of the tokens.
    depth : int
        Number of blocks of self-attention.
    heads : int
        Number of heads in each block.
    """

    def __init__(self, layout: LightCurveLayout, width: int, depth: int = 0, heads: int = 4):
        super().__init__()
        from timm.models.vision_transformer import Block  # here, as timm loads all of torchvision

        self.layout = layout
        sizes = {"summary": SUMMARY_PATCH, "spectrum": SPECTRUM_PATCH, "profile": PROFILE_PATCH}
        self.sizes = {name: size for name, size in sizes.items() if getattr(layout, name)}
        self.embed = nn.ModuleDict()
        for name, size in self.sizes.items():
            n_tokens = math.ceil(getattr(layout, name) / size)
            self.embed[name] = SlotLinear(n_tokens, size * N_CHANNELS, width)
        slots_per_patch = 2 * layout.samples + 1
        self.embed_samples = nn.Linear(slots_per_patch * N_CHANNELS, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList()
        for _ in range(depth):
            block = Block(width, heads, qkv_bias=True, qk_norm=True, act_layer=nn.SiLU)
            self.blocks.append(block)
        self.mix_samples = nn.Sequential(
            nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, m: Measurement) -> Tokens:
        """Encode light curves.

        Parameters
        ----------
        m : Measurement
            Of (B, layout.n_slots).

        Returns
        -------
        Tokens
            Of (B, T, D); observed where any of the slots of a token is.
        """
        parts = {}
        for name, where in self.layout.parts.items():
            parts[name] = m.slots(where.start, where.stop)
        tokens = [self._encode_neighbours(name, parts[name]) for name in self.sizes]
        samples = self._encode_samples(
            parts["samples"], parts["sample_times"], parts["sample_band"]
        )
        tokens.append(samples)
        x = torch.cat([t.features for t in tokens], 1)
        observed = torch.cat([t.observed for t in tokens], 1)
        # every token attends to itself, as a row without any key would give NaN
        itself = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        mask = rearrange(observed, "b t -> b 1 1 t") | itself
        for block in self.blocks:
            x = block(x, attn_mask=mask)
        return Tokens(x, observed)

    def _encode_neighbours(self, name: str, m: Measurement) -> Tokens:
        """One token for each stretch of neighbouring slots of a part."""
        size = self.sizes[name]
        x = rearrange(patches(channels(m), size), "b t p c -> b t (p c)")
        observed = patches(m.observed[..., None], size).any((-1, -2))
        return Tokens(self.mix(self.embed[name](x)), observed)

    def _encode_samples(self, samples: Measurement, times: Measurement, band: Measurement):
        """One token for each patch of samples."""
        n_patches = self.layout.patches
        inputs = []
        for m in (samples, times, band):
            inputs.append(rearrange(channels(m), "b (t p) c -> b t (p c)", t=n_patches))
        x = self.embed_samples(torch.cat(inputs, -1))
        observed = rearrange(samples.observed, "b (t p) -> b t p", t=n_patches).any(-1)
        return Tokens(self.mix_samples(x), observed)
