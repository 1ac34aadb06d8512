"""How good an adapter is on the held-out stars of its own table.

These stars also decided when to stop and calibrated the intervals, so that the figures are a little
too good; stars of another table tell the rest.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from astropy.stats import mad_std
from torch import Tensor

from multistar.finetune.adapter import Adapter
from multistar.finetune.examples import Examples
from multistar.model.mixture import Mixture

LEVELS = (0.16, 0.5, 0.84)
SKILL_LEVELS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)
BATCH = 256
TINY = 1e-12  # of losses that are divided by


@torch.no_grad()
def judge_held_out(adapter: Adapter, stars: Examples) -> dict[str, dict[str, float]]:
    """Compare predictions with the labels of held-out stars.

    Parameters
    ----------
    adapter : Adapter
    stars : Examples
        Those that were held out.

    Returns
    -------
    dict of dict
        Of a number: `stars`, `mad_std` and `bias` (median of predicted - label) in its unit,
        `spread` (MAD-std of the labels themselves), `held` (share of the labels within the 68 %
        interval) and `held_with_errors` (the same for intervals widened by the labels' errors,
        as the intervals are of the truth). Of a class: `stars`, `accuracy`, and `most_common`
        (share of the most common class). Of both `skill`: 1 for perfect predictions, 0 for those
        that only know how the labels are distributed; by the quantile loss (Koenker & Bassett
        1978) at ten levels, or by the cross-entropy.

    The losses of the stars, relative to those of predictions of skill 0 and averaged over the
    labels that a star has, are left in `adapter.losses`.
    """
    total, number = np.zeros((2, len(stars)))
    mixtures, logs = [], []
    for start in range(0, len(stars), BATCH):
        part = stars.rows(slice(start, start + BATCH))
        mixture, log = adapter.decode(part.stars, adapter.encode(part.stars))
        mixtures.append(mixture)
        logs.append(log)
    figures = {}
    if adapter.request.targets:
        quantiles, many = (_quantiles(adapter, mixtures, x) for x in (LEVELS, SKILL_LEVELS))
        for i, quantity in enumerate(adapter.request.targets):
            known = stars.target.observed[:, i].numpy()
            target = stars.target.value[known, i].numpy()
            error = torch.nan_to_num(stars.target.sigma[known, i]).numpy()
            if len(target):
                row = _judge_number(quantiles[known, i].numpy(), target, error)
                row |= _in_units(adapter, quantity.name, quantiles[known, i, 1].numpy(), target)
                loss = _relative_quantile_loss(many[known, i].numpy(), target)
                row["skill"] = 1 - float(loss.mean())
                total[known] += loss
                number[known] += 1
                figures[quantity.name] = row
    for i, name in enumerate(adapter.request.classes):
        known = stars.codes[:, i] >= 0
        if known.any():
            log, codes = torch.cat([log[i] for log in logs])[known], stars.codes[known, i]
            right = (log.argmax(1) == codes).float().mean()
            share = torch.bincount(codes).double() / len(codes)
            row = {"stars": len(codes), "accuracy": float(right), "most_common": float(share.max())}
            entropy = float(torch.special.entr(share).sum())
            loss = F.nll_loss(log.double(), codes, reduction="none").numpy() / max(entropy, TINY)
            row["skill"] = 1 - float(loss.mean())
            total[known.numpy()] += loss
            number[known.numpy()] += 1
            figures[name] = row
    adapter.losses = total / np.maximum(number, 1)
    return figures


def is_better(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether losses (n,) of stars are less than those of others by more than their noise.

    Of few held-out stars, differences are noise: the mean difference must exceed its own error.
    """
    gain = other - one
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def _quantiles(adapter: Adapter, mixtures: list[Mixture], levels: Sequence[float]) -> Tensor:
    """(n, Q, L) standardised."""
    own = adapter.levels(torch.tensor(levels))
    return torch.cat([mixture.quantile(own) for mixture in mixtures])


def _relative_quantile_loss(quantiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n,) of quantiles (n, L), over the mean loss of the quantiles of the labels (n,) themselves."""
    constant = np.quantile(target, SKILL_LEVELS)
    ours, theirs = (_quantile_loss(q, target[:, None]) for q in (quantiles, constant))
    return ours / max(theirs.mean(), TINY)


def _quantile_loss(quantiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    above, level = target - quantiles, np.array(SKILL_LEVELS)
    return np.maximum(level * above, (level - 1) * above).mean(1)


def _judge_number(quantiles: np.ndarray, target: np.ndarray, error: np.ndarray) -> dict:
    low, middle, high = quantiles.T
    below, above = np.hypot(middle - low, error), np.hypot(high - middle, error)
    wide = (target > middle - below) & (target < middle + above)
    held = (target > low) & (target < high)
    return {
        "stars": len(target),
        "held": float(held.mean()),
        "held_with_errors": float(wide.mean()),
        "with_errors": float((error > 0).mean()),
    }


def _in_units(adapter: Adapter, name: str, middle: np.ndarray, target: np.ndarray) -> dict:
    physical = adapter.model.standardiser.physical
    predicted, known = physical(name, middle), physical(name, target)
    residual = predicted - known
    return {
        "mad_std": float(mad_std(residual)),
        "bias": float(np.median(residual)),
        "spread": float(mad_std(known)),
    }
