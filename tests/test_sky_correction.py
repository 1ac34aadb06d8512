"""The correction of spectra by real stars, on stars whose correction is known."""

import numpy as np
import pytest

from multistar.checks.fitting.hot_stars import add_hot_stars
from multistar.checks.fitting.sky_anchors import AnchorMaker, is_fitted
from multistar.checks.fitting.sky_correction import (
    KNOTS,
    SOLAR,
    fit_correction,
    interpolate_knots,
    keep_light,
)

WAVELENGTH = np.geomspace(290, 5600, 900)  # nm


def black_body(labels: np.ndarray) -> np.ndarray:
    """ln of a Planck curve, with a broad feature that metals deepen."""
    teff, _, m_h = np.asarray(labels, float).T[:, :, None]
    planck = -5 * np.log(WAVELENGTH) - np.log(np.expm1(1.43877e7 / (WAVELENGTH * teff)))
    return planck - 0.1 * (m_h + 1) * np.exp(-(((WAVELENGTH - 430) / 30) ** 2))


def true_correction(labels: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """Zero at the Sun; it grows with 5040 / Teff, towards the blue."""
    coolness = 5040 / np.asarray(labels)[:, :1] - 5040 / SOLAR[0]
    return coolness * 0.4 * np.exp(-((np.log(wavelength / 400) / 0.2) ** 2))


@pytest.fixture(scope="module")
def fitted():
    """80 stars of MILES, as bright as anybody likes, and the Sun."""
    rng = np.random.default_rng(0)
    maker = AnchorMaker(black_body, WAVELENGTH, {})
    wave = np.arange(354.0, 741.0, 0.5)
    anchors = []
    for i in range(80):
        labels = np.array([rng.uniform(4200, 7500), rng.uniform(3.6, 4.8), rng.uniform(-1, 0.4)])
        ln_flux = black_body(labels[None]) + true_correction(labels[None], WAVELENGTH)
        flux = np.exp(np.interp(wave, WAVELENGTH, ln_flux[0]) + rng.normal())
        anchors.append(maker.of_spectrum("miles", labels, wave, flux, f"star {i}"))
    sun = np.exp(np.interp(wave, WAVELENGTH, black_body(np.array([SOLAR]))[0]))
    anchors.append(maker.of_spectrum("sun", np.array(SOLAR), wave, sun, "the Sun"))
    return fit_correction(anchors)


def test_a_known_correction_is_found_between_the_stars(fitted):
    labels = np.array([[5000.0, 4.2, -0.3], [6800, 4.1, 0.1], [5772, 4.438, 0.0]])
    wavelength = np.arange(380.0, 720, 10)
    found = fitted.evaluate(labels, wavelength)
    truth = true_correction(labels, wavelength)
    apart = found - truth - (found - truth).mean(1, keepdims=True)  # the level is free
    assert np.abs(truth).max() > 0.05
    assert np.abs(apart).max() < 0.012
    assert abs(fitted.teff_offset["miles dwarfs"]) < 0.005


def test_far_from_all_stars_there_is_no_correction_and_it_is_uncertain(fitted):
    near, far = np.array([[5500.0, 4.4, 0.0]]), np.array([[25_000.0, 4.0, 0.0]])
    inside = KNOTS[(KNOTS > 380) & (KNOTS < 720)]
    assert np.abs(fitted.evaluate(far, inside)).max() < 0.01
    ratio = fitted.uncertainty(far, inside) / np.maximum(fitted.uncertainty(near, inside), 1e-9)
    assert np.isfinite(ratio).all()


def test_spectra_keep_their_light_and_knots_are_met():
    ln_flux = black_body(np.array([[5000.0, 4, 0]]))
    added = np.sin(WAVELENGTH / 100) * 0.2
    kept = keep_light(ln_flux, ln_flux + added, WAVELENGTH)
    light = [np.trapezoid(np.exp(x), WAVELENGTH) for x in (ln_flux[0], kept[0])]
    assert light[0] == pytest.approx(light[1])
    assert np.ptp(kept - ln_flux - added) < 1e-9
    np.testing.assert_allclose(interpolate_knots(KNOTS), np.eye(len(KNOTS)), atol=1e-12)


def test_a_gap_of_a_spectrum_counts_nothing():
    maker = AnchorMaker(black_body, WAVELENGTH, {})
    wave, labels = np.arange(354.0, 741.0, 0.5), np.array([5200.0, 4.0, -0.2])
    flux = np.exp(np.interp(wave, WAVELENGTH, black_body(labels[None])[0]))
    whole = maker.of_spectrum("miles", labels, wave, flux, "whole")
    flux[(wave > 500) & (wave < 540)] = -1e9
    gap = maker.of_spectrum("miles", labels, wave, flux, "gap")
    assert whole is not None and gap is not None
    assert len(whole.ratio) - len(gap.ratio) in (4, 5)
    assert np.ptp(whole.ratio) < 1e-3 and np.ptp(gap.ratio) < 1e-3


def test_hot_stars_follow_kurucz_and_cool_ones_our_models():
    lte_teff, teff = np.array([6000.0, 7000, 8200]), np.array([6000.0, 7000, 8200, 9000, 20_000])
    lte = np.zeros((3, 2, 3, 3, 4))
    lte[:, :, 2, 0] = 0.5  # metals
    lte[:, :, :, 1] = 0.2  # a derivative
    kurucz = np.full((5, 2, 4), 3.0)
    grid = add_hot_stars(lte, lte_teff, teff, 1, kurucz)
    assert (grid[:2] == lte[:2]).all()
    np.testing.assert_allclose(grid[3:, :, 1, 0], 3.0)
    assert 0 < grid[2, 0, 1, 0, 0] < 3
    metals = grid[:, 0, 2, 0, 0] - grid[:, 0, 1, 0, 0]
    assert metals[2] == pytest.approx(0.5) and metals[4] < metals[3] < 0.5
    assert grid[4, 0, 0, 1, 0] < grid[3, 0, 0, 1, 0] < 0.2


def test_sixty_percent_are_fitted_whatever_the_order():
    chosen = [is_fitted(str(i)) for i in range(3000)]
    assert np.mean(chosen) == pytest.approx(0.6, abs=0.03)
    assert chosen[17] == is_fitted("17")
