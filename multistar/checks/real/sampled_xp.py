"""Labels of the same stars from coefficients and from sampled spectra, of XP and G alone."""

import numpy as np
from astropy.stats import mad_std

from multistar.inference.predict import predict
from multistar.mock.sampled import sample_spectra
from multistar.modalities.gaia_xp.sampled import solve_coefficients
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH
from multistar.model.checkpoint import Model
from multistar.stars import Stars


def compare_sampled(model: Model, stars: Stars) -> list[dict]:
    """Predict stars from their coefficients and from what sampled spectra tell of these.

    Returns
    -------
    list of dict
        By label: `moved`, below which 68 % of the shifts lie, in units of the label's error, and
        `width`, the median ratio of the intervals; of mock stars `scatter`, the ratio of the
        MAD-std of predicted - true.
    """
    alone = stars.with_blocks(scalars={"g": stars.scalars["g"]})
    bands = stars.xp["bp"], stars.xp["rp"]
    value, sigma = (np.hstack([getattr(x, part) for x in bands]) for part in ("value", "sigma"))
    again = alone.with_blocks(xp=solve_coefficients(*sample_spectra(value, sigma), WAVELENGTH))
    one, other = (predict(model, some, quiet=True).to_pandas() for some in (alone, again))
    rows = []
    for label in model.vocabulary.labels:
        widths = [table[f"{label}_upper"] - table[f"{label}_lower"] for table in (one, other)]
        moved = np.abs(other[label] - one[label]) / (widths[0] / 2)
        row = {"label": label, "stars": len(stars), "moved": float(np.percentile(moved, 68))}
        row["width"] = float(np.median(widths[1] / widths[0]))
        if (truth := stars.extra.get(f"true_{label}")) is not None:
            errors = [mad_std(table[label] - truth, ignore_nan=True) for table in (one, other)]
            row["scatter"] = float(errors[1] / errors[0])
        rows.append(row)
    return rows
