"""A fixed, lumpy, three-dimensional dust disc: (l, b, distance) -> E(B-V)."""

from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange

R_SUN = 8.2  # kpc, distance of the Sun from the Galactic centre
Z_SUN = 0.0208  # kpc, height of the Sun above the plane

N_WAVES = 64
WAVE_LENGTH = (0.06, 2.5)  # kpc
# These four are such that E(B-V) along lines of sight has the medians of open clusters older than 50
# Myr (Almeida et al. 2023) by distance and height, and of giants of the Kepler field (Li et al. 2023)
# by latitude.
LOCAL_DENSITY = 0.80  # mag / kpc in the plane at the Sun's distance, if there were no cavity
SCALE_LENGTH, SCALE_HEIGHT = 3.2, 0.075  # kpc
LUMPINESS = 1.1  # standard deviation of the log-normal density field
CAVITY = 0.12  # kpc, size of the Local Bubble around the Sun
WARP_START, HOLE_RADIUS = 9, 3  # kpc from the Galactic centre


class DustDisc:
    """Exponential disc with a warp, a flare, a central hole and a cavity around the Sun.

    Its density is multiplied by a log-normal random field.

    The field is a sum of plane waves of 0.06-2.5 kpc drawn from a fixed seed, so the dust between
    here and there is the same in every mock survey.

    Parameters
    ----------
    seed : int
        Seed of the lumps.
    """

    def __init__(self, seed: int = 7):
        rng = np.random.default_rng(seed)
        shortest, longest = WAVE_LENGTH
        length = 10 ** rng.uniform(np.log10(shortest), np.log10(longest), N_WAVES)
        direction = rng.normal(size=(N_WAVES, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        phase = rng.uniform(0, 2 * np.pi, N_WAVES)
        amplitude = length**0.55
        amplitude *= LUMPINESS * np.sqrt(2 / np.sum(amplitude**2))
        wave_vector = 2 * np.pi / length[:, None] * direction
        self._wave_vector = torch.tensor(wave_vector, dtype=torch.float32)
        self._phase = torch.tensor(phase, dtype=torch.float32)
        self._amplitude = torch.tensor(amplitude, dtype=torch.float32)

    def _lumps(self, xyz: np.ndarray) -> np.ndarray:
        """Sum of the waves (n,) at positions (n, 3) [kpc]."""
        position = torch.from_numpy(xyz.astype(np.float32))
        phase = torch.addmm(self._phase, position, self._wave_vector.T)
        waves = phase.cos_()
        total = waves @ self._amplitude
        return total.numpy()

    def density(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Density of the dust.

        Parameters
        ----------
        x, y, z : array
            Galactocentric position, kpc; the Sun is at (R_SUN, 0, Z_SUN).

        Returns
        -------
        array
            E(B-V) per kpc, with the shape of `x`.
        """
        from_sun = np.stack([x - R_SUN, y, z], -1)
        points = rearrange(from_sun, "... c -> (...) c")
        lumps = self._lumps(points).reshape(x.shape)
        return smooth_density(x, y, z) * np.exp(lumps - LUMPINESS**2 / 2)

    def ebv(
        self,
        l: np.ndarray,  # noqa: E741
        b: np.ndarray,
        distance: np.ndarray,
        points: int = 64,
    ) -> np.ndarray:
        """Integrate the dust along lines of sight; see `integrate`."""
        return integrate(self.density, l, b, distance, points)


def smooth_density(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Mean density of the dust, without lumps; see `DustDisc.density`."""
    radius = np.hypot(x, y)
    outwards = radius - R_SUN
    azimuth = np.arctan2(y, x)
    warp = 0.05 * np.maximum(radius - WARP_START, 0) * np.sin(azimuth)
    flare = 1 + 0.08 * np.maximum(outwards, 0)
    inwards = np.maximum(HOLE_RADIUS - radius, 0)
    hole = np.exp(-1.5 * inwards)
    scale_height = SCALE_HEIGHT * flare
    height = np.abs(z - warp) / scale_height
    disc = np.exp(-outwards / SCALE_LENGTH - height) / flare
    from_sun_squared = (x - R_SUN) ** 2 + y**2 + z**2
    bubble = 1 - np.exp(-from_sun_squared / CAVITY**2)
    return LOCAL_DENSITY * hole * disc * bubble


def integrate(
    density: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    l: np.ndarray,  # noqa: E741
    b: np.ndarray,
    distance: np.ndarray,
    points: int = 64,
) -> np.ndarray:
    """Integrate the dust along lines of sight.

    Quadrature nodes are quadratic in distance, denser near the Sun, where the lumps loom
    large.

    Parameters
    ----------
    density : callable
        Density at Galactocentric positions, as of `DustDisc.density`.
    l, b : (n,) array
        Galactic coordinates, rad.
    distance : (n,) array
        Distance to integrate to, kpc.
    points : int
        Number of nodes.

    Returns
    -------
    (n,) array
        E(B-V), mag.
    """
    middles = np.arange(points) + 0.5
    t = middles / points
    distance = distance[:, None]
    depth = distance * t**2
    step = distance * 2 * t / points
    in_plane, upwards = np.cos(b), np.sin(b)
    towards_centre = in_plane * np.cos(l)
    sideways = in_plane * np.sin(l)
    x = R_SUN - depth * towards_centre[:, None]
    y = depth * sideways[:, None]
    z = Z_SUN + depth * upwards[:, None]
    dust = density(x, y, z) * step
    return np.sum(dust, axis=1)
