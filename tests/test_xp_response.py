"""The response of XP that the mock applies, that of bright stars, and their fit, on known pairs."""

import numpy as np
import pytest

from multistar import MultiStar
from multistar.checks.fitting.hst_pairs import HSTPairs, _find, _follow
from multistar.checks.fitting.xp_response import fit_response, measure_left, write_response
from multistar.mock import xp_response
from multistar.mock.xp_response import TEFF, apply_response, evaluate_response
from multistar.modalities.gaia_xp.bright import BRIGHT, correct_bright, is_bright, load_bright
from multistar.modalities.gaia_xp.instrument import load_band
from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.gaia_xp.response import FINE, KNOTS, response_matrix
from multistar.modalities.gaia_xp.synthesis import flux_matrix, synthetic_magnitudes
from multistar.stars import Stars, read_stars

BANDS = ("bp", "rp")


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
    return np.hstack([stars.xp[band].value for band in BANDS])


def make_bright(coefficients: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Coefficients (n, 110) of faint stars as bright ones would have them."""
    parts = zip(BANDS, np.split(coefficients, [55], axis=1), strict=True)
    return np.hstack([part + part @ response_matrix(band, weights[band]) for band, part in parts])


def test_a_response_multiplies_the_mean_spectrum(monkeypatch):
    """On a spectrum that the basis resolves: the change is the product, projected on the basis."""
    bump = 0.1 * np.exp(-0.5 * ((KNOTS - 28) / 6) ** 2)
    shares = np.linspace(0.5, 1.5, len(TEFF))
    known = {"bp": np.zeros((len(TEFF), len(KNOTS))), "rp": np.outer(shares, bump)}
    monkeypatch.setattr(xp_response, "load_response", lambda: known)
    rp = load_band("rp")
    basis = rp.internal_basis(FINE)
    smooth = np.exp(-0.5 * ((FINE - 30) / 8) ** 2)
    coefficients = np.zeros((2, 110))
    coefficients[:, 55:] = basis @ smooth * (FINE[1] - FINE[0]) * rp.scale
    teff, logg = np.array([5040.0, 4000.0]), np.array([4.5, 4.6])
    changed = apply_response(coefficients, teff, logg)
    assert (changed[:, :55] == 0).all()
    spectra = changed[:, 55:] @ basis
    expected = smooth * evaluate_response("rp", teff, logg, FINE)
    midst = (FINE > 12) & (FINE < 48)
    assert np.abs(spectra - expected)[:, midst].max() < 2e-3
    assert np.ptp(expected, axis=0).max() > 0.01


def test_the_shipped_response_changes_spectra_and_not_magnitudes(stars):
    """The mock's magnitudes are those of its spectra; the response must leave them alone."""
    teff = stars.extra["true_teff"]
    warm = stars.select(teff > 4500)
    coefficients, truth = all_coefficients(warm), teff[teff > 4500]
    changed = apply_response(coefficients, truth, warm.extra["true_logg"])
    assert np.abs(changed - coefficients).max(1).min() > 0
    before = synthetic_magnitudes(dict(warm.xp))
    after = synthetic_magnitudes(dict(with_coefficients(warm, changed).xp))
    for band, values in before.items():
        assert abs(np.median(after[band] - values)) < 0.004


def test_between_temperatures_the_response_is_linear_and_beyond_them_constant():
    half = 5040 / (0.5 * (5040 / TEFF[2] + 5040 / TEFF[3]))
    dwarf = np.full(4, 4.6)
    for band in BANDS:
        at = evaluate_response(band, np.array([TEFF[2], TEFF[3], half]), dwarf[:3], FINE)
        np.testing.assert_allclose(at[2], at[:2].mean(axis=0), rtol=1e-9)
        teff = np.array([TEFF[0], 60_000.0, TEFF[-1], 2500.0])
        beyond = evaluate_response(band, teff, dwarf, FINE)
        np.testing.assert_array_equal(beyond[[0, 2]], beyond[[1, 3]])


def test_cool_giants_keep_the_response_that_no_model_entered():
    for band in BANDS:
        giants = evaluate_response(band, np.array([4900.0, 4300.0, 3500.0]), np.ones(3), FINE)
        np.testing.assert_array_equal(giants[1:], giants[:1].repeat(2, axis=0))
        warm = np.full(2, 5500.0), np.array([2.5, 4.5])
        one, other = evaluate_response(band, *warm, FINE)
        np.testing.assert_array_equal(one, other)


def test_known_responses_are_found_and_what_is_left_is_measured(mock_table, tmp_path, monkeypatch):
    stars = read_stars(mock_table.slice(0, 150), all_orders=True)
    nothing = {band: np.zeros((len(TEFF), len(KNOTS))) for band in BANDS}
    inside = (KNOTS > 14) & (KNOTS < 38)
    wave = 0.04 * np.sin(KNOTS / 2.5) * inside
    of_bright = 0.03 * np.cos(KNOTS / 5) * inside
    known = {band: np.tile(wave, (len(TEFF), 1)) for band in BANDS}
    # the giants are taken for dwarfs: cool giants are not fitted to
    stars.extra["true_logg"] = np.full(len(stars), 4.5)
    teff, logg = stars.extra["true_teff"], stars.extra["true_logg"]
    modelled = all_coefficients(stars)
    monkeypatch.setattr(xp_response, "load_response", lambda: known)
    measured = apply_response(modelled, teff, logg)
    monkeypatch.setattr(xp_response, "load_response", lambda: nothing)
    monkeypatch.setattr("multistar.checks.fitting.xp_response.MAGNITUDE_ERROR", 10.0)
    pairs = (with_coefficients(stars, measured), stars)
    bright = np.arange(len(teff)) % 2 == 0
    seen = np.where(
        bright[:, None], make_bright(measured, dict.fromkeys(BANDS, of_bright)), measured
    )
    hst = HSTPairs(stars.source_id.astype(str), teff, bright, ~bright, seen, modelled)
    found, found_bright = fit_response(pairs, hst)
    at_giants = (TEFF < 5500) & (TEFF > 4000)
    midst = (KNOTS > 17) & (KNOTS < 35)
    for band in BANDS:
        off = np.array([*found[band][at_giants] - wave, found_bright[band] - of_bright])[:, midst]
        # the level of stars of HST is not used
        off -= off.mean(axis=1, keepdims=True)
        assert np.abs(off).max() < 0.006
    for row in measure_left(pairs, found):
        if row["n"] > 20:
            assert row["after"] < 0.7 * row["before"]  # the level stays
    write_response(found, tmp_path / "response.json", overwrite=False)
    with pytest.raises(FileExistsError):
        write_response(found, tmp_path / "response.json", overwrite=False)


def test_bright_stars_are_brought_to_faint_ones_and_no_others(stars):
    faint = all_coefficients(stars)
    seen = with_coefficients(stars, make_bright(faint, load_bright()))
    g = np.where(np.arange(len(stars)) < 100, BRIGHT - 1, BRIGHT + 1)
    g[0] = np.nan
    before = all_coefficients(seen).copy()
    correct_bright(dict(seen.xp), g)
    changed = is_bright(seen.xp, g)
    np.testing.assert_array_equal(changed, g < BRIGHT)
    after = all_coefficients(seen)
    np.testing.assert_array_equal(after[~changed], before[~changed])
    for band, columns in (("bp", slice(0, 55)), ("rp", slice(55, 110))):
        basis = load_band(band).internal_basis(np.arange(14.0, 40.0))
        truth, left = (values[changed][:, columns] @ basis for values in (faint, after))
        worst = np.abs(before[changed][:, columns] @ basis / truth - 1).max(1)
        assert np.median(worst) > 0.005
        assert np.median(np.abs(left / truth - 1).max(1)) < 0.002


def test_bright_stars_are_corrected_where_they_are_real(mock_table):
    """Mock stars have the calibration of faint ones, however bright they are."""
    g = mock_table.column_names.index("phot_g_mean_mag")
    near = np.full(20, 8.0)
    table = mock_table.slice(0, 20).set_column(g, "phot_g_mean_mag", [near])
    raw = read_stars(table, origin="mock")
    model = MultiStar.from_pretrained("mini")
    assert "XP of 20 stars of G < 10.5" in str(model.describe(table, origin="sky"))
    assert "corrected" not in str(model.describe(table, origin="mock"))
    real = read_stars(table, origin="sky")
    for band in BANDS:
        assert (np.abs(real.xp[band].value / raw.xp[band].value - 1).max(1) > 1e-3).all()
        faint = read_stars(mock_table.slice(0, 20), origin="sky").xp[band].value
        np.testing.assert_array_equal(faint, read_stars(mock_table.slice(0, 20)).xp[band].value)


def test_orders_that_are_not_known_stay_so_and_other_layouts_are_left_alone():
    value = np.random.default_rng(0).normal(size=(3, 55))
    value[1, 10:] = np.nan
    xp = {"bp": XPCoefficients(value.copy(), np.ones_like(value))}
    correct_bright(xp, np.full(3, 7.0))
    assert is_bright(xp, np.full(3, 7.0)).all()
    assert (xp["bp"].value[:, :10] != value[:, :10]).all()
    np.testing.assert_array_equal(np.isnan(xp["bp"].value), np.isnan(value))
    of_dr4 = {"bp": XPCoefficients(value[:, :51].copy(), np.ones((3, 51)))}
    correct_bright(of_dr4, np.full(3, 7.0))
    assert not is_bright(of_dr4, np.full(3, 7.0)).any()
    np.testing.assert_array_equal(of_dr4["bp"].value, value[:, :51])


def test_the_flux_of_hst_gets_the_response_that_gives_the_sampled_spectrum(stars):
    """A known response comes back where sampled spectra show it, and nothing beyond."""
    model = all_coefficients(stars)[3]
    bump = {band: 0.05 * np.exp(-0.5 * ((KNOTS - 27) / 4) ** 2) for band in BANDS}
    measured = make_bright(model[None], bump)[0]
    sampling = flux_matrix()
    found = _follow(measured @ sampling, model, sampling)
    level = np.median(measured @ sampling / (model @ sampling))
    for band, part in zip(BANDS, (slice(None, 55), slice(55, None)), strict=True):
        basis = load_band(band).internal_basis(np.arange(16.0, 40.0))
        np.testing.assert_allclose(found[part] @ basis, measured[part] @ basis, rtol=0.01)
        blind = load_band(band).internal_basis(np.array([9.0, 10.0]))
        np.testing.assert_allclose(found[part] @ blind, level * model[part] @ blind, rtol=0.1)


def test_a_star_is_found_by_its_sampled_spectrum(stars):
    published, sampling = all_coefficients(stars), flux_matrix()
    np.testing.assert_allclose(
        _find(3 * published[7] @ sampling, published, sampling), 3 * published[7]
    )
    assert _find(published[7] @ sampling, np.delete(published, 7, axis=0), sampling) is None
