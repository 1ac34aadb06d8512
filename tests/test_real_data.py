"""Real Gaia spectra through everything: rows in = rows out, and every file form that the archive gives."""

import numpy as np
import pandas as pd
import pytest

from multistar import MultiStar
from multistar.checks.fitting.hst_pairs import read_hst_pairs
from multistar.checks.fitting.xp_response import measure_pairs
from multistar.mock.xp_response import load_response
from multistar.modalities.gaia_xp.bright import load_bright
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix, synthetic_magnitudes
from multistar.stars import read_stars

pytestmark = pytest.mark.realdata

FILES = {
    "xp/gaia_dr3_xp_continuous_field.fits": 1500,
    "xp/gaia_dr3_xp_exotic.parquet": 3430,
    "xp/gaia_dr3_xp_continuous_rubin_ddf30.parquet": 30,
    "xp/gaia_dr3_xp_continuous_calspec10.csv": 10,
    "xp/gaia_dr3_xp_continuous_weiler4.vot": 4,
}


@pytest.mark.parametrize("name, rows", FILES.items())
def test_rows_in_are_rows_out(real_data, star_model, name, rows):
    stars = read_stars(real_data / name)
    assert len(stars) == rows
    assert len(np.unique(stars.source_id)) > 0.99 * rows
    labels, vectors = star_model.predict(stars), star_model.embed(stars)
    for table in (labels, vectors):
        assert table["source_id"].to_pylist() == stars.source_id.tolist()
    assert np.isfinite(labels["teff"].to_numpy()).all()
    assert np.isfinite(np.stack(vectors["embedding"].to_pylist())).all()


def test_archive_rows(real_data):
    for path in sorted((real_data / "xp" / "archive_rows").glob("*.csv")):
        stars = read_stars(path)
        assert len(stars) == 1
        assert str(stars.source_id[0]) in path.name
        assert np.isfinite(stars.scalars["g"].value[0])


def test_synthetic_photometry_is_that_of_gaiaxpy(real_data):
    from gaiaxpy import PhotometricSystem, generate

    path = real_data / "xp" / "gaia_dr3_xp_continuous_calspec10.csv"
    direct = generate(
        pd.read_csv(path), photometric_system=PhotometricSystem.Gaia_DR3_Vega, save_file=False
    )
    table = pd.read_csv(path).drop(columns=["bp_n_relevant_bases", "rp_n_relevant_bases"])
    stars = read_stars(table, origin="mock")  # as they are: real bright ones would be corrected
    order = [direct["source_id"].tolist().index(i) for i in stars.source_id]
    for band, magnitude in synthetic_magnitudes(stars.xp).items():
        want = direct[f"GaiaDr3Vega_mag_{band.upper()}"].to_numpy(float)[order]
        np.testing.assert_allclose(magnitude, want, atol=1e-6)


def test_flux_matrix_is_gaiaxpys_calibration(real_data):
    from gaiaxpy import calibrate

    path = real_data / "xp" / "gaia_dr3_xp_continuous_calspec10.csv"
    frame = pd.read_csv(path)
    direct, _ = calibrate(frame, sampling=WAVELENGTH, truncation=False, save_file=False)
    table = frame.drop(columns=["bp_n_relevant_bases", "rp_n_relevant_bases"])
    stars = read_stars(table, origin="mock")  # as they are: real bright ones would be corrected
    ours = np.hstack([stars.xp["bp"].value, stars.xp["rp"].value]) @ flux_matrix()
    order = [direct["source_id"].tolist().index(i) for i in stars.source_id]
    np.testing.assert_allclose(
        ours, np.stack(direct["flux"].to_list())[order], rtol=1e-5, atol=1e-19
    )


def test_lamost_photometry_with_row_numbers_as_ids(real_data, star_model):
    frame = pd.read_parquet(real_data / "photometry" / "lamost_13band.parquet").head(500)
    frame["row"] = np.arange(len(frame))
    stars = read_stars(frame, {"source_id": "row", "m_h": "mh", "m_h_error": "mh_err"})
    assert {"ps1_g", "ps1_y", "w2", "parallax", "teff", "m_h"} <= set(stars.scalars)
    assert np.isfinite(stars.scalars["ps1_r"].sigma).mean() > 0.5
    result = star_model.predict(stars)
    assert len(result) == 500
    assert all("no_xp" in words for words in result["status"].to_pylist())


def test_field_stars_with_xp_alone_are_not_foreign_to_the_shipped_model(real_data):
    """As the archive gives them: the relevant orders, no magnitude, no parallax."""
    model = MultiStar.from_pretrained("mini")
    stars = read_stars(real_data / "xp" / "gaia_dr3_xp_continuous_field.fits")
    words = model.predict(stars, labels=["teff"])["status"].to_pylist()
    assert np.mean(["outside_training" in word for word in words]) < 0.15


def test_stars_of_hst_that_were_not_fitted_confirm_the_calibration_of_bright_ones(real_data):
    fitted, others = (read_hst_pairs(real_data, fitted=part) for part in (True, False))
    assert not set(fitted.name) & set(others.name)
    assert "16 CYG B" in others.name
    assert len(fitted.name) + len(others.name) == 46
    for row in measure_pairs(others, load_response(), load_bright()):
        assert row["after"] < (1.1 if row["band"] == "bp" else 0.6), row
        if row["band"] == "bp" and row["stars"].endswith("G < 10"):
            assert row["after"] < 0.75 * row["before"], row
