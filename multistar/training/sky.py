"""Real stars for training, shown as the mock's are: with photometry beside their spectra.

Tables of real spectra often hold nothing else. A network that meets the sky as spectra alone, and
the mock as spectra with photometry, tells the two apart by what is there, and keeps a place of its
own for the sky, from which no label was ever learnt.
"""

import dataclasses

import numpy as np

from multistar.mock.noise import noisy_magnitudes
from multistar.mock.sed import BANDS
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.modalities.scalars.read import Scalar
from multistar.stars import Stars

DRAWS = 16  # times that each star is shown, each with other errors


def with_gaia_photometry(stars: Stars, rng: np.random.Generator) -> Stars:
    """Give every star DRAWS times, with G, BP and RP of its own spectrum.

    Errors and noise are drawn as for mock stars. What the table measured stays as it is.

    Parameters
    ----------
    stars : Stars
        Of n real stars.
    rng : numpy.random.Generator

    Returns
    -------
    Stars
        DRAWS x n stars; the same ones where there are no spectra of both bands.
    """
    if not stars.xp:
        return stars
    stars = stars.select(np.tile(np.arange(len(stars)), DRAWS))
    exact = np.full((len(stars), len(BANDS)), np.nan)
    derived = synthetic_magnitudes(dict(stars.xp))
    for name, magnitude in derived.items():
        exact[:, BANDS.index(name)] = magnitude
    observed, errors = noisy_magnitudes(exact, rng)
    scalars = dict(stars.scalars)
    missing = np.full(len(stars), np.nan)
    for name in derived:
        column = BANDS.index(name)
        known = scalars.get(name, Scalar(missing, missing))
        # the reader fills in G without an error
        fill = np.isnan(known.sigma) & np.isfinite(observed[:, column])
        scalars[name] = Scalar(
            np.where(fill, observed[:, column], known.value),
            np.where(fill, errors[:, column], known.sigma),
        )
    return dataclasses.replace(stars, blocks={**stars.blocks, "scalars": scalars})
