"""What a benchmark by what is known shows of stars, and which stars it calls Sun-like."""

import numpy as np
import pyarrow as pa

from multistar.checks.benchmarks.known import KNOWN, find_sun_like, score_known, show
from multistar.stars import read_stars


def test_nothing_else_is_shown(mock_table):
    stars = read_stars(mock_table, labels=False)
    for quantities, xp, _ in KNOWN.values():
        shown = show(stars, quantities, xp)
        assert set(shown.scalars) == set(quantities or stars.scalars)
        assert bool(shown.xp) == xp


def test_sun_like_stars_by_magnitude_colour_and_distance():
    g = 4.67 + 5 * np.log10(np.array([10.0, 10.0, 300.0, 10.0]) / 10)
    table = pa.table(
        {
            "phot_g_mean_mag": g + np.array([0, 1.0, 0, 0]),
            "phot_bp_mean_mag": g + 0.33 + np.array([0, 0, 0, 0.2]),
            "phot_rp_mean_mag": g - 0.49,
            "true_distance": [0.01, 0.01, 0.3, 0.01],
            "star": [0, 1, 2, 3],
        }
    )
    assert find_sun_like(table)["star"].to_pylist() == [0]


def test_a_row_for_each_subset_and_label(star_model, mock_table):
    few = mock_table[:200]
    rows = score_known(star_model.model, read_stars(few, labels=False), few)
    assert len({(row["known"], row["label"]) for row in rows}) == len(rows) == 4 * len(KNOWN)
    assert all(0 <= row["coverage"] <= 1 and row["mad_std"] > 0 for row in rows)
