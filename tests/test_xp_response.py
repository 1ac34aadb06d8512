"""The response of XP that the mock applies, and its fit, on pairs whose response is known."""

import numpy as np
import pytest

from multistar.checks.fitting.xp_response import fit_response, measure_left, write_response
from multistar.mock import xp_response
from multistar.mock.xp_response import FINE, KNOTS, apply_response, evaluate_response
from multistar.modalities.gaia_xp.instrument import load_band
from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.stars import Stars, read_stars


@pytest.fixture(scope="module")
def stars(mock_table) -> Stars:
    return read_stars(mock_table.slice(0, 150), all_orders=True)


def with_coefficients(stars: Stars, values: np.ndarray) -> Stars:
    """The same stars with other coefficients (n, 110), and the same errors."""
    parts = zip(stars.xp, np.split(values, [55], axis=1), strict=True)
    return stars.with_blocks(
        xp={band: XPCoefficients(part, stars.xp[band].sigma) for band, part in parts}
    )


def all_coefficients(stars: Stars) -> np.ndarray:
    return np.hstack([stars.xp[band].value for band in ("bp", "rp")])


def test_a_response_multiplies_the_mean_spectrum(monkeypatch):
    """On a spectrum that the basis resolves: the change is the product, projected on the basis."""
    bump = 0.1 * np.exp(-0.5 * ((KNOTS - 28) / 6) ** 2)
    nothing = np.zeros((2, len(KNOTS)))
    known = {"bp": nothing, "rp": np.stack([bump, 0.5 * bump])}
    monkeypatch.setattr(xp_response, "load_response", lambda: known)
    rp = load_band("rp")
    basis = rp.internal_basis(FINE)
    smooth = np.exp(-0.5 * ((FINE - 30) / 8) ** 2)
    coefficients = np.zeros((2, 110))
    coefficients[:, 55:] = basis @ smooth * (FINE[1] - FINE[0]) * rp.scale
    teff = np.array([5040.0, 4000.0])
    changed = apply_response(coefficients, teff)
    assert (changed[:, :55] == 0).all()
    spectra = changed[:, 55:] @ basis
    expected = smooth * evaluate_response("rp", teff, FINE)
    midst = (FINE > 12) & (FINE < 48)
    assert np.abs(spectra - expected)[:, midst].max() < 2e-3
    assert np.ptp(expected, axis=0).max() > 0.01


def test_the_shipped_response_changes_spectra_and_not_magnitudes(stars):
    """The mock's magnitudes are those of its spectra; the response must leave them alone."""
    teff = stars.extra["true_teff"]
    warm = stars.select(teff > 4500)
    coefficients, truth = all_coefficients(warm), teff[teff > 4500]
    changed = apply_response(coefficients, truth)
    assert np.abs(changed - coefficients).max(1).min() > 0
    before = synthetic_magnitudes(dict(warm.xp))
    after = synthetic_magnitudes(dict(with_coefficients(warm, changed).xp))
    for band, values in before.items():
        assert abs(np.median(after[band] - values)) < 0.004


def test_a_known_response_is_found_and_what_is_left_is_measured(stars, tmp_path, monkeypatch):
    nothing = {band: np.zeros((2, len(KNOTS))) for band in ("bp", "rp")}
    wave = 0.04 * np.sin(KNOTS / 2.5) * ((KNOTS > 14) & (KNOTS < 38))
    known = {band: np.stack([wave, 0 * wave]) for band in ("bp", "rp")}
    teff = stars.extra["true_teff"]
    monkeypatch.setattr(xp_response, "load_response", lambda: known)
    changed = with_coefficients(stars, apply_response(all_coefficients(stars), teff))
    monkeypatch.setattr(xp_response, "load_response", lambda: nothing)
    monkeypatch.setattr("multistar.checks.fitting.xp_response.MAGNITUDE_ERROR", 10.0)
    pairs = (changed, stars)
    found = fit_response(pairs)
    inside = (KNOTS > 14) & (KNOTS < 38)
    for band in ("bp", "rp"):
        assert np.abs(found[band][0] - wave)[inside].max() < 0.012
    for row in measure_left(pairs, found):
        if row["n"] > 20:
            assert row["after"] < 0.5 * row["before"]
    write_response(found, tmp_path / "response.json", overwrite=False)
    with pytest.raises(FileExistsError):
        write_response(found, tmp_path / "response.json", overwrite=False)
