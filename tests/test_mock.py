"""The mock survey against known physics and the instrument model."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import assert_same_table

from multistar.mock.dust import DustDisc
from multistar.mock.evolution import load_evolution
from multistar.mock.noise import (
    PARALLAX_ZERO_POINT,
    noisy_coefficients,
    noisy_magnitudes,
    noisy_parallax,
    pack_correlations,
)
from multistar.mock.phases import draw_evolved
from multistar.mock.population import absolute_magnitudes
from multistar.mock.sed import BANDS, load_sed_table
from multistar.mock.selection import GIANTS, SELECTIONS
from multistar.mock.shards import write_survey
from multistar.mock.survey import SOURCE_ID_STEP, SurveyConfig, survey, survey_block
from multistar.modalities.gaia_xp.instrument import xp_matrix
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix

RSUN_IN_PC = 2.2546e-8


def test_same_seed_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_survey(300, SurveyConfig(3), tmp_path / f"{name}.parquet", quiet=True)
    write_survey(300, SurveyConfig(4), tmp_path / "c.parquet", quiet=True)
    a, b, c = ((tmp_path / f"{name}.parquet").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_longer_survey_starts_with_the_shorter_one():
    short = pa.concat_tables(survey(50, SurveyConfig(1)))
    long = pa.concat_tables(survey(6000, SurveyConfig(1)))
    assert len(long) == 6000
    assert_same_table(short, long[:50])
    assert len(set(long["source_id"].to_pylist())) == 6000


def test_source_ids_hold_the_sky_position(mock_table):
    from astropy_healpix import HEALPix

    pixel = mock_table["source_id"].to_numpy() // SOURCE_ID_STEP
    lon, lat = HEALPix(4096, order="nested").healpix_to_lonlat(pixel)
    offset = np.hypot(
        (lon.deg - mock_table["ra"].to_numpy() + 180) % 360 - 180,
        lat.deg - mock_table["dec"].to_numpy(),
    )
    assert np.all(offset * np.cos(lat.rad) < 0.05)


def test_the_sun_has_its_magnitudes():
    """Absolute G 4.67, BP-RP 0.82, Ks 3.27 (Vega) in the literature.

    0.05 mag is what our spectra are good for.
    """
    table = load_sed_table()
    solar = (np.array([x]) for x in (5772.0, 4.438, 0.0, 0.0, 0.0))
    flux = np.exp(table.ln_flux(*solar)) * 1e-10 * (RSUN_IN_PC / 10) ** 2
    magnitudes = table.zero_point - 2.5 * np.log10(flux @ table.passband.T)
    mag = dict(zip(BANDS, magnitudes[0], strict=True))
    assert mag["g"] == pytest.approx(4.67, abs=0.05)
    assert mag["bp"] - mag["rp"] == pytest.approx(0.82, abs=0.05)
    assert mag["ks"] == pytest.approx(3.27, abs=0.05)


def test_xp_coefficients_calibrate_back_to_the_spectrum():
    """Coefficients of a spectrum, calibrated by GaiaXPy, give the spectrum at XP resolution."""
    table = load_sed_table()
    giant = (np.array([x]) for x in (4750.0, 2.5, 0.0, 0.0, 0.0))
    flux = np.exp(table.ln_flux(*giant))[0] * 1e-30
    back = (xp_matrix(table.wavelength) @ flux) @ flux_matrix()
    fine = np.arange(300, 1100, 0.25)
    wavelengths = [330, 400, 500, 640, 650, 800, 1000]
    resolution = 0.3 * np.interp(WAVELENGTH, wavelengths, [3, 4, 7.5, 14, 7, 10, 14])  # nm
    kernel = np.exp(-0.5 * ((fine - WAVELENGTH[:, None]) / resolution[:, None]) ** 2)
    smooth = kernel @ np.interp(fine, table.wavelength, flux) / kernel.sum(1)
    for low, high, tolerance in ((420, 500, 0.05), (500, 640, 0.025), (640, 1000, 0.012)):
        inside = (low < WAVELENGTH) & (high > WAVELENGTH)
        assert np.sqrt(np.mean((back[inside] / smooth[inside] - 1) ** 2)) < tolerance, (low, high)


def test_noise_has_the_quoted_errors_and_correlations():
    n = 3000
    truth = np.tile(1000 * np.exp(-np.arange(55) / 3.0), (n, 1))
    rng = np.random.default_rng(0)
    observed = noisy_coefficients(
        "bp", truth, np.full(n, 15.0), np.full(n, 40), rng, correlations=True
    )
    z = (observed.value - truth) / observed.sigma
    assert np.all(np.abs(z.mean(0)) < 5 / np.sqrt(n))
    assert np.all(np.abs(z.std(0) - 1) < 5 / np.sqrt(2 * n))
    np.testing.assert_allclose(np.corrcoef(z.T), observed.correlation[0], atol=5 / np.sqrt(n))
    # The noise is far from independent.
    assert np.abs(observed.correlation[0] - np.eye(55)).max() > 0.3


def test_correlations_are_packed_as_gaiaxpy_unpacks_them():
    from gaiaxpy.core.generic_functions import array_to_symmetric_matrix

    full = np.corrcoef(np.random.default_rng(0).normal(size=(6, 20)))
    unpacked = array_to_symmetric_matrix(pack_correlations(full[None])[0], 6)
    np.testing.assert_allclose(unpacked, full)


def test_the_dr4_like_layout_has_51_bp_coefficients():
    table = survey_block(SurveyConfig(5, layout="dr4-like", correlations=True), 0)[:20]
    sizes = {
        name: table.schema.field(name).type.list_size
        for name in table.column_names
        if name[:2] in ("bp", "rp")
    }
    assert sizes == {
        "bp_coefficients": 51,
        "bp_coefficient_errors": 51,
        "bp_coefficient_correlations": 51 * 50 // 2,
        "rp_coefficients": 55,
        "rp_coefficient_errors": 55,
        "rp_coefficient_correlations": 55 * 54 // 2,
    }


@pytest.mark.parametrize("name", SELECTIONS)
def test_selections_keep_what_they_say(name):
    table, selection = survey_block(SurveyConfig(1, selection=name), 0), SELECTIONS[name]
    assert len(table) > 10
    assert table["true_ebv"].to_numpy().max() < selection.max_ebv
    logg = table["true_logg"].to_numpy()
    assert logg.min() > selection.logg[0]
    assert logg.max() < selection.logg[1]
    column = {"g": "phot_g_mean_mag", "h": "h_m"}
    for band, (bright, faint) in selection.magnitude.items():
        value = table[column[band]].to_numpy()
        brightest, faintest = np.quantile(value, [0.01, 0.99])
        assert brightest > bright - 0.2  # limits hold before the noise, which is large for some
        assert faintest < faint + 0.2


def test_unknown_selections_and_layouts_are_named():
    with pytest.raises(ValueError, match="unknown selection 'gaia'; known are"):
        SurveyConfig(selection="gaia")
    with pytest.raises(ValueError, match="unknown layout"):
        SurveyConfig(layout="dr5")


def test_more_massive_giants_are_younger(mock_table):
    mass, age = mock_table["true_mass"].to_numpy(), mock_table["true_age"].to_numpy()
    solar = np.abs(mock_table["m_h"].to_numpy()) < 0.15
    slope = np.polyfit(np.log(mass[solar]), np.log(age[solar]), 1)[0]
    assert -4 < slope < -2  # dln t / dln M of stellar evolution is about -3


def test_evolved_stars_lie_on_the_giant_branch():
    rng = np.random.default_rng(1)
    tracks = {
        age: load_evolution().isochrone(np.full(6000, age), np.zeros(6000)) for age in (1.0, 5.0)
    }
    star, exists = draw_evolved(tracks[5.0], GIANTS, rng)
    assert 0.05 < exists.mean() < 1
    _, young_exists = draw_evolved(tracks[1.0], GIANTS, rng)
    assert young_exists.mean() > exists.mean()  # more giants per star formed at 1 Gyr
    assert 1.1 < np.median(star.mass) < 1.35  # 5 Gyr, solar metallicity: about 1.25 Msun
    assert 4400 < np.median(star.teff) < 4900
    clump = (star.luminosity > 45) & (star.luminosity < 65)
    h = absolute_magnitudes(star.luminosity[clump], star.teff[clump])["h"]
    assert -2.0 < np.median(h) < -1.2  # red clump M_H = -1.5


def test_dust_grows_with_distance_and_is_the_same_every_time():
    rng = np.random.default_rng(2)
    l, b = rng.uniform(0, 2 * np.pi, 200), np.arcsin(rng.uniform(-1, 1, 200))  # noqa: E741
    near, far = DustDisc().ebv(l, b, np.full(200, 1.0)), DustDisc().ebv(l, b, np.full(200, 5.0))
    assert np.all(near > 0)
    assert np.all(far > near * 0.98)
    np.testing.assert_array_equal(near, DustDisc().ebv(l, b, np.full(200, 1.0)))


def test_labels_carry_the_stated_errors(mock_table):
    for name in ("teff", "logg", "m_h", "mass", "age", "ebv", "distance", "alpha_m"):
        deviation = mock_table[name].to_numpy() - mock_table[f"true_{name}"].to_numpy()
        z = deviation / mock_table[f"{name}_error"].to_numpy()
        assert abs(z.mean()) < 0.2
        assert abs(z.std() - 1) < 0.15


def test_an_error_does_not_tell_the_star():
    """Stars of one magnitude have errors that scatter, and noise as large as they say."""
    rng = np.random.default_rng(0)
    exact = np.full((20_000, len(BANDS)), 15.0)
    value, error = noisy_magnitudes(exact, rng)
    distance = np.ones(20_000)
    parallax, parallax_error = noisy_parallax(distance, np.full(20_000, 15.0), rng)
    noise = [*((value - exact) / error).T]
    noise.append((parallax - 1 / distance - PARALLAX_ZERO_POINT) / parallax_error)
    for z, size in zip(noise, [*error.T, parallax_error], strict=True):
        known = np.isfinite(z)
        assert abs(z[known].std() - 1) < 0.03
        low, high = np.quantile(size[known], (0.05, 0.95))
        assert high > 2.5 * low


def test_errors_of_labels_scatter(mock_table):
    for name in ("teff", "logg", "mass"):
        relative = mock_table[f"{name}_error"].to_numpy() / mock_table[f"true_{name}"].to_numpy()
        low, high = np.quantile(relative, (0.05, 0.95))
        assert high > 4 * low, name


def test_blocks_are_independent_of_each_other():
    first, second = (survey_block(SurveyConfig(1), i)["source_id"].to_numpy() for i in (0, 1))
    assert not np.isin(first, second).any()


def test_no_stars_and_existing_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        write_survey(0, SurveyConfig(1), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("precious")
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_survey(10, SurveyConfig(1), tmp_path / "b.parquet")
    assert (tmp_path / "b.parquet").read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["b.parquet"]
