"""Columns of a table that cannot be what they are read as, judged by many stars together.

One star with a wrong parallax or magnitude is told by its own data, if at all (plausible.py,
parallax.py). A whole column in another unit, in another system of magnitudes, or of something else
shows far more clearly: each quantity is hidden in turn, and predicted from all the rest.

Shape letters: n star.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr

from multistar.inference.stream import show_measurements
from multistar.model.checkpoint import Model
from multistar.stars import Stars

# Stars that are looked at, evenly from the table, and the fewest that say something together.
SAMPLE, FEWEST = 128, 30
# Medians of samples of real and mock stars are within 1.2 errors; half of the stars are beyond this.
EDGE = 2.5
# Least difference that is worth a word: mag, and dex of a parallax.
LEAST = {"mag": 0.15, "mas": 0.3}
# Parallaxes of this many errors are compared. Below this rank correlation, and this many of its
# errors below 0, they are distances; members of one cluster have one about 0.
SIGNIFICANT, RISING, BY_CHANCE = 3.0, -0.3, 4.0
LEAST_PARALLAX = 1e-6  # mas


@dataclass(frozen=True)
class Comparison:
    """One quantity of n stars, and what the model predicts of it from all the rest.

    Attributes
    ----------
    value, expected : (n,) ndarray
        In the unit of the quantity, but magnitudes other than G below G.
    score : (n,) ndarray
        Normal score of the value in what is predicted.
    """

    value: np.ndarray
    expected: np.ndarray
    score: np.ndarray


def question_columns(model: Model, stars: Stars) -> tuple[str, ...]:
    """Find quantities that, over the table, are not what everything else says.

    Parameters
    ----------
    model : Model
    stars : Stars

    Returns
    -------
    tuple of str
        A sentence for each of them; none where fewer than FEWEST stars have it beside others.
    """
    doubts, hidden = [], []
    # parallaxes first: a magnitude is not judged by one that is doubtful itself
    for name in sorted(model.vocabulary.measurements, key=lambda name: name != "parallax"):
        block, unit = stars.scalars.get(name), model.vocabulary.quantity(name).unit
        if block is None or unit not in LEAST:
            continue
        rows = np.flatnonzero(np.isfinite(block.value))
        if name == "parallax":
            with np.errstate(invalid="ignore"):
                rows = rows[block.value[rows] > SIGNIFICANT * np.nan_to_num(block.sigma[rows])]
        if len(rows) < FEWEST:
            continue
        some = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(int)]
        compared = compare_quantity(model, stars.select(some), name, hidden)
        if len(compared.value) < FEWEST:
            continue
        if found := question_quantity(name, unit, compared):
            doubts += found
            if name == "parallax":
                hidden.append(name)
    return tuple(doubts)


@torch.inference_mode()
def compare_quantity(
    model: Model, stars: Stars, name: str, hidden: Sequence[str] = ()
) -> Comparison:
    """Predict a quantity of stars from everything else that was measured, but for what is hidden."""
    slot = model.vocabulary.slot(name)
    device = next(model.network.parameters()).device
    m = show_measurements(model, stars).to(device)
    shown = torch.ones_like(m.observed)
    shown[:, [slot, *map(model.vocabulary.slot, hidden)]] = False
    context = m.hide(shown)
    asked = torch.tensor([slot]).to(device)
    mixture = model.network.decode(model.network.encode(context), asked)
    middle = torch.full((1, 1), 0.5, dtype=torch.float64)
    expected = model.standardiser.physical(name, mixture.quantile(middle).cpu().numpy()[:, 0, 0])
    own = m.slots(slot, slot + 1)
    level = mixture.cdf(own.value, torch.nan_to_num(own.sigma)).double()
    score = torch.special.ndtri(level.clamp(1e-12, 1 - 1e-12))[:, 0].cpu().numpy()
    known = (own.observed[:, 0] & context.observed.any(1)).cpu().numpy()
    value = model.standardiser.physical(name, own.value[:, 0].cpu().numpy())
    return Comparison(value[known], expected[known], score[known])


def question_quantity(name: str, unit: str, compared: Comparison) -> list[str]:
    """Judge one quantity: a sentence if it cannot be what it is read as, or none."""
    n = len(compared.value)
    if name == "parallax":
        rising = float(np.asarray(spearmanr(compared.value, compared.expected))[0])
        if rising < RISING and rising * np.sqrt(n - 1) < -BY_CHANCE:
            return [
                f"parallax: falls where everything else says that it rises (rank correlation "
                f"{rising:.2f}, {n} stars); is it a distance?"
            ]
        both = np.maximum([compared.value, compared.expected], LEAST_PARALLAX)
        difference = np.log10(both[0] / both[1])
    else:
        difference = compared.value - compared.expected
    middle = float(np.median(difference))
    if abs(float(np.median(compared.score))) < EDGE or abs(middle) < LEAST[unit]:
        return []
    if name == "parallax":
        size = f"{10**middle:.3g} times what everything else says; is it in {unit}?"
    else:
        size = f"{middle:+.2f} mag from what everything else says; is it this band, in the Vega system?"
    return [f"{name}: in the median of {n} stars {size}"]
