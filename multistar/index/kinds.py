"""The kinds of FAISS index: which one for how many stars, how each is built, what its search is
told.

All of them compare squared Euclidean distances of unit vectors, which are 2 (1 - cosine). Rounded
vectors keep more neighbours that way than with inner products, where the rounding error is not
small beside the distance of neighbours; and PCA, which shifts the origin, keeps distances but not
cosines.
"""

# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
# (the stubs of faiss do not know all that it has)

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

EXACT_UP_TO, SQ8_UP_TO = 100_000, 10_000_000  # stars
GRAPH_LINKS = 32
GPU_MOST = 2048  # neighbours that faiss finds on a GPU
STARS_PER_LIST = 64  # to train on
MOST_LISTS = 32_768
SAMPLE = 16_384  # stars; the ranges of rounded numbers and the PCA want so many
RANGE_MARGIN = 0.1  # of the range of the sample, so that odd stars can be rounded too
LOST_VARIANCE = 1e-5  # share that PCA may drop
RECALL_STARS = 256  # stars that the recall is measured with


@dataclass(frozen=True)
class Kind:
    """A kind of index.

    Attributes
    ----------
    factory : str
        FAISS's factory string.
    effort : dict
        The numbers that trade speed for recall, as they are before tuning.
    text : str
        What it is, for people.
    """

    factory: str
    effort: dict[str, int]
    text: str


KINDS = {
    "exact": Kind("Flat", {}, "every star is compared"),
    "hnsw": Kind(
        f"HNSW{GRAPH_LINKS},Flat", {"efSearch": 64}, "a graph: fast, large, slow to build"
    ),
    "ivf-sq8": Kind("IVF{lists},SQ8", {"nprobe": 16}, "lists of vectors of 8 bits per number"),
    "pca-sq8": Kind(
        "PCAR{components},IVF{lists},SQ8",
        {"nprobe": 16},
        "the same of fewer numbers: small and fast",
    ),
    "rabitq": Kind(
        "IVF{lists},RaBitQ,Refine(SQfp16)",
        {"nprobe": 16, "refine": 4},
        "lists of vectors of 1 bit per number, the best compared again with 16 bits, which can "
        "stay on disk",
    ),
}


def choose(n: int, kind: str | None = None) -> tuple[str, str]:
    """A kind for n stars and the reason; `kind` overrides.

    ValueError for an unknown kind or too old a faiss.
    """
    if kind is not None:
        if kind not in KINDS:
            raise ValueError(f"unknown kind of index {kind!r}; known are {list(KINDS)}")
        if kind == "rabitq" and not hasattr(faiss, "IndexIVFRaBitQ"):
            raise ValueError(
                f"kind 'rabitq' needs faiss 1.12 or newer, this is {faiss.__version__}"
            )
        return kind, "as asked for"
    if n <= EXACT_UP_TO:
        return (
            "exact",
            f"{n:,} stars are few enough to compare with all of them (up to {EXACT_UP_TO:,})",
        )
    if n <= SQ8_UP_TO:
        return (
            "ivf-sq8",
            f"{n:,} stars: a part of them is compared, at 8 bits per number (up to {SQ8_UP_TO:,})",
        )
    return "pca-sq8", f"{n:,} stars: principal components at 8 bits each keep them in memory"


def sample_size(n: int, kind: str) -> int:
    """How many of n stars an index is trained or tuned with."""
    if kind == "exact":
        return 0
    return min(n, max(SAMPLE, STARS_PER_LIST * _lists(n)) if _trained(kind) else RECALL_STARS)


def trained(kind: str, sample: np.ndarray, n: int) -> tuple[faiss.Index, dict[str, int]]:
    """An empty index for n stars like those of `sample` (m, dimension), and its parameters.

    Raises ValueError if they are too few for principal components.
    """
    dimension = sample.shape[1]
    if kind == "pca-sq8" and n < dimension:
        raise ValueError(
            f"kind 'pca-sq8' needs at least {dimension} stars, one for each dimension; there "
            f"are {n}"
        )
    shape = {"lists": _lists(n), "components": _components(sample)} if _trained(kind) else {}
    index = faiss.index_factory(dimension, KINDS[kind].factory.format(**shape), faiss.METRIC_L2)
    if _trained(kind):
        lists = faiss.downcast_index(faiss.extract_index_ivf(index))
        lists.cp.niter, lists.cp.min_points_per_centroid = 10, 1
        lists.set_direct_map_type(
            faiss.DirectMap.Array
        )  # where each star is, so that its vector can be read
        if kind.endswith("sq8"):
            lists.sq.rangestat_arg = RANGE_MARGIN
        helper = faiss.index_cpu_to_all_gpus(faiss.IndexFlatL2(lists.d)) if gpus() else None
        lists.clustering_index = helper
        index.train(sample)
        lists.clustering_index = None
    used = {name: value for name, value in shape.items() if f"{{{name}}}" in KINDS[kind].factory}
    return index, used | KINDS[kind].effort


def search_parameters(
    kind: str,
    parameters: dict[str, int],
    k: int,
    selector: faiss.IDSelector | None = None,
    everywhere: int = 0,
) -> faiss.SearchParameters | None:
    """What the search for k neighbours is told.

    `everywhere`, if not 0: the number of stars, all of them looked at.
    """
    chosen: dict[str, Any] = {} if selector is None else {"sel": selector}
    if kind == "exact":
        return faiss.SearchParameters(**chosen) if chosen else None
    if kind == "hnsw":
        effort = max(parameters["efSearch"], 2 * k, everywhere)
        return faiss.SearchParametersHNSW(efSearch=effort, **chosen)
    chosen["nprobe"] = (
        parameters["lists"] if everywhere else min(parameters["nprobe"], parameters["lists"])
    )
    if kind == "rabitq":
        lists = faiss.IVFRaBitQSearchParameters(**chosen)
        return faiss.IndexRefineSearchParameters(
            k_factor=parameters["refine"], base_index_params=lists
        )
    lists = faiss.SearchParametersIVF(**chosen)
    return faiss.SearchParametersPreTransform(index_params=lists) if kind == "pca-sq8" else lists


def harder(kind: str, parameters: dict[str, int]) -> dict[str, int] | None:
    """The parameters with twice the effort, or None where there is no more to do."""
    effort = KINDS[kind].effort
    if not effort or parameters.get("nprobe", 0) >= parameters.get("lists", 1 << 16):
        return None
    return parameters | {name: 2 * parameters[name] for name in effort}


def gpus() -> int:
    """How many GPUs faiss can use: 0 with faiss-cpu."""
    return faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0


def on_gpu(kind: str, index: faiss.Index) -> faiss.Index | None:
    """A copy on the GPU of the kinds that it searches best, or None where there is no GPU."""
    if not gpus() or kind not in ("exact", "ivf-sq8"):
        return None
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)


def _trained(kind: str) -> bool:
    return "{lists}" in KINDS[kind].factory


def _lists(n: int) -> int:
    """A power of two near 2 sqrt(n), so that probing a few lists costs as much as finding them."""
    most = min(2 * n**0.5, n / 39, MOST_LISTS)
    return 2 ** max(0, round(np.log2(most)))


def _components(sample: np.ndarray) -> int:
    """How many principal components leave less than LOST_VARIANCE, in eights (as the processor takes
    them).
    """
    centred = sample - sample.mean(0)
    variance = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    lost = 1 - np.cumsum(variance) / max(variance.sum(), np.finfo(np.float32).tiny)
    needed = 1 + int(np.argmax(lost < LOST_VARIANCE))
    return min(8 * -(-needed // 8), sample.shape[1])
