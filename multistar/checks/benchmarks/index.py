"""Kinds of index side by side: time to build, memory, disk, recall@10, speed."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from multistar.index.embeddings import Embeddings, embedding_sources
from multistar.index.source import union
from multistar.index.star_index import StarIndex

K, QUERIES, SINGLE = 10, 1000, 200
# Of the synthetic vectors: dimensions of the manifold, clusters on it, bends of it, noise.
LATENT, CLUSTERS, BENDS, NOISE = 10, 300, 96, 2e-3
CLUSTER_SIZE = 0.4
CHUNK = 100_000


def make_vectors(n: int, dimension: int, seed: int = 0) -> Embeddings:
    """Make unit vectors (n, dimension): noisy clusters on a curved manifold of few dimensions."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLUSTERS, LATENT)).astype(np.float32)
    inner = rng.normal(size=(LATENT, BENDS)).astype(np.float32) / np.sqrt(LATENT)
    outer = rng.normal(size=(BENDS, dimension)).astype(np.float32) / np.sqrt(BENDS)
    vectors = np.empty((n, dimension), np.float32)
    for start in range(0, n, CHUNK):
        part = vectors[start : start + CHUNK]
        point = centres[rng.integers(CLUSTERS, size=len(part))]
        point = point + CLUSTER_SIZE * rng.standard_normal(point.shape, np.float32)
        noise = NOISE * rng.standard_normal(part.shape, np.float32)
        part[:] = np.tanh(point @ inner) @ outer + noise
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return Embeddings(np.arange(n, dtype=np.int64), vectors, np.ones(n, bool), "synthetic")


def read_vectors(path: str) -> Embeddings:
    """Read all vectors of what `multistar embed` wrote into memory."""
    source = union(embedding_sources(path))
    vectors = np.concatenate(list(source.chunks()))
    return Embeddings(source.source_id, vectors, np.ones(len(source), bool), source.model_sha256)


def benchmark_kinds(stars: Embeddings, kinds: Sequence[str], folder: Path) -> list[dict]:
    """Measure the exact index, then the other kinds against it.

    Parameters
    ----------
    stars
        Vectors of the index, some of which are the queries.
    kinds
        Keys of multistar.index.kinds.KINDS; "exact" is always measured, first.
    folder
        Where the indices are written.
    """
    n = len(stars.vector)
    queries = np.linspace(0, n - 1, min(QUERIES, n)).astype(int)
    results, truth = [], None
    for kind in ("exact", *(kind for kind in kinds if kind != "exact")):
        result, found = measure_kind(kind, stars, queries, truth, folder)
        if truth is None:
            truth = found
        results.append(result)
    return results


def measure_kind(
    kind: str, stars: Embeddings, queries: np.ndarray, truth: np.ndarray | None, folder: Path
) -> tuple[dict, np.ndarray]:
    """Build, search and save an index of one kind.

    Parameters
    ----------
    queries
        (q,) rows of the stars that are looked for: by their vectors ("recall") and by their ids,
        when the vector is the one that the index holds, rounded or not.
    truth
        (q, K) ids of the true neighbours; None for the exact index, which finds them.

    Returns
    -------
    result : dict
        CPU seconds to build, bytes per star in memory, opened memory-mapped and on disk, recall,
        and queries per second, one by one and in a batch.
    found : ndarray
        (q, K) ids of the neighbours that were found by vector.
    """
    index, build = measure_seconds(StarIndex.build, stars, kind)
    ids, vectors = stars.source_id[queries], stars.vector[queries]
    by_vector, batch = measure_seconds(index.neighbours_of, vectors, ids, K)
    by_id = index.neighbours(ids, K)
    _, single = measure_seconds(_search_one_by_one, index, vectors[:SINGLE], ids[:SINGLE])
    index.save(folder / kind)
    n, files = len(index), list((folder / kind).iterdir())
    found = by_vector["neighbour_id"].to_numpy().reshape(len(ids), -1)
    true = found if truth is None else truth
    result = {
        "kind": kind,
        "build_s": build,
        "memory_per_star": measure_memory(folder / kind, mapped=False) / n,
        "mapped_per_star": measure_memory(folder / kind, mapped=True) / n,
        "disk_per_star": sum(file.stat().st_size for file in files) / n,
        "recall": measure_recall(by_vector, true, ids),
        "recall_by_id": measure_recall(by_id, true, ids),
        "recall_measured_at_build": index.recall,
        "single_per_s": len(ids[:SINGLE]) / single,
        "batch_per_s": len(ids) / batch,
        "parameters": index.parameters,
    }
    return result, found


def measure_seconds(task: Callable, *arguments: Any) -> tuple[Any, float]:
    """Run a task and return its result with the CPU seconds that it took."""
    begun = time.process_time()
    result = task(*arguments)
    return result, time.process_time() - begun


def measure_recall(found: pa.Table, truth: np.ndarray, ids: np.ndarray) -> float:
    """Return the share of the true neighbours (q, K) of `ids` that a result table holds."""
    place = {int(star): row for row, star in enumerate(ids)}
    rows = [place[int(star)] for star in found["query_id"].to_numpy()]
    neighbour = found["neighbour_id"].to_numpy()
    hits = (truth[rows] == neighbour[:, None]).any(1)
    return float(hits.sum() / truth.size)


def measure_memory(folder: Path, mapped: bool) -> int:
    """Return the bytes that loading an index takes, measured in a process of its own (Linux)."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_load_and_measure, args=(str(folder), mapped, answer))
    process.start()
    size = answer.get()
    process.join()
    return size


def _load_and_measure(folder: str, mapped: bool, answer) -> None:
    before = _anonymous_memory()
    index = StarIndex.load(folder, mapped=mapped, verify=False)
    answer.put(_anonymous_memory() - before)
    del index  # it must live until here


def _anonymous_memory() -> int:
    status = Path("/proc/self/status").read_text()
    kilobytes = status.split("RssAnon:")[1].split()[0]
    return int(kilobytes) * 1024


def _search_one_by_one(index: StarIndex, vectors: np.ndarray, ids: np.ndarray) -> None:
    for row in range(len(ids)):
        index.neighbours_of(vectors[row : row + 1], ids[row : row + 1], K)
