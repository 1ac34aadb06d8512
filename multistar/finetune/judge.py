"""How good an adapter is on the held-out stars of its own table.

These stars also decided when to stop and calibrated the intervals, so that the figures are a little
too good; stars of another table tell the rest.
"""

import numpy as np
import torch
from astropy.stats import mad_std
from torch import Tensor

from multistar.finetune.adapter import Adapter
from multistar.finetune.examples import Examples
from multistar.model.mixture import Mixture

LEVELS = (0.16, 0.5, 0.84)
BATCH = 256


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
        (share of the most common class).
    """
    mixtures, logs = [], []
    for start in range(0, len(stars), BATCH):
        part = stars.rows(slice(start, start + BATCH))
        memory = adapter.model.network.encode(part.stars)
        mixture, log = adapter.readout(adapter.model.network, memory, adapter.slots)
        mixtures.append(mixture)
        logs.append(log)
    figures = {}
    if adapter.request.targets:
        quantiles = _quantiles(adapter, mixtures)
        for i, quantity in enumerate(adapter.request.targets):
            known = stars.target.observed[:, i].numpy()
            target = stars.target.value[known, i].numpy()
            error = torch.nan_to_num(stars.target.sigma[known, i]).numpy()
            if len(target):
                row = _judge_number(quantiles[known, i].numpy(), target, error)
                row |= _in_units(adapter, quantity.name, quantiles[known, i, 1].numpy(), target)
                figures[quantity.name] = row
    for i, name in enumerate(adapter.request.classes):
        known = stars.codes[:, i] >= 0
        if known.any():
            best = torch.cat([log[i] for log in logs]).argmax(1)
            codes = stars.codes[known, i]
            right = (best[known] == codes).float().mean()
            most = torch.bincount(codes).max() / len(codes)
            row = {"stars": len(codes), "accuracy": float(right), "most_common": float(most)}
            figures[name] = row
    return figures


def _quantiles(adapter: Adapter, mixtures: list[Mixture]) -> Tensor:
    """(n, Q, 3) standardised."""
    levels = adapter.levels(torch.tensor(LEVELS))
    return torch.cat([mixture.quantile(levels) for mixture in mixtures])


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
