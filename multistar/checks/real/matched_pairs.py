"""Matched pairs: each real star and a mock star of its magnitude, colour, parallax and errors.

What then tells them apart is the mock's, not the selection's.
"""

from collections.abc import Mapping

import numpy as np
from scipy.spatial import KDTree

from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.stars import Scalar, Stars

# Units [mag] in which stars are compared; a partner is no farther than 1 in these together.
UNIT_G, UNIT_COLOUR, UNIT_ABSOLUTE = 0.5, 0.05, 0.5
CANDIDATES = 20  # nearest mock stars among which an untaken one is looked for
FAR = 1e6  # where stars without one of the numbers are put
LABELS = ("teff", "logg", "m_h", "mass", "age")
COLOUR_BANDS = ("bp", "rp", "j", "h", "ks", "w1", "w2")
FEWEST = 30  # stars with a colour


def place_stars(stars: Stars) -> np.ndarray:
    """Place stars (n, 2 or 3) by G, BP - RP and, with parallaxes, M_G, in the units above.

    M_G is of the arcsinh kind, which negative parallaxes have, too.
    """
    scalars = stars.scalars
    g = scalars["g"].value
    columns = [g / UNIT_G, (scalars["bp"].value - scalars["rp"].value) / UNIT_COLOUR]
    if "parallax" in scalars:
        size = scalars["parallax"].value / 100 * 10 ** (0.2 * g)  # 10 ** (0.2 M_G)
        columns.append(5 / np.log(10) * np.arcsinh(size / 2) / UNIT_ABSOLUTE)
    return np.stack(columns, 1)


def match_stars(
    real: Stars, mock: Stars, taken: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Match real stars with mock stars nearby, each taken once.

    Parameters
    ----------
    taken
        (n_mock,) which mock stars have been taken; those that are taken now are set, too.

    Returns
    -------
    real_rows, mock_rows : ndarray
        Numbers of the rows of each pair; real stars without a partner nearby are left out.
    """
    if "parallax" not in real.scalars:
        scalars = {name: value for name, value in mock.scalars.items() if name != "parallax"}
        mock = mock.with_blocks(scalars=scalars)
    free, points = np.flatnonzero(~taken), place_stars(real)
    points = np.where(np.isfinite(points), points, FAR)
    tree = KDTree(place_stars(mock)[free])
    distance, nearest = map(np.asarray, tree.query(points, k=CANDIDATES))
    pairs = []
    for row in rng.permutation(len(points)).tolist():
        near = free[nearest[row][distance[row] < 1]]
        untaken = near[~taken[near]]
        if len(untaken):
            taken[untaken[0]] = True
            pairs.append((row, untaken[0]))
    real_rows, mock_rows = np.array(pairs, int).reshape(-1, 2).T
    return real_rows, mock_rows


def observe_alike(mock: Stars, real: Stars, rng: np.random.Generator) -> Stars:
    """Observe mock stars as the real stars of the same rows are.

    What the real star lacks is missing, noise is added until the errors are the real ones, and the
    result no longer counts as mock.
    """
    scalars = {}
    for name, like in real.scalars.items():
        if name in mock.scalars and name not in LABELS:
            ours = mock.scalars[name]
            scalars[name] = Scalar(*_degrade(ours.value, ours.sigma, like.value, like.sigma, rng))
    ratio = 10 ** (-0.4 * (mock.scalars["g"].value - real.scalars["g"].value))[:, None]
    xp = {}
    for band, like in real.xp.items():
        ours = mock.xp[band]
        worse = _degrade(ours.value, ours.sigma, like.value * ratio, like.sigma * ratio, rng)
        xp[band] = XPCoefficients(*worse)
    blocks = {"scalars": scalars, "xp": xp}
    return Stars(mock.source_id, np.zeros_like(mock.flags), blocks, origin="sky")


def _degrade(value, sigma, like, like_sigma, rng: np.random.Generator):
    extra = np.sqrt(np.maximum(np.nan_to_num(like_sigma) ** 2 - sigma**2, 0))
    noisy = value + extra * rng.normal(size=value.shape)
    return np.where(np.isfinite(like), noisy, np.nan), like_sigma


def compare_colours(real: Stars, partners: Stars) -> dict[str, list[float]]:
    """Compare colours with G: name -> median of real - partner and its standard error [mag]."""
    out = {}
    for band in COLOUR_BANDS:
        if band not in real.scalars or band not in partners.scalars:
            continue
        colour, other = (s.scalars["g"].value - s.scalars[band].value for s in (real, partners))
        step = colour - other
        step = step[np.isfinite(step)]
        if len(step) > FEWEST:
            error = 1.25 * step.std() / np.sqrt(len(step))
            out[f"G-{band.upper()}"] = [float(np.median(step)), float(error)]
    return out


def correct_colours(real: Stars, shifts: Mapping[str, list[float]]) -> Stars:
    """Add a constant to G, J, H, Ks, W1 and W2, so that colours agree with the partners'.

    BP and RP stay, between which the constant of G is chosen.
    """
    gaia = np.mean([shifts[name][0] for name in ("G-BP", "G-RP")])
    constant = {"g": -gaia}
    for name, (step, _) in shifts.items():
        band = name.removeprefix("G-").lower()
        if band not in ("bp", "rp"):
            constant[band] = step - gaia
    scalars = {}
    for name, scalar in real.scalars.items():
        scalars[name] = Scalar(scalar.value + constant.get(name, 0.0), scalar.sigma)
    return real.with_blocks(scalars=scalars)
