"""What neighbours share: labels, and dust before and after it is ignored."""

import numpy as np
import pyarrow as pa
from astropy.stats import mad_std

from multistar.checks.neighbours import nearest, squared_correlation
from multistar.inference.embed import embed
from multistar.modalities.scalars.transforms import to_even_scale
from multistar.model.checkpoint import Model
from multistar.model.nuisance import INTRINSIC
from multistar.quantities import QUANTITIES
from multistar.stars import read_stars

K, QUERIES = 10, 5000
EBV_FLOOR = 0.01  # mag, added before the logarithm is taken
LABELS = ("teff", "logg", "m_h", "mass", "age")
PLAIN, DUST_FREE, NATURAL = "embedding", "embedding --ignore dust", "true labels (natural)"


def standardise_columns(x: np.ndarray) -> np.ndarray:
    """Take the median from every column of (n, d) and divide by its MAD-std."""
    return (x - np.median(x, axis=0)) / mad_std(x, axis=0)


def make_spaces(model: Model, table: pa.Table) -> dict[str, np.ndarray]:
    """Place mock stars in the spaces in which neighbours are looked for.

    Returns
    -------
    dict
        Name -> points (n, d): noise (chance), G-normalised XP coefficients over their scatter,
        the embedding, the same without dust, and the true intrinsic labels. Neighbours in the last
        share some dust, too, because selection ties it to luminosity and metallicity.
    """
    stars = read_stars(table)
    flux = 10 ** (-0.4 * stars.scalars["g"].value)[:, None]
    xp = np.hstack([stars.xp[band].value / flux for band in ("bp", "rp")])
    labels = [
        to_even_scale(QUANTITIES[name], table[f"true_{name}"].to_numpy()) for name in INTRINSIC
    ]
    embedding = np.stack(embed(model, stars)["embedding"].to_numpy())
    return {
        "chance": np.random.default_rng(0).normal(size=(len(table), 3)),
        "raw XP": np.nan_to_num(standardise_columns(xp)),
        PLAIN: embedding,
        DUST_FREE: model.projection("dust")(embedding),
        NATURAL: standardise_columns(np.stack(labels, 1)),
    }


def compare_neighbours(found: np.ndarray, table: pa.Table) -> dict:
    """Measure what neighbours share with the first stars of a table.

    Parameters
    ----------
    found
        (queries, k) rows of the neighbours of the first stars.
    table
        Mock stars with their true labels.

    Returns
    -------
    dict
        `dust_r2`, of a linear regression of the query's ln(E(B-V) + 0.01) on the mean of its
        neighbours'; by label `error`, MAD-std of the neighbours' mean - query, and MAD-std and
        standard deviation of neighbour - query (`scatter`, `std`).
    """
    n = len(found)
    dust = np.log(table["true_ebv"].to_numpy() + EBV_FLOOR)
    out: dict = {"dust_r2": squared_correlation(dust[found].mean(1), dust[:n])}
    out |= {"error": {}, "scatter": {}, "std": {}}
    for name in LABELS:
        value = table[f"true_{name}"].to_numpy()
        difference = value[found] - value[:n, None]
        out["error"][name] = float(mad_std(value[found].mean(1) - value[:n]))
        out["scatter"][name] = float(mad_std(difference))
        out["std"][name] = float(np.std(difference))
    return out


def benchmark_neighbours(model: Model, table: pa.Table) -> dict[str, dict]:
    """Compare the K neighbours of the first QUERIES stars in every space of make_spaces."""
    queries = min(QUERIES, len(table))
    results = {}
    for name, points in make_spaces(model, table).items():
        results[name] = compare_neighbours(nearest(points, K, queries), table)
    return results


def summarise_dust(results: dict[str, dict]) -> dict:
    """Say what `--ignore dust` changes: R2 above the natural share, and the neighbours' scatter."""
    before, after, natural = (results[name] for name in (PLAIN, DUST_FREE, NATURAL))
    summary: dict = {"r2_above_natural": after["dust_r2"] - natural["dust_r2"]}
    for kind in ("scatter", "std"):
        change = {name: after[kind][name] / before[kind][name] - 1 for name in LABELS}
        summary[f"{kind}_change"] = change
    return summary
