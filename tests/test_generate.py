"""Generated and inpainted spectra: layout, units, round trips through our readers and GaiaXPy."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.inference.generate import to_coefficients
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH
from multistar.quantities import LABELS
from multistar.stars import read_stars


def matrix(table, name: str) -> np.ndarray:
    return np.array(table[name].to_pylist(), np.float64)


@pytest.fixture(scope="module")
def labels(mock_table):
    """Labels of eight stars; the even rows have G."""
    frame = mock_table.select(["source_id", "phot_g_mean_mag", *LABELS])[:8].to_pandas()
    frame.loc[1::2, "phot_g_mean_mag"] = np.nan
    return frame


@pytest.fixture(scope="module")
def generated(star_model, labels):
    return star_model.generate(labels, samples=16, seed=1, sampled=True)


def archive_frame(table) -> pd.DataFrame:
    frame = table.to_pandas()
    for name in [c for c in frame if isinstance(frame[c].iloc[0], np.ndarray)]:
        frame[name] = [np.asarray(x) for x in frame[name]]
    return frame


def test_standardised_coefficients_invert(star_model, mock_table):
    stars = read_stars(mock_table[:50])
    model, slots = star_model.model, star_model.model.vocabulary.band_slots
    z = model.standardiser(stars).value.double().numpy()
    for band, xp in stars.xp.items():
        part = z[:, slots[band].start : slots[band].stop]
        back = to_coefficients(model, band, part, stars.scalars["g"].value)
        np.testing.assert_allclose(back, xp.value, rtol=1e-4, atol=1e-4 * np.abs(xp.value).max())


def test_generated_rows_are_the_input_rows_with_g_kept(generated, labels):
    assert generated["source_id"].to_pylist() == labels["source_id"].tolist()
    g = generated["phot_g_mean_mag"].to_numpy()
    np.testing.assert_allclose(g[::2], labels["phot_g_mean_mag"][::2])
    assert np.isfinite(g).all()
    assert generated["status"].to_pylist() == ["ok"] * 8
    assert np.all(matrix(generated, "bp_coefficient_errors") > 0)


def test_generated_spectra_are_what_gaiaxpy_makes_of_the_coefficients(generated):
    from multistar._compat import load_gaiaxpy

    load_gaiaxpy()
    from gaiaxpy import calibrate

    spectra, _ = calibrate(
        archive_frame(generated), sampling=WAVELENGTH, truncation=False, save_file=False
    )
    wanted = np.stack(spectra["flux"].to_list())
    np.testing.assert_allclose(
        matrix(generated, "flux"), wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max()
    )
    assert np.isfinite(np.stack(spectra["flux_error"].to_list())).all()


def test_generated_tables_are_read_back(generated, labels, tmp_path):
    pq.write_table(generated, tmp_path / "xp.parquet")
    stars = read_stars(tmp_path / "xp.parquet")
    np.testing.assert_array_equal(stars.xp["rp"].value, matrix(generated, "rp_coefficients"))
    np.testing.assert_array_equal(stars.xp["bp"].sigma, matrix(generated, "bp_coefficient_errors"))
    assert not stars.flags.any()


def test_brighter_stars_have_proportionally_larger_coefficients(star_model):
    """The flux scale is that of G, to the accuracy of a model that saw 60 batches."""
    star = {
        "source_id": np.arange(2),
        "teff": np.full(2, 4700.0),
        "phot_g_mean_mag": np.array([12.0, 14.5]),
    }
    first = matrix(star_model.generate(star, samples=64), "rp_coefficients")[:, 0]
    np.testing.assert_allclose(first[0] / first[1], 10, rtol=0.3)


def test_labels_beyond_the_training_range_are_called_outside(star_model, labels):
    odd = labels.assign(teff=9500.0)
    assert star_model.generate(odd, samples=4)["status"].to_pylist() == ["outside_training"] * 8


def test_inpainting_leaves_what_is_observed_and_fills_the_rest(star_model, mock_table):
    table = mock_table[:20].to_pandas()
    value = np.stack(table["bp_coefficients"]).astype(np.float64)
    value[:, 30:] = np.nan
    table["bp_coefficients"] = list(value)
    filled = star_model.inpaint(table)
    out, predicted = matrix(filled, "bp_coefficients"), matrix(filled, "bp_predicted")
    np.testing.assert_array_equal(out[:, :30], value[:, :30])
    assert np.isfinite(out).all()
    assert predicted[:, 30:].all()
    assert not predicted[:, :30].any()
    np.testing.assert_array_equal(
        matrix(filled, "rp_coefficients"), np.stack(mock_table[:20]["rp_coefficients"].to_pylist())
    )


def test_a_band_from_the_other_does_not_use_the_band(star_model, mock_table):
    table = mock_table[:20].to_pandas()
    whole = star_model.inpaint(table, bands=["bp"])
    without = star_model.inpaint(table.drop(columns=[c for c in table if c.startswith("bp_")]))
    np.testing.assert_allclose(
        matrix(whole, "bp_coefficients"), matrix(without, "bp_coefficients"), rtol=1e-6
    )
    table["l"], table["b"] = np.linspace(0, 350, 20), np.linspace(-80, 80, 20)
    placed = star_model.inpaint(table, bands=["bp"], dust="disc")
    without_bp = table.drop(columns=[c for c in table if c.startswith("bp_")])
    np.testing.assert_allclose(
        matrix(placed, "bp_coefficients"),
        matrix(star_model.inpaint(without_bp, dust="disc"), "bp_coefficients"),
        rtol=1e-6,
    )
    assert matrix(whole, "bp_predicted").all()
    truth = np.stack(table["bp_coefficients"])[:, 0]
    assert (
        np.corrcoef(matrix(whole, "bp_coefficients")[:, 0], truth)[0, 1] > 0.9
    )  # the flux scale is right


def test_given_labels_tell_of_a_spectrum_what_magnitudes_do_not():
    """Dust and temperature known: BP of faint giants from G, BP and RP alone."""
    model = MultiStar.from_pretrained("mini")
    stars = survey_block(SurveyConfig(seed=61), block=0)[:200].to_pandas()
    known = stars[["source_id", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag"]].copy()
    for label, error in (("teff", 20.0), ("logg", 0.05), ("m_h", 0.03), ("ebv", 0.005)):
        known[label], known[f"{label}_error"] = stars[f"true_{label}"], error
    truth = np.stack(stars["bp_coefficients"])

    def miss(**options):
        told = matrix(model.inpaint(known, origin="mock", **options), "bp_coefficients")
        return np.median(np.abs(told - truth)[:, :8] / np.abs(truth[:, :1]))

    assert miss(given=["teff", "logg", "m_h", "ebv"]) < 0.7 * miss()
    with pytest.raises(ValueError, match="has no column"):
        model.inpaint(known, given=["mass"])


def test_both_commands_write_files_that_gaiaxpy_reads(mock_file, labels, model_folder, tmp_path):
    from gaiaxpy import calibrate

    labels.to_csv(tmp_path / "labels.csv", index=False)
    runs = {
        "generate": [tmp_path / "labels.csv", "--samples", 4, "--sampled"],
        "inpaint": [mock_file, "--bands", "rp"],
    }
    for command, arguments in runs.items():
        out = tmp_path / f"{command}.fits"
        assert (
            main([str(a) for a in [command, *arguments, "--model", model_folder, "--out", out]])
            == 0
        )
        spectra, _ = calibrate(str(out), sampling=WAVELENGTH, truncation=False, save_file=False)
        assert np.isfinite(np.stack(spectra["flux"].to_list())).all()
        assert read_stars(out).xp["bp"].value.shape == (len(spectra), 55)


def test_nonsense_is_refused(star_model, labels):
    with pytest.raises(ValueError, match="at least 2"):
        star_model.generate(labels, samples=1)
    with pytest.raises(ValueError, match="unknown bands"):
        star_model.inpaint(labels, bands=["g"])
