"""Fine-tuning on the real sky beside XGBoost and a small network: same rows, same inputs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from multistar.checks.metrics import scatter
from multistar.checks.real.learners import predict_with_network, predict_with_trees, read_inputs
from multistar.checks.real.tables import LAMOST_COLUMNS, read_lamost, read_seismic_giants
from multistar.checks.results import keep_result
from multistar.finetune.adapter import Adapter
from multistar.finetune.finetune import AUTO, AUTO_MODES, choose, finetune
from multistar.finetune.predict import decode_stars, predict_columns
from multistar.finetune.tune import FinetuneConfig
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars

LAMOST_LABELS = ("teff", "logg", "m_h")
KEPLER_LABELS = ("mass", "age")
SPECTROSCOPIC = ("teff", "logg", "m_h", "alpha_m")
TEST_STARS, FOLDS = 5000, 5
OURS, TREES, NETWORK, LABELS_ONLY = "multistar", "XGBoost", "network", "labels only"


@dataclass(frozen=True)
class Task:
    """Which labels of a table are learnt, from what, and how."""

    labels: Sequence[str]
    inputs: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    mode: str = "lora"
    seed: int = 0
    # Labels from which alone XGBoost predicts, too.
    labels_only: Sequence[str] = ()


def compare_learners(
    base: Model, frame: pd.DataFrame, train: np.ndarray, test: np.ndarray, task: Task
) -> dict:
    """Learn labels from some rows of a table and predict others.

    Parameters
    ----------
    train, test
        Numbers of the rows.

    Returns
    -------
    dict
        Label -> who -> scatter against the catalogue; for us also the coverage of the 68 %
        intervals. Mode "auto" is shown beside both modes that it chooses from. Beside them seconds,
        bytes and the mode of the adapter.
    """
    begun = time.perf_counter()
    adapters = {}
    for mode in AUTO_MODES if task.mode == AUTO else (task.mode,):
        adapters[mode] = finetune(
            base,
            frame.iloc[train],
            list(task.labels),
            mode,
            inputs=task.inputs,
            columns=task.columns,
            config=FinetuneConfig(seed=task.seed),
            quiet=False,
        )
    seconds = time.perf_counter() - begun
    chosen = choose(adapters)
    adapter = adapters[chosen]
    declared = adapter.request.quantities
    learnt = read_stars(frame.iloc[train], task.columns, declared=declared)
    asked = read_stars(frame.iloc[test], task.columns, declared=declared)
    guesses = _predict_all(adapter, learnt, asked, task)
    ours = {OURS: adapter} | (adapters if len(adapters) > 1 else {})
    for who, own in ours.items():
        columns, _ = predict_columns(own, asked)
        guesses[who] = {name: columns[name][0] for name in task.labels}
    out: dict = {}
    for name in task.labels:
        truth = asked.scalars[name].value
        out[name] = {who: scatter(guess[name], truth) for who, guess in guesses.items()}
    for who, own in ours.items():
        for name, share in zip(task.labels, measure_coverage(own, asked), strict=True):
            out[name][who]["coverage"] = share
    return out | {"seconds": seconds, "bytes": adapter.bytes, "mode": chosen}


def _predict_all(adapter: Adapter, learnt: Stars, asked: Stars, task: Task) -> dict:
    """Who -> label -> (n_test,) predictions in physical units."""
    guesses = {}
    given = adapter.request.given
    x, x_test = (read_inputs(adapter.model, stars, given) for stars in (learnt, asked))
    labels = [to_even_scale(QUANTITIES[name], learnt.scalars[name].value) for name in task.labels]
    y = np.stack(labels, -1)
    trees = [predict_with_trees(x, label, x_test) for label in labels]
    guesses[TREES] = _invert(task.labels, np.stack(trees, -1))
    guesses[NETWORK] = _invert(task.labels, predict_with_network(x, y, x_test, task.seed))
    if task.labels_only:
        z, z_test = (_stack_labels(stars, task.labels_only) for stars in (learnt, asked))
        alone = [predict_with_trees(z, label, z_test) for label in labels]
        guesses[LABELS_ONLY] = _invert(task.labels, np.stack(alone, -1))
    return guesses


def _invert(names: Sequence[str], z: np.ndarray) -> dict[str, np.ndarray]:
    return {name: from_even_scale(QUANTITIES[name], z[:, i]) for i, name in enumerate(names)}


def _stack_labels(stars: Stars, names: Sequence[str]) -> np.ndarray:
    return np.stack([stars.scalars[name].value for name in names], -1)


def measure_coverage(adapter: Adapter, stars: Stars) -> list[float]:
    """Measure the share of labels in the central 68 % of the predictions, by target.

    The predictions are widened by the labels' own errors.
    """
    measured = adapter.model.standardiser(stars)
    value = measured.value[:, adapter.slots]
    error = torch.nan_to_num(measured.sigma[:, adapter.slots])
    known = measured.observed[:, adapter.slots]
    low, high = adapter.levels(torch.tensor([0.16, 0.84])).unbind(-1)
    parts = []
    for batch in decode_stars(adapter, stars):
        parts.append(batch.mixture.cdf(value[batch.rows], error[batch.rows]))
    probability = torch.cat(parts)
    inside = (probability > low) & (probability < high)
    return [float(inside[seen, i].double().mean()) for i, seen in enumerate(known.T)]


def evaluate_lamost(
    base: Model, data: Path, number: int, seeds: Sequence[int], mode: str, cache: Path | None
) -> list[dict]:
    """Learn Teff, log g and [M/H] of LAMOST from `number` stars, and predict 5,000 others.

    Returns
    -------
    list of dict
        What compare_learners gives, for each draw of the stars that are learnt from.
    """
    frame = read_lamost(data)
    order = np.random.default_rng(0).permutation(len(frame))
    test, pool = order[:TEST_STARS], order[TEST_STARS:]
    results = []
    for seed in seeds:
        train = np.random.default_rng(seed).permutation(pool)[:number]
        task = Task(LAMOST_LABELS, columns=LAMOST_COLUMNS, mode=mode, seed=seed)
        path = cache / f"lamost-{mode}-{number}-{seed}.json" if cache else None
        results.append(_compare_kept(path, base, frame, train, test, task))
    return results


def evaluate_kepler(
    base: Model, data: Path, with_c_n: bool, folds: Sequence[int], mode: str, cache: Path | None
) -> list[dict]:
    """Learn seismic mass and age of Kepler giants from labels and magnitudes, in folds.

    Parameters
    ----------
    with_c_n
        Whether [C/N] is an input, too.
    folds
        Which of the five are predicted.
    """
    frame = read_seismic_giants(data)
    fold = np.random.default_rng(0).permutation(len(frame)) % FOLDS
    inputs = (*SPECTROSCOPIC, "c_n") if with_c_n else SPECTROSCOPIC
    word = "cn" if with_c_n else "no-cn"
    task = Task(KEPLER_LABELS, inputs, mode=mode, labels_only=SPECTROSCOPIC[:3])
    results = []
    for k in folds:
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        path = cache / f"kepler-{mode}-{word}-{k}.json" if cache else None
        results.append(_compare_kept(path, base, frame, train, test, task))
    return results


def _compare_kept(path: Path | None, base: Model, frame, train, test, task: Task) -> dict:
    return keep_result(path, lambda: compare_learners(base, frame, train, test, task))


def average_results(results: Sequence[dict]) -> list[dict]:
    """Average over draws or folds: one row per label and learner, with ratios to XGBoost."""
    rows = []
    labels = [name for name, value in results[0].items() if isinstance(value, dict)]
    for label in labels:
        trees = _average([result[label][TREES] for result in results])
        for who in results[0][label]:
            mean = _average([result[label][who] for result in results])
            row = {"label": label, "who": who, "mad_std": mean["mad_std"]}
            row["mad_std_ratio"] = mean["mad_std"] / trees["mad_std"]
            row["std"], row["std_ratio"] = mean["std"], mean["std"] / trees["std"]
            row["bias"], row["coverage"] = mean["bias"], mean.get("coverage")
            rows.append(row)
    return rows


def _average(cells: Sequence[dict]) -> dict[str, float]:
    return {key: float(np.mean([cell[key] for cell in cells])) for key in cells[0]}
