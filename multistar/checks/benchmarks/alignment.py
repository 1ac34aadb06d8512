"""Is the same star found by its other view? Light curve against XP, photometry and parallax."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track

from multistar.inference.views import embed_views
from multistar.model.alignment import ALIGNMENTS, Alignment
from multistar.model.checkpoint import Model
from multistar.stars import Stars

STEPS, BATCH, RATE = 1500, 512, 3e-3
RANKS = (1, 10)


@dataclass(frozen=True)
class Pairs:
    """Two views of the same stars, row by row: embeddings (n, width), and the same aligned."""

    curve: torch.Tensor
    rest: torch.Tensor
    aligned_curve: torch.Tensor
    aligned_rest: torch.Tensor


def embed_pairs(model: Model, stars: Stars) -> Pairs:
    """Embed both views of all stars that have both."""
    seen = embed_views(model, stars, quiet=False)
    both = np.isfinite(seen.curve).all(1) & np.isfinite(seen.rest).all(1)
    arrays = (seen.curve, seen.rest, *seen.aligned)
    return Pairs(*(torch.from_numpy(array[both]) for array in arrays))


def measure_recall(first: torch.Tensor, second: torch.Tensor) -> dict[str, float]:
    """Measure how often the other view of a star is among the nearest of all, by cosine.

    Parameters
    ----------
    first, second
        (n, width) views of the same stars, row by row.

    Returns
    -------
    dict
        Direction and rank -> share of the stars.
    """
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    shares = {}
    for name, matrix in (("curve_to_rest", similarity), ("rest_to_curve", similarity.T)):
        nearer = (matrix > matrix.diagonal()[:, None]).sum(1)
        for rank in RANKS:
            shares[f"{name}_{rank}"] = float((nearer < rank).float().mean())
    return shares


def learn_alignment(kind: str, pairs: Pairs, seed: int = 0) -> Alignment:
    """Learn an alignment of one kind (a key of ALIGNMENTS) from embeddings, which stay as they are."""
    torch.manual_seed(seed)
    return teach(Alignment(pairs.curve.shape[1], kind), pairs, seed)


def teach(alignment: Alignment, pairs: Pairs, seed: int = 0) -> Alignment:
    """Take STEPS steps of AdamW from where an alignment stands, at a rate that falls as a cosine."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(alignment.parameters(), RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in track(range(STEPS), alignment.kind):
        rows = torch.randint(len(pairs.curve), (BATCH,), generator=generator)
        optimiser.zero_grad()
        alignment.loss(pairs.curve[rows], pairs.rest[rows]).backward()
        optimiser.step()
        schedule.step()
    return alignment.eval()


def benchmark_alignments(own: str, train: Pairs, test: Pairs) -> dict[str, dict[str, float]]:
    """Measure recall of the model's own alignment beside chance and others of the same embeddings.

    Parameters
    ----------
    own
        Kind of the model's own alignment.
    train, test
        Pairs to learn the others from (least squares, and every entry of ALIGNMENTS), and pairs that
        are looked for.
    """
    n = len(test.curve)
    names = [f"{way}_{rank}" for way in ("curve_to_rest", "rest_to_curve") for rank in RANKS]
    results = {"chance": {name: int(name.split("_")[-1]) / n for name in names}}
    results[f"the model's own ({own})"] = measure_recall(test.aligned_curve, test.aligned_rest)
    results["none"] = measure_recall(test.curve, test.rest)
    mapped, center = _map_by_least_squares(train, test)
    results["least squares"] = measure_recall(mapped, center)
    for kind in ALIGNMENTS:
        alignment = learn_alignment(kind, train)
        with torch.no_grad():
            results[f"{kind}, learnt anew"] = measure_recall(*alignment(test.curve, test.rest))
    return results


def _map_by_least_squares(train: Pairs, test: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    curve, rest = train.curve.mean(0), train.rest.mean(0)
    fit = torch.linalg.lstsq(train.curve - curve, train.rest - rest, driver="gelsd").solution
    return (test.curve - curve) @ fit, test.rest - rest
