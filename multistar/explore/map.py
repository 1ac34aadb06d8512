"""Up to millions of stars -> an image of the mean of a number, or of how many there are."""

from dataclasses import dataclass

import datashader
import numpy as np
import pandas as pd
from scipy.ndimage import convolve, gaussian_filter

from multistar.explore.data import Places

FEW, MANY = 2_000, 100_000  # stars in view; between them dots shrink from LARGEST to a pixel
LARGEST = 3  # pixels, radius
SMOOTH = 4  # radii of dots over which densities are averaged, where there are dots


@dataclass(frozen=True)
class View:
    """A rectangle of the map, in its coordinates, and its size in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int


def whole(places: Places, width: int, height: int, margin: float = 0.04) -> View:
    """All stars, both axes with the same scale."""
    middle, half = [], []
    for values in (places.x, places.y):
        low, high = float(values.min()), float(values.max())
        middle.append((low + high) / 2)
        half.append(max(high - low, 1e-6) / 2 * (1 + 2 * margin))
    scale = max(half[0] / width, half[1] / height)
    x, y = ((m - scale * n, m + scale * n) for m, n in zip(middle, (width, height), strict=True))
    return View(x, y, width, height)


def around(x: np.ndarray, y: np.ndarray, view: View, least: float) -> View:
    """The smallest view with the aspect of `view` that holds these points, at least `least` of a unit wide."""
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    middle = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    half = max(np.ptp(x) * 0.6, np.ptp(y) * 0.6 * view.width / view.height, least / 2)
    other = half * view.height / view.width
    return View(
        (middle[0] - half, middle[0] + half),
        (middle[1] - other, middle[1] + other),
        view.width,
        view.height,
    )


def zoomed(view: View, factor: float) -> View:
    """The same middle, `factor` times as much in each direction."""
    x, y = (
        ((1 + factor) * a / 2 + (1 - factor) * b / 2, (1 - factor) * a / 2 + (1 + factor) * b / 2)
        for a, b in (view.x, view.y)
    )
    return View(x, y, view.width, view.height)


def image(places: Places, values: np.ndarray | None, view: View) -> np.ndarray:
    """(height, width) float32, lowest y first: the mean of `values` (m,) by pixel, NaN where there is no star.

    Without values, the number of stars, smoothed where dots are larger than a pixel. Stars whose value is NaN are as
    if absent. Dots are larger where few stars are in view; where dots overlap, their mean is taken.
    """
    frame = pd.DataFrame({"x": places.x, "y": places.y}, copy=False)
    canvas = datashader.Canvas(view.width, view.height, view.x, view.y)
    if values is None:
        count = canvas.points(frame, "x", "y", datashader.count()).to_numpy().astype(np.float32)
        total = None
    else:
        frame["value"] = values
        wanted = datashader.summary(n=datashader.count("value"), total=datashader.sum("value"))
        both = canvas.points(frame, "x", "y", wanted)
        count, total = (
            both["n"].to_numpy().astype(np.float32),
            np.nan_to_num(both["total"].to_numpy()),
        )
    covered = count
    if radius := dot_radius(int(count.sum())):
        disc = _disc(radius)
        covered = convolve(count, disc, mode="constant")
        if total is None:
            count = gaussian_filter(count, SMOOTH * radius) * disc.sum()
        else:
            total = convolve(total, disc, mode="constant")
    out = count if total is None else total / np.maximum(covered, 1)
    return np.where(covered > 0.5, out, np.nan).astype(np.float32)


def dot_radius(stars: int) -> int:
    """Pixels around a star that are painted: fewer stars, larger dots."""
    share = np.log(MANY / max(stars, 1)) / np.log(MANY / FEW)
    return int(np.clip(np.round(LARGEST * share), 0, LARGEST))


def _disc(radius: int) -> np.ndarray:
    axis = np.arange(-radius, radius + 1)
    return (axis[:, None] ** 2 + axis**2 <= (radius + 0.5) ** 2).astype(np.float32)
