"""Sampled XP spectra are read as the coefficients that they were made from."""

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.io.votable import parse
from astropy.table import Table

from multistar.api import MultiStar
from multistar.checks.fitting.sampled_prior import (
    BRIGHTEST,
    fit_sampled_prior,
    write_sampled_prior,
)
from multistar.checks.real.sampled_xp import compare_sampled
from multistar.mock.sampled import sample_spectra
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.instrument import load_band
from multistar.modalities.gaia_xp.sampled import (
    EXACTNESS,
    _decompose,
    _exactness,
    solve_coefficients,
)
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix
from multistar.stars import Stars, read_stars


@pytest.fixture(scope="module")
def stars(mock_table) -> Stars:
    return read_stars(mock_table.slice(0, 80), all_orders=True)


@pytest.fixture(scope="module")
def spectra(stars) -> dict[str, np.ndarray]:
    """What the archive's sampled spectra of the same stars are, without correlations."""
    bands = stars.xp["bp"], stars.xp["rp"]
    value, sigma = (np.hstack([getattr(x, part) for x in bands]) for part in ("value", "sigma"))
    flux, error = sample_spectra(value, sigma)
    return {"source_id": stars.source_id, "flux": flux, "flux_error": error}


def test_coefficients_come_back_within_their_errors(stars, spectra):
    found = solve_coefficients(spectra["flux"], spectra["flux_error"], WAVELENGTH)
    for band, coefficients in found.items():
        known = np.isfinite(coefficients.value)
        assert known[:, :30].mean() > 0.85
        off = (coefficients.value - stars.xp[band].value) / coefficients.sigma
        assert np.median(np.abs(off[known])) < 0.5


@pytest.mark.parametrize(("band", "seen"), [("bp", (14.75, 47)), ("rp", (12.75, 48))])
def test_what_is_sampled_comes_back_as_it_was_and_the_rest_within_its_error(
    stars, spectra, band, seen
):
    found = solve_coefficients(spectra["flux"], spectra["flux_error"], WAVELENGTH)[band]
    assert np.isfinite(found.value).mean() > 0.95
    whole = np.isfinite(found.value).all(axis=1)
    assert whole.mean() > 0.5
    pixels = np.arange(8, 56, 0.5)
    basis = load_band(band).internal_basis(pixels)
    off = np.abs(found.value - stars.xp[band].value)[whole]
    error = np.sqrt(stars.xp[band].sigma[whole] ** 2 @ basis**2)
    shift = np.abs((found.value - stars.xp[band].value)[whole] @ basis) / error
    inside = (pixels >= seen[0]) & (pixels <= seen[1])
    assert np.median(shift[:, inside]) < 0.02
    assert np.percentile(shift[:, inside], 99) < 0.3
    # what was lost is not known better than it is said to be
    assert np.percentile(off / found.sigma[whole], 95) < 2


def test_what_no_coefficients_make_is_told_from_what_they_make(spectra):
    """A flux that was smoothed or rounded is trusted less: less of the coefficients is known."""
    flux, error = spectra["flux"], spectra["flux_error"]
    rough = flux * (1 + 0.02 * np.random.default_rng(0).normal(size=flux.shape))
    exact, inexact = (solve_coefficients(x, error, WAVELENGTH) for x in (flux, rough))
    for band in ("bp", "rp"):
        assert np.isfinite(inexact[band].value).sum() < np.isfinite(exact[band].value).sum()


def test_the_prior_is_how_mock_stars_vary(mock_table, tmp_path):
    stars = read_stars(mock_table, all_orders=True)
    prior = fit_sampled_prior(stars)
    write_sampled_prior(prior, tmp_path / "prior.npz", overwrite=False)
    with np.load(tmp_path / "prior.npz") as file:
        mean, factor = file["mean"].astype(float), file["factor"].astype(float)
    value = np.hstack([stars.xp[band].value for band in ("bp", "rp")])
    sigma = np.hstack([stars.xp[band].sigma for band in ("bp", "rp")])
    value = value / np.abs(value @ flux_matrix()).sum(1, keepdims=True)
    noise = np.median(sigma / np.hstack([stars.xp[b].value for b in ("bp", "rp")])[:, :1], axis=1)
    best = np.abs(noise) <= np.quantile(np.abs(noise), BRIGHTEST)
    np.testing.assert_allclose(mean, value[best].mean(0), rtol=1e-3, atol=1e-4 * abs(mean).max())
    variance = np.diag(factor @ factor.T)
    np.testing.assert_allclose(variance[:20], value[best].var(0, ddof=1)[:20], rtol=0.03)
    with pytest.raises(FileExistsError):
        write_sampled_prior(prior, tmp_path / "prior.npz", overwrite=False)


def test_a_mock_survey_gives_the_sampled_spectra_of_its_coefficients():
    configs = (SurveyConfig(seed=3), SurveyConfig(seed=3, sampled=True))
    plain, sampled = (pa.concat_tables(survey(40, config)) for config in configs)
    assert not [name for name in sampled.column_names if "coefficient" in name]
    known, found = read_stars(plain, all_orders=True), read_stars(sampled)
    assert (found.source_id == known.source_id).all()
    for band, coefficients in known.xp.items():
        off = (found.xp[band].value - coefficients.value) / found.xp[band].sigma
        assert np.nanmedian(np.abs(off)) < 0.5
    with pytest.raises(ValueError, match="layout dr3"):
        SurveyConfig(sampled=True, correlations=True)


def shifts(stars: Stars, label: str) -> tuple[float, float]:
    """How far 68 % of the labels move in units of their errors, and the ratio of these."""
    model = MultiStar.from_pretrained("mini", device="cpu").model
    (row,) = [row for row in compare_sampled(model, stars) if row["label"] == label]
    return row["moved"], row["width"]


def test_labels_of_bright_mock_stars_are_those_of_the_coefficients(stars):
    """Their errors are so small that what sampling loses is seen in them."""
    moved, wider = shifts(stars, "teff")
    assert moved < 1.8
    assert 0.95 < wider < 1.7


@pytest.mark.realdata
@pytest.mark.parametrize(("label", "most"), [("teff", 0.65), ("m_h", 0.45), ("ebv", 0.55)])
def test_labels_of_real_stars_are_those_of_the_coefficients(real_data, label, most):
    file = real_data / "xp" / "gaia_dr3_xp_continuous_field.fits"
    moved, wider = shifts(read_stars(file, all_orders=True).select(slice(0, 150)), label)
    # Sampling loses the ends of both bands, and with them their noise, which moves labels.
    assert moved < most
    assert 0.95 < wider < 1.15


def test_any_grid_and_unit(spectra):
    grid = np.arange(340.0, 1010.0, 3.0)
    flux, error = (
        np.stack([np.interp(grid, WAVELENGTH, row) for row in spectra[name]])
        for name in ("flux", "flux_error")
    )
    table = Table({"source_id": spectra["source_id"], "phot_g_mean_mag": np.full(80, 12.0)})
    table["wavelength"] = np.tile(grid * 10, (80, 1)) * u.AA
    to = u.erg / u.s / u.cm**2 / u.AA
    factor = (u.W / u.m**2 / u.nm).to(to)
    table["flux"], table["flux_error"] = flux * factor * to, error * factor * to
    found = read_stars(table).xp
    expected = solve_coefficients(flux, error, grid)
    for band in ("bp", "rp"):
        known = np.isfinite(expected[band].value)
        assert known.mean() > 0.5
        off = (found[band].value - expected[band].value) / expected[band].sigma
        # the last digits of the unit's factor move what is solved for by this much
        assert np.abs(off[known]).max() < 0.03


def test_frames_of_gaiaxpy_and_g_from_the_spectrum(stars, spectra):
    frame = pd.DataFrame(
        {name: list(values) if values.ndim > 1 else values for name, values in spectra.items()}
    )
    found = read_stars(frame)
    measured = stars.scalars["g"]
    off = np.abs(found.scalars["g"].value - measured.value)
    assert (off < 0.02 + 4 * measured.sigma).all()  # the magnitude has its own noise


def test_spectra_that_are_missing_or_without_errors(spectra, star_model):
    flux = spectra["flux"].copy()
    flux[0], flux[1, 7] = np.nan, np.nan
    table = {"source_id": spectra["source_id"], "flux": flux, "phot_g_mean_mag": np.full(80, 12.0)}
    found = read_stars(table)
    assert np.isnan(found.xp["bp"].value[:2]).all()
    assert np.isfinite(found.xp["bp"].value[2:, :20]).mean() > 0.9
    assert np.isnan(found.xp["bp"].sigma).all()
    words = star_model.predict(table)["status"].to_pylist()
    assert "no_xp" in words[0] and "no_xp_error" in words[2]
    line = next(q for q in star_model.describe(table).quantities if q.name == "XP rp")
    assert (line.columns, line.error_columns, line.stars) == (("flux",), (), 78)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flux": np.ones((2, 100))}, "100 samples of flux, but no column wavelength"),
        ({"wavelength": np.tile(WAVELENGTH * 10, (2, 1))}, "within 336-1020 nm, found 3360-10200"),
        ({"wavelength": np.stack([WAVELENGTH, WAVELENGTH + 1])}, "same 343 wavelengths"),
        ({"flux": np.ones((2, 343)) * u.Jy}, "column flux is in Jy, expected W / "),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, message):
    table = {"source_id": np.arange(2), "phot_g_mean_mag": np.full(2, 12.0)}
    with pytest.raises(ValueError, match=message):
        read_stars(table | {"flux": np.ones((2, 343))} | changes)


@pytest.mark.realdata
def test_the_archives_own_file(real_data):
    stars = read_stars(real_data / "xp" / "gaia_dr3_xp_sampled10.xml")
    assert stars.source_id[0] == 422596679964513792 and len(stars) == 10
    assert np.isfinite(stars.xp["rp"].sigma[:, :20]).mean() > 0.8
    assert ((stars.scalars["g"].value > 11) & (stars.scalars["g"].value < 15)).all()


@pytest.mark.realdata
def test_the_archives_spectra_are_made_by_the_map_to_the_last_digit(real_data):
    """That is what lets the reader solve for coefficients."""
    tables = parse(real_data / "xp" / "gaia_dr3_xp_sampled10.xml").iter_tables()
    flux = np.array([np.asarray(table.to_table()["flux"], float) for table in tables])
    left = _exactness(flux, _decompose(flux_matrix())) / flux.max(axis=1)
    assert (left < 2 * EXACTNESS).all()
