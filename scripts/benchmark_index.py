"""Kinds of index side by side, one thread -> docs/results/index.json.

    python scripts/benchmark_index.py [--stars 50000] [--dimension 256] [--kinds exact ivf-sq8]
    python scripts/benchmark_index.py --embeddings vectors.parquet

Without --embeddings the vectors are synthetic; see multistar/checks/benchmarks/index.py.
"""

import argparse
import tempfile
from pathlib import Path

import faiss

from multistar.checks.benchmarks.index import benchmark_kinds, make_vectors, read_vectors
from multistar.checks.results import print_rows, write_result
from multistar.index.kinds import KINDS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--embeddings", help="Parquet file of multistar embed")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    stars = (
        read_vectors(args.embeddings)
        if args.embeddings
        else make_vectors(args.stars, args.dimension)
    )
    n, dimension = stars.vector.shape
    with tempfile.TemporaryDirectory() as folder:
        kinds = benchmark_kinds(stars, args.kinds, Path(folder))
    print_rows(f"{n:,} stars of {dimension} dimensions", kinds)
    weights = stars.model_sha256 if args.embeddings else None
    write_result("index", {"dimension": dimension, "kinds": kinds}, n, weights)


if __name__ == "__main__":
    main()
