"""How far photometry of real stars is from the mock's, and how a model is told of it."""

import torch
from torch import Tensor

from encoders import Measurement

MAGNITUDE = 0.02  # mag, scatter of zero points and synthetic colours of any band but G
# Mock - sky [mag], on the scale on which BP and RP agree, as BP-RP is what the colour-temperature
# relation holds: medians over twins of 2,400 LAMOST stars and 1,900 Kepler giants, which agree to
# 0.005 but for Ks (0.01, 0.04), where stars of the two samples differ.
ZERO_POINTS = {"g": 0.028, "j": 0.02, "h": -0.03, "ks": 0.025, "w1": 0.043, "w2": 0.053}


def add_zero_points(
    m: Measurement, scale: Tensor, g: int | None, colours: list[int], names: list[str]
) -> Measurement:
    """Move magnitudes of real stars to the mock's zero points.

    Colours are relative to G or, without it, to the mean of the bands. XP coefficients stay
    relative to G as it is: the mock's own agree with its G to 1 %.

    Parameters
    ----------
    m : Measurement
        (B, N) standardised scalars.
    scale : (N,) Tensor
    g : int or None
        Slot of G.
    colours, names
        Slots and names of the other magnitudes.
    """
    value = m.value.clone()
    seen = m.observed[:, colours]
    zero = torch.tensor([ZERO_POINTS.get(name, 0.0) for name in names]).to(m.value)
    reference = (seen * zero).sum(1) / seen.sum(1).clamp(min=1)
    if g is not None:
        reference = torch.where(m.observed[:, g], ZERO_POINTS["g"], reference)
        value[:, g] += ZERO_POINTS["g"] / scale[g]
    value[:, colours] += (zero - reference[:, None]) / scale[colours]
    return Measurement(torch.where(m.observed, value, m.value), m.sigma, m.observed)


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
