"""A fixed, lumpy, three-dimensional dust disc: (l, b, distance) -> E(B-V)."""

import numpy as np
import torch
from einops import rearrange

R_SUN = 8.2  # kpc, distance of the Sun from the Galactic centre
Z_SUN = 0.0208  # kpc, height of the Sun above the plane

N_WAVES = 64
LOCAL_DENSITY = 0.21  # mag / kpc at the Sun
SCALE_LENGTH, SCALE_HEIGHT = 3.2, 0.10  # kpc
LUMPINESS = 0.85  # standard deviation of the log-normal density field


class DustDisc:
    """Exponential disc with a warp, a flare and a central hole, times a log-normal random field.

    The field is a sum of plane waves of 0.06-2.5 kpc drawn from a fixed seed, so the dust between
    here and there is the same in every mock survey.
    """

    def __init__(self, seed: int = 7):
        rng = np.random.default_rng(seed)
        length = 10 ** rng.uniform(np.log10(0.06), np.log10(2.5), N_WAVES)
        direction = rng.normal(size=(N_WAVES, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        amplitude = length**0.55
        amplitude *= LUMPINESS * np.sqrt(2 / np.sum(amplitude**2))
        self._wave = torch.tensor(2 * np.pi / length[:, None] * direction, dtype=torch.float32)
        self._phase = torch.tensor(rng.uniform(0, 2 * np.pi, N_WAVES), dtype=torch.float32)
        self._amplitude = torch.tensor(amplitude, dtype=torch.float32)

    def _lumps(self, xyz: np.ndarray) -> np.ndarray:
        position = torch.from_numpy(xyz.astype(np.float32))
        phase = torch.addmm(self._phase, position, self._wave.T)
        return (phase.cos_() @ self._amplitude).numpy()

    def density(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """E(B-V) per kpc at Galactocentric (x, y, z) in kpc; the Sun is at (R_SUN, 0, Z_SUN)."""
        radius = np.hypot(x, y)
        warp = 0.05 * np.maximum(radius - 9, 0) * np.sin(np.arctan2(y, x))
        flare = 1 + 0.08 * np.maximum(radius - R_SUN, 0)
        hole = np.exp(-1.5 * np.maximum(3 - radius, 0))
        disc = (
            np.exp(-(radius - R_SUN) / SCALE_LENGTH - np.abs(z - warp) / (SCALE_HEIGHT * flare))
            / flare
        )
        xyz = np.stack([x - R_SUN, y, z], -1)
        lumps = self._lumps(rearrange(xyz, "... c -> (...) c")).reshape(x.shape)
        return LOCAL_DENSITY * hole * disc * np.exp(lumps - LUMPINESS**2 / 2)

    def ebv(
        self, l: np.ndarray, b: np.ndarray, distance: np.ndarray, points: int = 64
    ) -> np.ndarray:  # noqa: E741
        """E(B-V) [mag] integrated to `distance` [kpc] at Galactic l, b [rad]; all (n,).

        Quadrature nodes are quadratic in distance, denser near the Sun, where the lumps loom large.
        """
        t = (np.arange(points) + 0.5) / points
        depth = distance[:, None] * t**2
        step = distance[:, None] * 2 * t / points
        x = R_SUN - depth * (np.cos(b) * np.cos(l))[:, None]
        y = depth * (np.cos(b) * np.sin(l))[:, None]
        z = Z_SUN + depth * np.sin(b)[:, None]
        return np.sum(self.density(x, y, z) * step, axis=1)
