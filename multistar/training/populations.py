"""Learn how probable labels are in each population of the training stars: see model/populations.py."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch.nn.functional import cross_entropy

from multistar.model.populations import LABELS, Populations, make_classifier, to_features

STEPS, BATCH, LEARNING_RATE = 3000, 2048, 1e-2
MOST = 50_000  # stars of each population


def read_populations(tables: Sequence[Path]) -> tuple[dict[str, dict[str, np.ndarray]], Counter]:
    """Read the true labels of mock tables, by the selection that their metadata name.

    Parameters
    ----------
    tables : sequence of Path
        Parquet files of `multistar mock`. One that is named twice counts twice.

    Returns
    -------
    labels : dict of str to dict
        Population -> label -> (n,) values.
    stars : Counter
        How many stars of each population training reads.

    Raises
    ------
    ValueError
        For a table that `multistar mock` did not write.
    """
    labels: dict[str, dict[str, list[np.ndarray]]] = {}
    stars: Counter = Counter()
    for path in dict.fromkeys(tables):
        about = (pq.read_schema(path).metadata or {}).get(b"mock")
        if about is None:
            raise ValueError(f"{path}: not a table of multistar mock; its population is unknown")
        name = json.loads(about)["selection"]
        table = pq.read_table(path, columns=[f"true_{label}" for label in LABELS])
        stars[name] += len(table) * list(tables).count(path)
        of_name = labels.setdefault(name, {label: [] for label in LABELS})
        for label in LABELS:
            of_name[label].append(table[f"true_{label}"].to_numpy())
    joined = {
        name: {label: np.concatenate(parts) for label, parts in of_name.items()}
        for name, of_name in labels.items()
    }
    return joined, stars


def fit_populations(
    labels: Mapping[str, Mapping[str, np.ndarray]],
    stars: Mapping[str, int],
    model_sha256: str,
    seed: int = 0,
) -> Populations:
    """Learn a classifier of populations by labels.

    Parameters
    ----------
    labels : mapping of str to mapping
        Population -> label -> (n,) true values; all of LABELS.
    stars : mapping of str to int
        How many stars of each population the model was trained on; of one that is not in it, none.
    model_sha256 : str
    seed : int

    Returns
    -------
    Populations

    Raises
    ------
    ValueError
        For fewer than two populations.
    """
    if len(labels) < 2:
        raise ValueError(f"two populations or more are needed, got {sorted(labels)}")
    rng = np.random.default_rng(seed)
    names, parts, kinds = sorted(labels), [], []
    for kind, name in enumerate(names):
        x = to_features(labels[name])
        x = x[torch.isfinite(x).all(1)]
        # as many of each, of small ones the same stars again
        rows = rng.permutation(len(x))[:MOST] if len(x) > MOST else rng.integers(len(x), size=MOST)
        parts.append(x[torch.from_numpy(rows)])
        kinds.append(torch.full((len(rows),), kind))
    x, kind = torch.cat(parts), torch.cat(kinds)
    center, scale = x.mean(0), x.std(0)
    z = ((x - center) / scale).float()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = make_classifier(len(names))
        optimiser = torch.optim.AdamW(classifier.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, STEPS)
        for _ in range(STEPS):
            rows = torch.randint(len(z), (BATCH,))
            loss = cross_entropy(classifier(z[rows]), kind[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    total = sum(stars.values())
    share = torch.tensor([stars.get(name, 0) / total for name in names], dtype=torch.float64)
    return Populations(tuple(names), share, center, scale, classifier.eval(), model_sha256)
