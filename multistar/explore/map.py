"""Up to millions of stars -> an image of the mean of a number, or of how many there are."""

from dataclasses import dataclass, replace

import datashader
import numpy as np
import pandas as pd
from scipy.ndimage import convolve, gaussian_filter

from multistar.explore.data import Places

# Stars in view; between these numbers dots shrink from LARGEST to a pixel.
FEW, MANY = 2_000, 100_000
# Radius of a dot [pixels].
LARGEST = 3
# Radii of dots over which densities are averaged, where there are dots.
SMOOTH = 4
# Share of the extent of the stars that is left free on each side of the whole map.
MARGIN = 0.04


@dataclass(frozen=True)
class View:
    """A rectangle of the map.

    Attributes
    ----------
    x, y : tuple of float
        Limits, in the map's coordinates.
    width, height : int
        [pixels]
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int


def view_all(places: Places, width: int, height: int) -> View:
    """View all stars, both axes with the same scale, in so many pixels."""
    x_middle, x_half = _extent(places.x)
    y_middle, y_half = _extent(places.y)
    # of a pixel
    scale = max(x_half / width, y_half / height)
    x = x_middle - scale * width, x_middle + scale * width
    y = y_middle - scale * height, y_middle + scale * height
    return View(x, y, width, height)


def _extent(values: np.ndarray) -> tuple[float, float]:
    """Middle, and half of the width with its margins."""
    low, high = float(values.min()), float(values.max())
    half = max(high - low, 1e-6) / 2 * (1 + 2 * MARGIN)
    return (low + high) / 2, half


def view_around(x: np.ndarray, y: np.ndarray, view: View, least: float) -> View:
    """View some points as large as possible.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        The points; those with NaN are left out.
    view : View
        The new view has its aspect and size in pixels.
    least : float
        The least width of the new view, in the map's coordinates.
    """
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    x_middle = (x.min() + x.max()) / 2
    y_middle = (y.min() + y.max()) / 2
    half = max(np.ptp(x) * 0.6, np.ptp(y) * 0.6 * view.width / view.height, least / 2)
    other = half * view.height / view.width
    x_limits = x_middle - half, x_middle + half
    y_limits = y_middle - other, y_middle + other
    return View(x_limits, y_limits, view.width, view.height)


def zoom(view: View, factor: float) -> View:
    """View `factor` times as much in each direction, around the same middle."""
    return replace(view, x=_stretch(view.x, factor), y=_stretch(view.y, factor))


def _stretch(limits: tuple[float, float], factor: float) -> tuple[float, float]:
    low, high = limits
    near, far = (1 + factor) / 2, (1 - factor) / 2
    return near * low + far * high, far * low + near * high


def draw_image(places: Places, values: np.ndarray | None, view: View) -> np.ndarray:
    """Draw the stars in a view as an image.

    Parameters
    ----------
    places : Places
        m stars.
    values : ndarray of float32, shape (m,), or None
        A number of each star; stars of NaN are as if absent. None: how many stars there are.
    view : View
        What is drawn, and in how many pixels.

    Returns
    -------
    ndarray of float32, shape (height, width)
        Lowest y first; NaN where there is no star. The mean of the values in each pixel; without
        values the number of stars, smoothed where dots are larger than a pixel. Dots are larger
        where few stars are in view; where dots overlap, the mean of their stars is taken.
    """
    frame = pd.DataFrame({"x": places.x, "y": places.y}, copy=False)
    canvas = datashader.Canvas(view.width, view.height, view.x, view.y)
    if values is None:
        count = canvas.points(frame, "x", "y", datashader.count()).to_numpy()
        return _draw_density(count.astype(np.float32))
    frame["value"] = values
    wanted = datashader.summary(n=datashader.count("value"), total=datashader.sum("value"))
    image = canvas.points(frame, "x", "y", wanted)
    count = image["n"].to_numpy().astype(np.float32)
    return _draw_mean(count, np.nan_to_num(image["total"].to_numpy()))


def _draw_density(count: np.ndarray) -> np.ndarray:
    """Number of stars by pixel, smoothed where dots are larger than a pixel."""
    radius = dot_radius(int(count.sum()))
    if not radius:
        return _hide_empty(count, count)
    disc = _disc(radius)
    density = gaussian_filter(count, SMOOTH * radius) * disc.sum()
    return _hide_empty(density, convolve(count, disc, mode="constant"))


def _draw_mean(count: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Mean by pixel, from the number of stars and the sum of their values."""
    radius = dot_radius(int(count.sum()))
    if radius:
        disc = _disc(radius)
        count = convolve(count, disc, mode="constant")
        total = convolve(total, disc, mode="constant")
    return _hide_empty(total / np.maximum(count, 1), count)


def _hide_empty(image: np.ndarray, stars: np.ndarray) -> np.ndarray:
    """The image with NaN in pixels that no star covers."""
    return np.where(stars > 0.5, image, np.nan).astype(np.float32)


def dot_radius(stars: int) -> int:
    """Give how many pixels around a star are painted: fewer stars, larger dots."""
    share = np.log(MANY / max(stars, 1)) / np.log(MANY / FEW)
    return int(np.clip(np.round(LARGEST * share), 0, LARGEST))


def _disc(radius: int) -> np.ndarray:
    axis = np.arange(-radius, radius + 1)
    squared = axis[:, None] ** 2 + axis**2
    return (squared <= (radius + 0.5) ** 2).astype(np.float32)
