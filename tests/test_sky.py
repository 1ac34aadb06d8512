"""`multistar check sky`: the Sun as it would be seen, samples and clusters of a folder, the page."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multistar.api import MultiStar
from multistar.checks import sky
from multistar.checks.fitting.sky_anchors import is_fitted
from multistar.cli.app import main
from multistar.mock.noise import PARALLAX_ZERO_POINT
from multistar.model.checkpoint import load_model


def test_the_sun_is_placed_at_its_distances():
    table = sky.make_suns(("g", "j"))
    modulus = table["phot_g_mean_mag"] - sky.SUN["g"]
    np.testing.assert_allclose(10 ** (modulus / 5) * 10, sky.SUN_DISTANCES)
    np.testing.assert_allclose(1000 / (table["parallax"] - PARALLAX_ZERO_POINT), sky.SUN_DISTANCES)
    np.testing.assert_allclose(table["phot_g_mean_mag"] - table["j_m"], 1.0)


def test_intervals_are_widened_by_the_labels_errors():
    value, low, high, error = (np.array([x]) for x in (10.0, 7.0, 13.0, 4.0))
    lower, upper = sky._widen(value, low, high, error)
    assert (lower[0], upper[0]) == (5.0, 15.0)


def _ages(frame: pd.DataFrame) -> np.ndarray:
    """What the shipped model says of one of the clusters' members."""
    one = frame[frame["cluster"] == "a"].drop(columns=["cluster", "age", "ebv"])
    return MultiStar.from_pretrained("mini").predict(one)["age"].to_numpy()


def test_a_sample_that_is_known_to_be_off_is_found_off_by_that(mock_table):
    """Labels are the model's own, 100 K lower: scatter 0, bias 100 K, and all held after it."""
    mini = MultiStar.from_pretrained("mini")
    names = ["source_id", "phot_g_mean_mag", "phot_g_mean_mag_error", "parallax", "parallax_error"]
    table = mock_table.select(names).to_pandas().head(60)
    found = mini.predict(table)
    known = found["teff"].to_numpy() - 100.0
    labels = {"teff": (known, np.zeros(60)), "logg": (np.full(60, np.nan), np.zeros(60))}
    (row,) = sky.check_sample(mini.model, sky.Sample("own", table, labels))
    assert row["label"] == "teff" and row["stars"] == 60
    assert row["bias"] == pytest.approx(100, abs=1e-3)
    assert row["mad_std"] == pytest.approx(0, abs=1e-3)
    assert row["held_after_offset"] == 1.0
    inside = (found["teff_lower"].to_numpy() <= known) & (known <= found["teff_upper"].to_numpy())
    assert row["held"] == pytest.approx(inside.mean())


def make_folder(folder: Path, table) -> Path:
    """Mock stars as two clusters, one a copy of the other with another age in the catalogue."""
    (folder / "clusters").mkdir(parents=True)
    names = ["phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "parallax"]
    names += ["phot_g_mean_mag_error", "phot_bp_mean_mag_error", "phot_rp_mean_mag_error"]
    frame = table.select(["source_id", *names, "parallax_error"]).to_pandas().head(40)
    members = pd.concat([frame.assign(cluster=name) for name in ("a", "b", "c", "d")])
    members["source_id"] = np.arange(1, len(members) + 1)
    members.to_parquet(folder / sky.CLUSTER_FILES[0])
    catalogue = pd.DataFrame({"name": ["a", "b", "c", "d"], "log_age": [9.2, 9.3, 9.4, 9.45]})
    catalogue.assign(a_v=0.31).to_csv(folder / sky.CLUSTER_FILES[1], index=False)
    return folder


def test_a_folder_becomes_numbers_and_a_page(tmp_path, mock_table, capsys):
    folder = make_folder(tmp_path / "data", mock_table)
    frame = sky.read_clusters(folder)
    assert frame is not None and frame["ebv"].unique() == pytest.approx([0.1])
    assert frame.groupby("cluster").size().to_dict() == dict.fromkeys("abcd", 40)
    assert main(["check", "sky", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "the Sun" in capsys.readouterr().out
    figures = json.loads((tmp_path / "out" / "sky.json").read_text())["figures"]
    assert len(figures["sun"]) == len(sky.SUN_DISTANCES) * len(sky.SUN_BANDS)
    for row in figures["sun"]:
        if row["bands"] != "G BP RP" or row["parsec"] > 10:  # 690 K too cool there
            assert abs(row["teff"] - sky.SUN_TRUTH["teff"]) < 250
    (row,) = figures["clusters"]
    assert row["clusters"] == 4 and row["log_age"] == "9.0-9.5"
    # the same stars four times: predictions are alike, and errors differ as the catalogue does
    assert row["ebv_scatter"] == pytest.approx(0, abs=1e-6)
    assert row["age_bias_of_medians"] == pytest.approx(
        np.median(np.log10(_ages(frame))) + 9 - np.median([9.2, 9.3, 9.4, 9.45]), abs=1e-4
    )
    assert "The Sun without dust" in (tmp_path / "out" / "sky.html").read_text()
    assert main(["check", "sky", str(folder), "--out", str(tmp_path / "out")]) == 2


def test_a_folder_without_any_table_is_refused(tmp_path, capsys):
    assert main(["check", "sky", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "neither photometry/, giants/ nor" in capsys.readouterr().err


@pytest.mark.realdata
def test_samples_of_real_stars_leave_out_what_may_be_fitted(real_data):
    samples = {sample.name: sample for sample in sky.read_samples(real_data)}
    dwarfs = samples["LAMOST dwarfs"]
    assert 6000 < len(dwarfs.table) < 8000
    assert not dwarfs.table["source_id"].astype(str).map(is_fitted).any()
    assert "teff" not in dwarfs.table and "mh" not in dwarfs.table
    value, error = samples["Kepler giants"].labels["mass"]
    assert 0.5 < np.nanmedian(value) < 2 and (error >= 0).all()


@pytest.mark.realdata
def test_places_of_real_giants_tell_of_their_dust(real_data):
    samples = {sample.name: sample for sample in sky.read_samples(real_data)}
    scatter = {}
    for name in ("Kepler giants", "Kepler giants, place known"):
        rows = {row["label"]: row for row in sky.check_sample(load_model("mini"), samples[name])}
        scatter[name] = rows["teff"]["mad_std"]
    assert scatter["Kepler giants, place known"] < 0.9 * scatter["Kepler giants"]
