"""Sampled XP spectra are read as the coefficients that they were made from."""

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import Table

from multistar.api import MultiStar
from multistar.checks.real.sampled_xp import compare_sampled
from multistar.mock.sampled import sample_spectra
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.sampled import solve_coefficients
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH
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
@pytest.mark.parametrize("label", ["teff", "m_h", "ebv"])
def test_labels_of_real_stars_are_those_of_the_coefficients(real_data, label):
    file = real_data / "xp" / "gaia_dr3_xp_continuous_field.fits"
    moved, wider = shifts(read_stars(file, all_orders=True).select(slice(0, 150)), label)
    # Sampling loses what high orders say: labels move by 0.3 errors for that alone.
    assert moved < 0.7
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
