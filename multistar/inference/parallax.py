"""Is the parallax that of the star that everything else shows?"""

from collections.abc import Callable

import numpy as np
import torch

from multistar.inference.plausible import has_xp, sigma_of, value_of
from multistar.inference.stream import show_measurements
from multistar.model.checkpoint import Model
from multistar.stars import Stars

# A star is looked at where the parallax is that many errors from 1 / distance (errors widened by a
# constant, mas, and a share of the parallax), or the luminosity of its labels that many magnitudes
# from what its brightness says: 6-8 % of sound stars.
ODD_PARALLAX, PARALLAX_ERROR, RELATIVE_ERROR = 1.3, 0.02, 0.05
ODD_LUMINOSITY = 0.35
# Normal score of the parallax, given all else, with XP and without: by magnitudes alone binaries
# and hot stars of the sky look odd, too (LAMOST: 1 % beyond 4).
PARALLAX_EDGE, EDGE_WITHOUT_XP = 3.2, 4.5
EXTREME = 1e-12  # a level nearer to 0 or 1 counts as this
AT_ONCE = 128  # stars
LUMINOSITY_LABELS = ("distance", "teff", "logg", "mass", "ebv")
SUN_TEFF, SUN_LOGG, SUN_BOLOMETRIC = 5772.0, 4.438, 4.74
# M_bol - M_G [mag] over Teff and A_G / E(B-V), fitted to predictions of sound mock stars.
CORRECTION_TEFF = (3300.0, 4000.0, 4500.0, 5000.0, 6000.0, 7000.0, 8000.0)
CORRECTION = (-1.26, -0.54, -0.20, -0.03, 0.11, 0.06, 0.05)
A_G = 2.22


def contradicts_parallax(
    model: Model, stars: Stars, label: Callable[[str], np.ndarray]
) -> np.ndarray:
    """Find stars whose parallax is not what the model expects of everything else.

    A star is looked at if its parallax is not that of its predicted distance, or its predicted
    labels have another luminosity than its brightness at that distance: with a wrong parallax,
    labels are a compromise. Of these, few among sound stars, the parallax is hidden and predicted.

    Parameters
    ----------
    model : Model
    stars : Stars
    label : callable
        Name of a label -> its predicted medians (n,); asked for labels that the model has.

    Returns
    -------
    (n,) bool ndarray
    """
    out = np.zeros(len(stars), bool)
    known = set(model.vocabulary.labels)
    if "distance" not in known or "parallax" not in model.vocabulary.measurements:
        return out
    parallax, sigma = value_of(stars, "parallax"), sigma_of(stars, "parallax")
    distance = label("distance")
    allowed = np.hypot(np.hypot(sigma, PARALLAX_ERROR), RELATIVE_ERROR / distance)
    odd = np.abs(parallax - 1 / distance) > ODD_PARALLAX * allowed
    if known >= set(LUMINOSITY_LABELS):
        teff = label("teff")
        gravity = label("logg") - SUN_LOGG
        luminosity = np.log10(label("mass")) + 4 * np.log10(teff / SUN_TEFF) - gravity
        absolute = SUN_BOLOMETRIC - 2.5 * luminosity - np.interp(teff, CORRECTION_TEFF, CORRECTION)
        apparent = absolute + 5 * np.log10(100 * distance) + A_G * label("ebv")
        odd |= np.abs(value_of(stars, "g") - apparent) > ODD_LUMINOSITY
    rows = np.flatnonzero(odd & np.isfinite(parallax))
    if len(rows):
        edge = np.where(has_xp(stars)[rows], PARALLAX_EDGE, EDGE_WITHOUT_XP)
        out[rows] = np.abs(_parallax_scores(model, stars.select(rows))) > edge
    return out


@torch.inference_mode()
def _parallax_scores(model: Model, stars: Stars) -> np.ndarray:
    """(n,) normal scores of parallaxes in what the model predicts of everything else.

    NaN where nothing else is known.
    """
    slot = model.vocabulary.slot("parallax")
    device = next(model.network.parameters()).device
    asked = torch.tensor([slot])
    scores = []
    for start in range(0, len(stars), AT_ONCE):
        m = show_measurements(model, stars.select(slice(start, start + AT_ONCE))).to(device)
        shown = torch.ones_like(m.observed)
        shown[:, slot] = False
        context = m.hide(shown)
        mixture = model.network.decode(model.network.encode(context), asked.to(device))
        level = mixture.cdf(m.value[:, asked], torch.nan_to_num(m.sigma[:, asked]))
        score = torch.special.ndtri(level.double().clamp(EXTREME, 1 - EXTREME))[:, 0]
        known = m.observed[:, slot] & context.observed.any(1)
        scores.append(torch.where(known, score, torch.nan).cpu().numpy())
    return np.concatenate(scores)
