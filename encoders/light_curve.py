"""Light curves: a summary, a power spectrum, a folded profile, and a set of patches of samples with their times."""

from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from torch import nn

from encoders.contract import Measurement, Tokens
from encoders.layers import N_CHANNELS, SlotLinear, channels, patches

SUMMARY_PATCH, SPECTRUM_PATCH, PROFILE_PATCH = 9, 8, 16  # slots per token


@dataclass(frozen=True)
class LightCurveLayout:
    """The slots of a light curve, part after part."""

    summary: int
    spectrum: int
    profile: int
    patches: int
    samples: int  # per patch

    @cached_property
    def parts(self) -> dict[str, slice]:
        """samples and sample_times hold patch after patch, sample_band one slot per patch."""
        all_samples = self.patches * self.samples
        sizes = {
            "summary": self.summary,
            "spectrum": self.spectrum,
            "profile": self.profile,
            "samples": all_samples,
            "sample_times": all_samples,
            "sample_band": self.patches,
        }
        parts, start = {}, 0
        for name, size in sizes.items():
            parts[name] = slice(start, start + size)
            start += size
        return parts

    @property
    def n_slots(self) -> int:
        return self.parts["sample_band"].stop


class LightCurveEncoder(nn.Module):
    """(B, layout.n_slots) -> tokens of 9 slots of the summary, 8 of the spectrum, 16 of the profile; one per patch.

    A patch of samples reads its values, errors, times and band through weights that all such patches share: they are
    a set, and their times say where they belong. Times and bands alone make no token. Then the tokens look at each
    other in `depth` pre-norm blocks; absent ones are looked at by themselves alone.
    """

    def __init__(self, layout: LightCurveLayout, width: int, depth: int = 0, heads: int = 4):
        super().__init__()
        from timm.models.vision_transformer import Block  # here, as timm loads all of torchvision

        self.layout = layout
        sizes = {"summary": SUMMARY_PATCH, "spectrum": SPECTRUM_PATCH, "profile": PROFILE_PATCH}
        self.sizes = {name: size for name, size in sizes.items() if getattr(layout, name)}
        self.embed = nn.ModuleDict(
            {
                name: SlotLinear(-(-getattr(layout, name) // size), size * N_CHANNELS, width)
                for name, size in self.sizes.items()
            }
        )
        self.embed_samples = nn.Linear((2 * layout.samples + 1) * N_CHANNELS, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            [
                Block(width, heads, qkv_bias=True, qk_norm=True, act_layer=nn.SiLU)
                for _ in range(depth)
            ]
        )
        self.mix_samples = nn.Sequential(
            nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, m: Measurement) -> Tokens:
        parts = {
            name: m.slots(where.start, where.stop) for name, where in self.layout.parts.items()
        }
        tokens = [self._neighbours(name, parts[name]) for name in self.sizes]
        tokens.append(self._samples(parts["samples"], parts["sample_times"], parts["sample_band"]))
        x, observed = (
            torch.cat([t.features for t in tokens], 1),
            torch.cat([t.observed for t in tokens], 1),
        )
        itself = torch.eye(
            x.shape[1], dtype=torch.bool, device=x.device
        )  # a row without any key would give NaN
        mask = rearrange(observed, "b t -> b 1 1 t") | itself
        for block in self.blocks:
            x = block(x, attn_mask=mask)
        return Tokens(x, observed)

    def _neighbours(self, name: str, m: Measurement) -> Tokens:
        size = self.sizes[name]
        x = rearrange(patches(channels(m), size), "b t p c -> b t (p c)")
        real = patches(m.observed[..., None], size).any((-1, -2))
        return Tokens(self.mix(self.embed[name](x)), real)

    def _samples(self, samples: Measurement, times: Measurement, band: Measurement) -> Tokens:
        by_patch = [
            rearrange(channels(m), "b (t p) c -> b t (p c)", t=self.layout.patches)
            for m in (samples, times, band)
        ]
        real = rearrange(samples.observed, "b (t p) -> b t p", t=self.layout.patches).any(-1)
        return Tokens(self.mix_samples(self.embed_samples(torch.cat(by_patch, -1))), real)
