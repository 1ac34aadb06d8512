"""Spectra of any range and resolution: what they are read as, and what must change nothing."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from encoders import Measurement, SpectrumEncoder
from multistar import status
from multistar.modalities.modality import ReadOptions
from multistar.modalities.spectrum.features import compute_features, find_parts
from multistar.modalities.spectrum.grid import Grid, make_smoothing, smooth_spectra
from multistar.modalities.spectrum.modality import Spectrum, SpectrumHiding
from multistar.modalities.spectrum.read import LIGHT_SPEED, to_vacuum
from multistar.stars import read_stars

GRID = Grid(400.0, 700.0, 250.0)
WAVELENGTH = np.linspace(390.0, 710.0, 6400)
LINES = (
    (430.0, 0.4, 0.4),
    (486.1, 0.6, 0.8),
    (517.0, 0.5, 1.0),
    (589.3, 0.7, 0.5),
    (656.3, 0.6, 0.9),
)


def star(wavelength: np.ndarray = WAVELENGTH, velocity: float = 0.0) -> np.ndarray:
    """A spectrum with a slope and five lines of some width [nm] and depth."""
    flux = (wavelength / 550) ** -1.5
    for centre, depth, width in LINES:
        shifted = centre * (1 + velocity / LIGHT_SPEED)
        flux = flux * (1 - depth * np.exp(-0.5 * ((wavelength - shifted) / width) ** 2))
    return flux


def read(flux: np.ndarray, wavelength: np.ndarray = WAVELENGTH, **columns):
    flux = np.atleast_2d(flux)
    table = {
        "source_id": np.arange(len(flux)),
        "spectrum_flux": flux,
        "spectrum_flux_error": 0.01 * np.abs(flux),
        "spectrum_wavelength": np.tile(wavelength, (len(flux), 1)),
    }
    return read_stars(table | columns)


def features(stars, grid: Grid = GRID) -> dict[str, np.ndarray]:
    value, _ = compute_features(stars.blocks["spectrum"], grid)
    return {name: value[:, part] for name, part in find_parts(grid).items()}


def test_smoothing_keeps_the_mean_and_widens_a_line_as_a_gaussian():
    fine = np.linspace(480.0, 520.0, 20_000)
    width = 0.05
    line = np.exp(-0.5 * ((fine - 500.0) / width) ** 2)
    grid = Grid(490.0, 510.0, 500.0)
    flux, _ = smooth_spectra(make_smoothing(grid, fine, np.nan), line[None], line[None])
    wavelength = np.exp(grid.ln_wavelength)
    expected_width = np.hypot(width, 500.0 / 500.0 / 2.3548)
    area = np.trapezoid(flux[0], wavelength)
    assert area == pytest.approx(width * np.sqrt(2 * np.pi), rel=2e-3)
    variance = np.trapezoid(flux[0] * (wavelength - 500.0) ** 2, wavelength) / area
    assert np.sqrt(variance) == pytest.approx(expected_width, rel=5e-3)


def test_errors_of_independent_pixels_fall_with_their_number():
    fine = np.linspace(480.0, 520.0, 4000)
    noise = np.random.default_rng(0).normal(size=(4000, len(fine)))
    grid = Grid(490.0, 510.0, 300.0)
    flux, sigma = smooth_spectra(make_smoothing(grid, fine, np.nan), noise, np.ones_like(noise))
    np.testing.assert_allclose(flux.std(0), sigma[0], rtol=0.05)
    assert sigma.max() < 0.2


@pytest.mark.parametrize("continuum", [lambda w: 3e-17 + 0 * w, lambda w: (w / 500) ** 2.0])
def test_lines_do_not_depend_on_the_calibration(continuum):
    plain, other = (features(read(star() * f)) for f in (1.0, continuum(WAVELENGTH)))
    np.testing.assert_allclose(plain["lines"], other["lines"], atol=1e-3)


def test_a_cut_spectrum_has_the_same_numbers_where_it_is_observed():
    whole = features(read(star()))
    cut = features(read(np.where(WAVELENGTH < 560, star(), np.nan)))
    for name in ("lines", "shape"):
        seen = np.isfinite(cut[name])
        assert 0.3 < seen.mean() / np.isfinite(whole[name]).mean() < 0.6
        np.testing.assert_allclose(cut[name][seen], whole[name][seen], atol=0.02)
        assert np.median(np.abs(cut[name] - whole[name])[seen]) < 1e-3


def test_two_arms_of_other_scales_are_one_spectrum():
    whole = features(read(star()))
    blue, red = WAVELENGTH < 570, WAVELENGTH > 540
    wavelength = np.concatenate([WAVELENGTH[blue], WAVELENGTH[red]])
    flux = np.concatenate([star()[blue], 7 * star()[red]])
    arm = np.concatenate([np.zeros(blue.sum()), np.ones(red.sum())])
    arms = features(read(flux, wavelength, spectrum_arm=arm[None]))
    for name in ("lines", "shape"):
        seen = np.isfinite(arms[name])
        assert seen.sum() >= 0.95 * np.isfinite(whole[name]).sum()
        np.testing.assert_allclose(arms[name][seen], whole[name][seen], atol=0.02)


def test_another_sampling_or_padding_is_the_same_spectrum():
    whole = features(read(star()))
    coarser = np.linspace(392.0, 709.0, 2500)
    resampled = features(read(star(coarser), coarser))
    np.testing.assert_allclose(resampled["lines"], whole["lines"], atol=3e-3)
    padded = features(
        read(
            np.pad(star(), (0, 300), constant_values=np.nan),
            np.pad(WAVELENGTH, (0, 300), constant_values=np.nan),
        )
    )
    for name in whole:
        np.testing.assert_array_equal(padded[name], whole[name])


def test_a_known_velocity_is_taken_out():
    fine = Grid(400.0, 700.0, 1500.0)
    rest, moving = read(star()), read(star(velocity=200.0))
    corrected = read(star(velocity=200.0), radial_velocity=np.array([200.0]))
    error = np.nanmax(np.abs(features(corrected, fine)["lines"] - features(rest, fine)["lines"]))
    assert error < 0.002 < 0.05 < np.nanmax(
        np.abs(features(moving, fine)["lines"] - features(rest, fine)["lines"])
    )  # fmt: skip


def test_a_coarse_spectrum_says_so_and_is_not_smoothed_again():
    kernel = np.exp(-0.5 * (np.arange(-60, 61) * (WAVELENGTH[1] - WAVELENGTH[0]) / 0.93) ** 2)
    coarse = np.convolve(star(), kernel / kernel.sum(), mode="same")  # FWHM 2.2 nm: R = 250 at 550
    told = features(read(coarse, spectrum_resolving_power=np.array([250.0])))
    untold = features(read(coarse))
    fine = features(read(star()))
    here = np.abs(np.exp(GRID.ln_wavelength) - 550) < 40
    right = np.nanmax(np.abs(told["lines"] - fine["lines"])[:, here])
    assert right < 0.4 * np.nanmax(np.abs(untold["lines"] - fine["lines"])[:, here])
    assert told["resolution"] == 0 and np.isnan(untold["resolution"])
    coarser = features(read(coarse, spectrum_resolving_power=np.array([125.0])))
    np.testing.assert_allclose(coarser["resolution"], np.log(0.5))


def test_normalised_spectra_have_no_shape():
    one = features(read(star(), spectrum_normalised=np.array([1])))
    assert np.isfinite(one["lines"]).any() and not np.isfinite(one["shape"]).any()


def test_air_is_told_from_vacuum():
    assert to_vacuum(np.array([656.28])) == pytest.approx(656.461, abs=2e-3)  # H alpha
    table = pa.table(
        {"source_id": [1], "spectrum_flux": [star().tolist()]},
        metadata={
            "spectrum_wavelength": json.dumps(WAVELENGTH.tolist()),
            "spectrum_medium": "air",
        },
    )
    grid = read_stars(table).blocks["spectrum"].grids
    np.testing.assert_allclose(grid[0], to_vacuum(WAVELENGTH))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"spectrum_wavelength": None}, "no spectrum_wavelength"),
        ({"spectrum_wavelength": np.tile(WAVELENGTH * 10, (2, 1))}, "angstrom"),
        ({"spectrum_wavelength": np.tile(WAVELENGTH[::-1], (2, 1))}, "must rise within an arm"),
        ({"spectrum_wavelength": np.tile(WAVELENGTH[:-1], (2, 1))}, "6399 wavelengths for 6400"),
        ({"spectrum_flux_error": np.ones((2, 5))}, "5 pixels per star"),
        ({"radial_velocity": np.array(["fast", "slow"])}, "one number per star"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, message):
    table = {
        "source_id": np.arange(2),
        "spectrum_flux": np.tile(star(), (2, 1)),
        "spectrum_wavelength": np.tile(WAVELENGTH, (2, 1)),
    }
    table = {name: values for name, values in (table | changes).items() if values is not None}
    with pytest.raises(ValueError, match=message):
        read_stars(table)


def test_impossible_values_are_flagged_and_ignored():
    flux = np.tile(star(), (3, 1))
    flux[0, 100], flux[1, 200] = np.inf, -5.0
    stars = read(flux, radial_velocity=np.array([0.0, 0.0, 9e9]))
    flagged = (stars.flags & status.BIT["bad_value"]) > 0
    assert flagged.tolist() == [True, False, True]
    assert np.isnan(stars.blocks["spectrum"].flux[0, 100])


def test_stars_of_several_tables_keep_their_spectra():
    one, other = read(star()), read(star(WAVELENGTH[:3000]), WAVELENGTH[:3000])
    photometry = read_stars({"source_id": [7], "phot_g_mean_mag": [12.0]})
    from multistar.stars import concatenate_stars

    both = concatenate_stars([one, photometry, other])
    value, _ = compute_features(both.blocks["spectrum"], GRID)
    for row, part in ((0, one), (2, other)):
        expected, _ = compute_features(part.blocks["spectrum"], GRID)
        np.testing.assert_array_equal(value[row], expected[0])
    assert not np.isfinite(value[1]).any()
    assert (both.flags & status.BIT["no_data"] > 0).tolist() == [False, False, False]


def test_the_grid_of_a_model_is_that_of_its_spectra():
    block = read(star()).blocks["spectrum"]
    grid = Spectrum.of(block)
    assert grid is not None
    assert (grid.low, grid.high) == (390.0, 710.0)
    assert grid.grid.pixels <= 3001
    assert Spectrum.from_json(json.loads(json.dumps(grid.to_json()))) == grid
    empty = read_stars({"source_id": [7], "phot_g_mean_mag": [12.0]})
    assert "spectrum" not in empty.blocks


def test_what_is_not_observed_changes_nothing():
    sizes = (100, 20, 1)
    encoder = SpectrumEncoder(sizes, 16, 1, 2).eval()
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(3, sum(sizes), generator=generator)
    observed = torch.rand(value.shape, generator=generator) < 0.5
    observed[0] = False
    sigma = torch.full_like(value, 0.1)
    other = torch.where(observed, value, 1e9)
    one = encoder(Measurement(value, sigma, observed))
    two = encoder(Measurement(other, torch.where(observed, sigma, torch.nan), observed))
    assert torch.equal(one.features[one.observed], two.features[two.observed])
    assert torch.equal(one.observed, two.observed) and not one.observed[0].any()


def test_training_hides_ranges_and_shapes():
    modality = Spectrum(400.0, 700.0, 250.0)
    hiding = SpectrumHiding(absent=0.0, window=1.0, normalised=1.0)
    shown = modality.draw_available(
        200, torch.zeros(200, dtype=torch.bool), hiding, torch.Generator().manual_seed(0)
    )
    lines = shown[:, find_parts(GRID)["lines"]]
    assert not shown[:, find_parts(GRID)["shape"]].any()
    edges = lines[:, 1:] ^ lines[:, :-1]
    assert (edges.sum(1) <= 2).all() and 0.3 < lines.float().mean() < 0.8


def test_options_do_not_matter():
    flags = np.zeros(1, np.uint16)
    from multistar.io.tables import read_columns

    assert Spectrum.read(read_columns({"source_id": [1]}), ReadOptions(), flags) is None
