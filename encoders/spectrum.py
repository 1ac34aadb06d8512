"""Spectra on one grid of ln wavelength: patches of lines and of shape, with the resolution."""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from torch import nn

from encoders.contract import Measurement, Tokens
from encoders.layers import N_CHANNELS, SlotLinear, channels, patches

LINE_PATCH = 24  # pixels per token
SHAPE_PATCH = 10  # steps between broad bands per token


class SpectrumEncoder(nn.Module):
    """Tokens of 24 pixels of the lines and of 10 steps of the shape.

    Every token is told the resolution. Then the tokens attend to each other in pre-norm blocks; an
    absent one is attended to by itself alone.

    Parameters
    ----------
    sizes : sequence of int
        Number of slots of the lines, of the shape and of the resolution, in this order.
    width : int
        D, of the tokens.
    depth : int
        Number of blocks of self-attention.
    heads : int
        Number of heads in each block.
    """

    def __init__(self, sizes: Sequence[int], width: int, depth: int = 2, heads: int = 4):
        super().__init__()
        from timm.models.vision_transformer import Block  # here, as timm loads all of torchvision

        self.sizes = tuple(sizes)
        lines, shape, resolution = self.sizes
        self.embed_lines = SlotLinear(math.ceil(lines / LINE_PATCH), LINE_PATCH * N_CHANNELS, width)
        self.embed_shape = SlotLinear(
            math.ceil(shape / SHAPE_PATCH), SHAPE_PATCH * N_CHANNELS, width
        )
        self.embed_resolution = nn.Linear(resolution * N_CHANNELS, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            [
                Block(width, heads, qkv_bias=True, qk_norm=True, act_layer=nn.SiLU)
                for _ in range(depth)
            ]
        )

    def forward(self, m: Measurement) -> Tokens:
        """Encode spectra.

        Parameters
        ----------
        m : Measurement
            Of (B, sum of sizes).

        Returns
        -------
        Tokens
            Of (B, T, D); observed where any pixel or step of a token is.
        """
        lines, shape, _ = self.sizes
        parts = (
            m.slots(0, lines),
            m.slots(lines, lines + shape),
            m.slots(lines + shape, sum(self.sizes)),
        )
        x = torch.cat(
            [
                self.embed_lines(_flatten(parts[0], LINE_PATCH)),
                self.embed_shape(_flatten(parts[1], SHAPE_PATCH)),
            ],
            1,
        )
        observed = torch.cat([_is_any(parts[0], LINE_PATCH), _is_any(parts[1], SHAPE_PATCH)], 1)
        resolution = self.embed_resolution(rearrange(channels(parts[2]), "b n c -> b (n c)"))
        x = self.mix(x + resolution[:, None])
        # every token attends to itself, as a row without any key would give NaN
        itself = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        mask = rearrange(observed, "b t -> b 1 1 t") | itself
        for block in self.blocks:
            x = block(x, attn_mask=mask)
        return Tokens(x, observed)


def _flatten(m: Measurement, size: int) -> torch.Tensor:
    """(B, T, size * N_CHANNELS) what the tokens read."""
    return rearrange(patches(channels(m), size), "b t p c -> b t (p c)")


def _is_any(m: Measurement, size: int) -> torch.Tensor:
    """(B, T) whether anything of a token is observed."""
    return patches(m.observed[..., None], size).any((-1, -2))
