"""One quantity erased from embeddings: vectors that tell what a star is, and not, say, how much dust is before it.

Closed form. Principal components of the embedding are lifted to all their products, because the model curves with the
quantity: no linear projection of the embedding itself removes it (docs/guides/similar-stars.md). At fixed intrinsic
labels, that is after a regression on them, the scatter S of the lifted components has a part D that polynomials of
the quantity (times labels) tell. Kept are the linear discriminants of the intrinsic labels against S + PENALTY D:
directions with much signal in which neither noise nor the quantity moves a star. Erasing D exactly (conditional LEACE,
Belrose et al. 2023, arXiv 2306.03819, is PENALTY = infinity) costs more than it gains, for what is left of the
quantity is not linear.

Shape letters: n star, e embedding, q principal component, d lifted component, k direction kept.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from multistar.io.files import atomic_write
from multistar.io.folders import require_projection
from multistar.modalities.scalars.transforms import to_even_scale
from multistar.quantities import LABELS, QUANTITIES

INTRINSIC = ("teff", "logg", "m_h", "alpha_m", "mass", "age")
SYNONYMS = {"dust": "ebv", "reddening": "ebv"}
FEWEST = 1000  # stars
SHARE, MOST = (
    1e-4,
    32,
)  # principal components of at least this share of the variance, and how many at most
POWERS = 4  # of the quantity
PENALTY = 3.0
RIDGE = 1e-5  # of the variance of a lifted component
HALF_WEIGHT = 60.0  # ratio of signal to scatter at which a direction counts half
AT_ONCE = 8192  # stars, each of which takes a few kB
FORMAT, READABLE = 2, (1, 2)  # 1 had no hash of its numbers
ARRAYS = ("mean", "axes", "shift", "directions")


@dataclass(frozen=True)
class NuisanceProjection:
    """mean (e,), axes (e, q): principal components of unit variance; shift (d,), directions (d, k) of their products.

    intrinsic     labels at which the quantity was erased
    model_sha256  of the only model whose embeddings it takes
    """

    quantity: str
    intrinsic: tuple[str, ...]
    model_sha256: str
    mean: np.ndarray
    axes: np.ndarray
    shift: np.ndarray
    directions: np.ndarray

    @property
    def dimension(self) -> int:
        """Of the vectors that it gives."""
        return self.directions.shape[1] + 1

    @property
    def name(self) -> str:
        """The quantity and a hash of the arrays: vectors of the same name, and model, can be compared."""
        digest = hashlib.sha256(
            b"".join(np.ascontiguousarray(getattr(self, a)).tobytes() for a in ARRAYS)
        )
        return f"{self.quantity}:{digest.hexdigest()[:12]}"

    def __call__(self, embedding: np.ndarray) -> np.ndarray:
        """Take the quantity out of embeddings.

        What is left is placed on a sphere by inverse stereographic projection, which keeps the
        order of near neighbours.

        Parameters
        ----------
        embedding : (n, e) ndarray

        Returns
        -------
        (n, k + 1) float32 ndarray
            Vectors of unit norm.
        """
        flat = np.empty((len(embedding), self.dimension - 1))
        for start in range(0, len(embedding), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            flat[rows] = self._flat(embedding[rows])
        square = np.square(flat).sum(1, keepdims=True)
        on_sphere = np.hstack([2 * flat, square - 1]) / (1 + square)
        return on_sphere.astype(np.float32)

    def _flat(self, embedding: np.ndarray) -> np.ndarray:
        return (_products((embedding - self.mean) @ self.axes) - self.shift) @ self.directions


def quantity_of(name: str) -> str:
    """ "dust" -> "ebv"; ValueError for what is no label."""
    quantity = SYNONYMS.get(name, name)
    if quantity not in LABELS:
        raise ValueError(f"cannot ignore {name!r}; known are {[*SYNONYMS, *LABELS]}")
    return quantity


def fit_projection(
    embedding: np.ndarray, labels: Mapping[str, np.ndarray], quantity: str, model_sha256: str = ""
) -> NuisanceProjection:
    """From embeddings (n, e) and true labels (n,) of the same stars: `quantity`, and those of INTRINSIC that are there.

    Raises ValueError if fewer than FEWEST stars have all of these labels, or no label but `quantity` is given.
    """
    intrinsic = tuple(name for name in INTRINSIC if name in labels and name != quantity)
    if not intrinsic or quantity not in labels:
        raise ValueError(
            f"erasing {quantity} needs it and some of {INTRINSIC} for each star; got {sorted(labels)}"
        )
    x, g = (_standard(labels, names) for names in (intrinsic, (quantity,)))
    known = np.isfinite(x).all(1) & np.isfinite(g[:, 0]) & np.isfinite(embedding).all(1)
    if known.sum() < FEWEST:
        raise ValueError(
            f"erasing {quantity} needs {FEWEST} stars with {(*intrinsic, quantity)}, got {known.sum()}"
        )
    x, g, embedding = x[known], g[known], np.asarray(embedding[known], np.float64)
    mean = embedding.mean(0)
    axes = _principal_axes(embedding - mean)
    lifted = _products((embedding - mean) @ axes)
    shift, scale = lifted.mean(0), lifted.std(0)
    z = (lifted - shift) / scale
    one, quadratic = np.ones((len(x), 1)), np.hstack([np.ones((len(x), 1)), _products(x)])
    rest = _residual(z, np.hstack([one, x]))
    signal = np.cov((z - rest).T)
    concepts = _residual(
        np.hstack([g**power * quadratic for power in range(1, POWERS + 1)]), quadratic
    )
    told = concepts @ np.linalg.lstsq(concepts, _residual(z, quadratic), rcond=1e-8)[0]
    scatter = np.cov(rest.T) + PENALTY * np.cov(told.T) + RIDGE * np.eye(z.shape[1])
    ratio, directions = scipy.linalg.eigh(
        signal, scatter, subset_by_index=(z.shape[1] - x.shape[1], z.shape[1] - 1)
    )
    directions = directions * (ratio / (ratio + HALF_WEIGHT)) / scale[:, None]
    flat = (lifted - shift) @ directions
    directions /= np.sqrt(
        np.mean(np.sum(flat**2, axis=1))
    )  # so that stars cover about half of the sphere
    return NuisanceProjection(
        quantity, intrinsic, model_sha256, mean, axes, shift, np.ascontiguousarray(directions)
    )


def _standard(labels: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """(n, len(names)) labels on the scales of the model, shifted and scaled to 0 and 1."""
    x = np.stack(
        [to_even_scale(QUANTITIES[name], np.asarray(labels[name], np.float64)) for name in names],
        axis=1,
    )
    return (x - np.nanmean(x, axis=0)) / np.maximum(np.nanstd(x, axis=0), 1e-12)


def _principal_axes(centred: np.ndarray) -> np.ndarray:
    """(e, q) that give components of unit variance."""
    variance, axes = np.linalg.eigh(np.cov(centred.T))
    kept = min(MOST, int(np.sum(variance > SHARE * variance.sum())))
    return axes[:, ::-1][:, :kept] / np.sqrt(variance[::-1][:kept])


def _products(x: np.ndarray) -> np.ndarray:
    """(n, q) -> (n, q + q (q + 1) / 2): the components and all products of two of them."""
    one, other = np.triu_indices(x.shape[1])
    return np.hstack([x, x[:, one] * x[:, other]])


def _residual(y: np.ndarray, design: np.ndarray) -> np.ndarray:
    """What of the columns of y (n, m) a linear regression on the design (n, f) leaves."""
    return y - design @ np.linalg.lstsq(design, y, rcond=1e-8)[0]


def projection_file(quantity: str) -> str:
    """Its name in a model's folder."""
    return f"erase_{quantity}.safetensors"


def save_projection(
    projection: NuisanceProjection, path: str | Path, overwrite: bool = False
) -> None:
    """One safetensors file, whose header holds the rest as JSON; atomically."""
    about = {
        "format": FORMAT,
        "name": projection.name,
        "quantity": projection.quantity,
        "intrinsic": projection.intrinsic,
        "model": projection.model_sha256,
    }
    with atomic_write(path, overwrite) as temporary:
        arrays = {name: np.ascontiguousarray(getattr(projection, name)) for name in ARRAYS}
        save_file(arrays, temporary, metadata={"eraser": json.dumps(about)})
        temporary.chmod(0o644)  # safetensors writes for the owner alone


def load_projection(path: str | Path, model_sha256: str) -> NuisanceProjection:
    """Read what `save_projection` wrote.

    Raises FileNotFoundError, and ValueError if it is none, or one for another model than that of the hash.
    """
    require_projection(path)
    try:
        with safe_open(path, "np") as file:
            about = json.loads((file.metadata() or {})["eraser"])
            arrays = {name: file.get_tensor(name) for name in ARRAYS}
        if about["format"] not in READABLE:
            raise KeyError(f"format {about['format']!r}, expected one of {READABLE}")
        projection = NuisanceProjection(
            about["quantity"], tuple(about["intrinsic"]), about["model"], **arrays
        )
        if about.get("name", projection.name) != projection.name:  # which format 1 did not write
            raise KeyError("its numbers are not those that were written")
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: not readable as a nuisance projection ({str(error)[:100]}); make it again"
        ) from error
    if projection.model_sha256 != model_sha256:
        raise ValueError(
            f"{path}: made for the model {projection.model_sha256[:12]}, this one is "
            f"{model_sha256[:12]}; delete it and make it again: multistar erase STARS --model MODEL --out FILE"
        )
    return projection
