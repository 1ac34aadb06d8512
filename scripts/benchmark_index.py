"""Kinds of index side by side: time to build, memory, disk, recall@10 against exact search, speed. One thread.

    python scripts/benchmark_index.py --stars 50000 [--dimension 256] [--kinds exact ivf-sq8] [--out report.json]
    python scripts/benchmark_index.py --embeddings vectors.parquet

Times are CPU seconds. Memory is what loading the index takes from the machine in a process of its own, and what is left
of that if it is opened memory-mapped. Queries are stars of the index, by their vectors ("recall") and by id, when
the vector is the one that the index holds, rounded or not. Without --embeddings the vectors are synthetic: clusters on
a curved manifold of few dimensions, with a little noise.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
from rich.console import Console
from rich.table import Table

from multistar.index.embeddings import Embeddings, embedding_sources
from multistar.index.kinds import KINDS
from multistar.index.source import union
from multistar.index.star_index import StarIndex
from multistar.io.files import atomic_write

K, QUERIES, SINGLE = 10, 1000, 200
LATENT, CLUSTERS, BENDS, NOISE = 10, 300, 96, 2e-3


def synthetic(n: int, dimension: int, seed: int = 0) -> Embeddings:
    """Unit vectors (n, dimension): a smooth map of clustered points of LATENT dimensions, with noise."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLUSTERS, LATENT)).astype(np.float32)
    inner = rng.normal(size=(LATENT, BENDS)).astype(np.float32) / np.sqrt(LATENT)
    outer = rng.normal(size=(BENDS, dimension)).astype(np.float32) / np.sqrt(BENDS)
    vectors = np.empty((n, dimension), np.float32)
    for start in range(0, n, 100_000):
        part = vectors[start : start + 100_000]
        point = centres[rng.integers(CLUSTERS, size=len(part))]
        point = point + 0.4 * rng.standard_normal(point.shape, np.float32)
        part[:] = np.tanh(point @ inner) @ outer + NOISE * rng.standard_normal(
            part.shape, np.float32
        )
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return Embeddings(np.arange(n, dtype=np.int64), vectors, np.ones(n, bool), "synthetic")


def read(path: str) -> Embeddings:
    source = union(embedding_sources(path))
    vectors = np.concatenate(list(source.chunks()))
    return Embeddings(source.source_id, vectors, np.ones(len(source), bool), source.model_sha256)


def resident(folder: str, mapped: bool, answer) -> None:
    """In a process of its own: bytes that loading an index takes."""

    def anonymous() -> int:
        return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) * 1024

    before = anonymous()
    index = StarIndex.load(folder, mapped=mapped, verify=False)
    answer.put((anonymous() - before, len(index)))  # the index lives until it was measured


def bytes_in_memory(folder: Path, mapped: bool) -> int:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=resident, args=(str(folder), mapped, answer))
    process.start()
    size, _ = answer.get()
    process.join()
    return size


def timed(task, *args):
    begun = time.process_time()
    result = task(*args)
    return result, time.process_time() - begun


def hits(found, truth: np.ndarray, ids: np.ndarray) -> float:
    """Share of the true neighbours (queries, K) that are in a result table."""
    query, neighbour = (found[name].to_numpy() for name in ("query_id", "neighbour_id"))
    place = {int(star): row for row, star in enumerate(ids)}
    rows = np.array([place[int(star)] for star in query])
    return float((truth[rows] == neighbour[:, None]).any(1).sum() / truth.size)


def measure(
    kind: str, stars: Embeddings, queries: np.ndarray, truth: np.ndarray | None, folder: Path
) -> dict:
    index, build = timed(StarIndex.build, stars, kind)
    ids, vectors = stars.source_id[queries], stars.vector[queries]
    found, batch = timed(index.neighbours_of, vectors, ids, K)
    by_id = index.neighbours(ids, K)

    def one_by_one() -> None:
        for row in range(SINGLE):
            index.neighbours_of(vectors[row : row + 1], ids[row : row + 1], K)

    _, single = timed(one_by_one)
    index.save(folder / kind)
    n = len(index)
    true = found["neighbour_id"].to_numpy().reshape(len(ids), -1) if truth is None else truth
    return {
        "kind": kind,
        "parameters": index.parameters,
        "build_s": build,
        "memory_per_star": bytes_in_memory(folder / kind, False) / n,
        "mapped_per_star": bytes_in_memory(folder / kind, True) / n,
        "disk_per_star": sum(file.stat().st_size for file in (folder / kind).iterdir()) / n,
        "recall": hits(found, true, ids),
        "recall_by_id": hits(by_id, true, ids),
        "recall_measured_at_build": index.recall,
        "single_per_s": SINGLE / single,
        "batch_per_s": len(ids) / batch,
        "truth": true,
    }


def print_results(results: list[dict], n: int, dimension: int) -> None:
    table = Table(title=f"{n:,} stars of {dimension} dimensions, one thread")
    heads = (
        "kind", "build [s]", "memory [B/star]", "mapped [B/star]", "disk [B/star]", "recall@10", "by id",
        "queries/s single", "batched", "parameters",
    )  # fmt: skip
    for head in heads:
        table.add_column(head, justify="left" if head in ("kind", "parameters") else "right")
    for r in results:
        numbers = [f"{r[k]:.3f}" for k in ("recall", "recall_by_id")]
        sizes = [f"{r[k]:.0f}" for k in ("memory_per_star", "mapped_per_star", "disk_per_star")]
        speeds = [f"{r[k]:,.0f}" for k in ("single_per_s", "batch_per_s")]
        parameters = " ".join(f"{k}={v}" for k, v in r["parameters"].items())
        table.add_row(r["kind"], f"{r['build_s']:.1f}", *sizes, *numbers, *speeds, parameters)
    Console(width=150).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument(
        "--embeddings", help="Parquet file of multistar embed, instead of synthetic vectors"
    )
    parser.add_argument(
        "--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="exact is always done"
    )
    parser.add_argument("--out", help="JSON")
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    stars = read(args.embeddings) if args.embeddings else synthetic(args.stars, args.dimension)
    n, dimension = stars.vector.shape
    queries = np.linspace(0, n - 1, min(QUERIES, n)).astype(int)
    results, truth = [], None
    with tempfile.TemporaryDirectory() as folder:
        for kind in ["exact", *(kind for kind in args.kinds if kind != "exact")]:
            result = measure(kind, stars, queries, truth, Path(folder))
            truth = result.pop("truth")
            results.append(result)
    print_results(results, n, dimension)
    if args.out:
        with atomic_write(args.out, overwrite=True) as temporary:
            temporary.write_text(
                json.dumps({"stars": n, "dimension": dimension, "kinds": results}, indent=1)
            )


if __name__ == "__main__":
    main()
