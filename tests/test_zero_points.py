"""Zero points of the mock's bands, from stars of known labels."""

import numpy as np
import pytest

from multistar.checks.fitting.passbands import Passband
from multistar.checks.fitting.zero_points import (
    COLUMNS,
    average_over_bins,
    fit_zero_points,
    shift_zero_points,
)
from multistar.checks.real.tables import read_lamost
from multistar.mock.sed import BANDS, load_sed_table


def test_each_bin_of_temperature_counts_alike():
    teff = np.r_[np.full(1000, 5000.0), np.full(60, 5500.0), np.full(10, 6000.0)]
    residual = np.r_[np.full(1000, 0.01), np.full(60, 0.03), np.full(10, 9.0)]
    assert average_over_bins(teff, residual) == pytest.approx(0.02)  # ten stars are too few
    assert average_over_bins(teff[:3], residual[:3]) == 0


def test_a_shift_is_that_of_the_magnitude():
    flux = np.ones(5)
    bands = {name: Passband(np.ones(5), 20.0) for name in ("g", "w1")}
    shifted = shift_zero_points(bands, {"w1": 0.03})
    assert shifted["w1"].magnitude(flux) - bands["w1"].magnitude(flux) == pytest.approx(0.03)
    assert shifted["g"] == bands["g"]


@pytest.mark.realdata
def test_the_shipped_zero_points_fit_stars_that_they_were_not_fitted_to(real_data, monkeypatch):
    from multistar.checks.fitting import zero_points

    sed = load_sed_table()
    bands = {
        name: Passband(sed.passband[row], float(sed.zero_point[row]))
        for row, name in enumerate(BANDS)
    }

    def spectrum(labels: np.ndarray) -> np.ndarray:
        nothing = np.zeros(len(labels))
        return sed.ln_flux(*labels.T, nothing, nothing)

    fitted = zero_points.is_fitted
    monkeypatch.setattr(zero_points, "is_fitted", lambda name: not fitted(name))
    assert len(read_lamost(real_data)) > 10_000
    offsets = fit_zero_points(spectrum, sed.wavelength, bands, real_data)
    assert set(offsets) == set(COLUMNS)
    assert all(abs(offset) < 0.004 for offset in offsets.values()), offsets
