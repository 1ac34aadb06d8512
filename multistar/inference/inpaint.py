"""Part of an XP spectrum -> the rest of it: hidden orders, or one band from the other."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import torch

from multistar import status
from multistar.inference.generate import to_coefficients
from multistar.inference.given import Given, as_given, complete_errors
from multistar.inference.stream import encode_stars
from multistar.io.write import to_arrow
from multistar.modalities.gaia_xp.read import VECTORS, XP_BANDS, XPCoefficients, archive_columns
from multistar.model.checkpoint import Model
from multistar.stars import Stars

LEVELS = (0.5, 0.16, 0.84)


def inpaint(
    model: Model,
    stars: Stars,
    bands: Collection[str] = (),
    quiet: bool = False,
    given: Collection[str] | Given = (),
) -> pa.Table:
    """Predict the XP coefficients that are not observed from all that is known of the star.

    Parameters
    ----------
    model : Model
    stars : Stars
    bands : collection of {"bp", "rp"}
        These are predicted whole, as if never observed.
    quiet : bool
        Show no progress.
    given : collection of str, or mapping of str to float or None
        Labels of the table that are taken for measurements, as for `predict`.

    Returns
    -------
    pyarrow.Table
        source_id, status, phot_g_mean_mag, for each band the columns of `archive_columns` [e-/s],
        and bp_predicted, rp_predicted (lists of 0 and 1). Observed coefficients and errors stay as
        they are; predicted ones are the median of the noise-free coefficient and half the distance
        of its 16th and 84th percentiles. Correlations are zero: none are predicted. Without G
        there is no flux scale: such rows hold NaN.

    Raises
    ------
    ValueError
        For an unknown band, one that the model was not trained on, and given labels that the table
        does not have or of which no error is known.
    """
    if unknown := sorted(set(bands) - set(XP_BANDS)):
        raise ValueError(f"unknown bands {unknown}; known are {list(XP_BANDS)}")
    slots = model.vocabulary.band_slots
    if empty := [band for band in XP_BANDS if not slots[band]]:
        raise ValueError(
            f"the model was trained without {empty} coefficients, so it cannot predict them"
        )
    known = as_given(given)
    if known:
        stars = complete_errors(model, stars, known)
    n = len(stars)
    context = without_bands(stars, bands)
    query = torch.tensor(list(model.vocabulary.slots("xp")))
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    quantiles = np.empty((n, len(query), len(LEVELS)))
    flags = context.flags.copy()
    for batch in encode_stars(model, context, "inpaint", quiet, tuple(known)):
        rows, memory, flags[batch.rows] = batch.rows, batch.memory, batch.flags
        with torch.inference_mode():
            mixture = model.network.decode(memory, query.to(memory.features.device))
            quantiles[rows] = mixture.quantile(levels).cpu().numpy()
    g = stars.scalars["g"].value if "g" in stars.scalars else np.full(n, np.nan)
    xp, predicted = {}, {}
    for band, z in zip(XP_BANDS, np.split(quantiles, [len(slots["bp"])], axis=1), strict=True):
        orders = stars.xp[band].value.shape[1] if band in stars.xp else len(slots[band])
        median, low, high = (
            to_coefficients(model, band, z[:, :orders, i], g) for i in range(len(LEVELS))
        )
        observed = (
            np.isfinite(context.xp[band].value)
            if band in context.xp
            else np.zeros((n, orders), bool)
        )
        xp[band] = _filled(context.xp.get(band), observed, median, (high - low) / 2)
        predicted[f"{band}_predicted"] = (~observed).astype(np.uint8)
    columns = {
        "source_id": stars.source_id,
        "status": status.words(flags),
        "phot_g_mean_mag": g,
    }
    metadata = {"model_sha256": model.hash, "precision": model.precision, "coefficients": "e-/s"}
    return to_arrow(columns | archive_columns(xp) | predicted, metadata, ragged=VECTORS)


def without_bands(stars: Stars, bands: Collection[str]) -> Stars:
    """The same stars as if these bands of XP had not been observed."""
    return stars.with_blocks(xp={band: x for band, x in stars.xp.items() if band not in bands})


def _filled(
    known: XPCoefficients | None, observed: np.ndarray, value: np.ndarray, error: np.ndarray
) -> XPCoefficients:
    if known is None:
        return XPCoefficients(value, error)
    return XPCoefficients(
        np.where(observed, known.value, value), np.where(observed, known.sigma, error)
    )
