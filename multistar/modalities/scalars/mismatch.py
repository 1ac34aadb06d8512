"""How far photometry of real stars is from the mock's, and how a model is told of it."""

import torch
from torch import Tensor

from encoders import Measurement

MAGNITUDE = 0.02  # mag, scatter of zero points and synthetic colours of any band but G


def widen_colours(
    m: Measurement,
    scale: Tensor,
    colours: list[int],
    size: Tensor,
    generator: torch.Generator | None,
) -> Measurement:
    """State errors of colours larger by the mismatch.

    With a generator, scatter the values by it.
    """
    value, sigma = m.value.clone(), m.sigma.clone()
    scatter = size * MAGNITUDE / scale[colours]
    sigma[:, colours] = torch.hypot(sigma[:, colours], scatter)
    if generator is not None:
        value[:, colours] += scatter * torch.randn(scatter.shape, generator=generator)
    return Measurement(torch.where(m.observed, value, m.value), sigma, m.observed)
