"""`predict --samples`: joint draws in physical units, their covariance, and what they share with the marginals."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.quantities import LABELS

N = 200


@pytest.fixture(scope="module")
def result(star_model, mock_table):
    return star_model.predict(mock_table[:40], samples=N, seed=3)


def matrix(table, name: str) -> np.ndarray:
    return np.array(table[name].to_pylist())


def test_samples_leave_the_marginals_as_they_are(star_model, mock_table, result):
    plain = star_model.predict(mock_table[:40])
    assert plain.equals(result.select(plain.column_names))


def test_samples_have_the_quantiles_of_the_marginal(result):
    """For every label of the chain: samples have the marginals that are quoted beside them."""
    for label in LABELS:
        drawn, median = matrix(result, f"{label}_samples"), result[label].to_numpy()
        lower, upper = result[f"{label}_lower"].to_numpy(), result[f"{label}_upper"].to_numpy()
        assert abs((drawn < median[:, None]).mean() - 0.5) < 0.01, label
        assert abs(((drawn > lower[:, None]) & (drawn < upper[:, None])).mean() - 0.68) < 0.01, (
            label
        )


def test_samples_are_recalibrated_as_the_quantiles_are(model_folder, mock_table):
    """With a recalibrator that doubles every width, intervals and samples widen together, and ranks stay."""
    doubled = MultiStar.from_pretrained(model_folder)
    raw = doubled.predict(mock_table[:20], samples=N)
    doubled.model.recalibrator.score *= 2
    wide = doubled.predict(mock_table[:20], samples=N)
    teff, lower, upper = (
        matrix(wide, "teff_samples"),
        wide["teff_lower"].to_numpy(),
        wide["teff_upper"].to_numpy(),
    )
    assert abs(((teff > lower[:, None]) & (teff < upper[:, None])).mean() - 0.68) < 0.03
    assert np.all(teff.std(1) > 1.3 * matrix(raw, "teff_samples").std(1))
    np.testing.assert_array_equal(np.argsort(teff, 1), np.argsort(matrix(raw, "teff_samples"), 1))


def test_the_covariance_is_that_of_the_samples(result):
    assert result.schema.metadata[b"covariance"].decode() == "row-major, " + ", ".join(LABELS)
    covariance = matrix(result, "covariance").reshape(-1, len(LABELS), len(LABELS))
    drawn = np.stack([matrix(result, f"{label}_samples") for label in LABELS], 1)
    np.testing.assert_allclose(covariance[7], np.cov(drawn[7]), rtol=1e-4, atol=1e-6)
    assert np.all(np.linalg.eigvalsh(covariance) > -1e-9)


def test_the_seed_decides(star_model, mock_table, result):
    again = star_model.predict(mock_table[:40], samples=N, seed=3)
    assert again.equals(result)
    other = star_model.predict(mock_table[:40], samples=N, seed=4)
    assert np.all(matrix(other, "mass_samples") != matrix(result, "mass_samples"))


def test_chunks_do_not_change_the_shape_or_the_distribution(
    star_model, mock_table, result, monkeypatch
):
    monkeypatch.setattr(
        "multistar.inference.samples.AT_ONCE", 70
    )  # fewer than the samples of one star
    few = star_model.predict(mock_table[:3], samples=N)
    assert matrix(few, "age_samples").shape == (3, N)
    difference = matrix(few, "age_samples").mean(1) - matrix(result, "age_samples")[:3].mean(1)
    assert np.all(
        np.abs(difference) < 5 * matrix(result, "age_samples")[:3].std(1) / np.sqrt(N / 2)
    )


@pytest.mark.parametrize("ending", ["parquet", "fits", "ecsv"])
def test_the_command_writes_samples(mock_file, model_folder, tmp_path, ending):
    out = tmp_path / f"labels.{ending}"
    arguments = ["predict", mock_file, "--model", model_folder, "--out", out, "--samples", 4]
    assert main([str(a) for a in arguments]) == 0
    table = pq.read_table(out) if ending == "parquet" else Table.read(out)
    assert (
        np.array(
            table["mass_samples"].to_pylist() if ending == "parquet" else table["mass_samples"]
        ).shape[1]
        == 4
    )


def test_csv_and_single_samples_are_refused(mock_file, model_folder, tmp_path, capsys):
    arguments = [
        "predict",
        mock_file,
        "--model",
        model_folder,
        "--out",
        tmp_path / "labels.csv",
        "--samples",
        4,
    ]
    assert main([str(a) for a in arguments]) == 2
    assert "CSV cannot hold" in capsys.readouterr().err
    arguments[-3:] = [tmp_path / "labels.fits", "--samples", 1]
    assert main([str(a) for a in arguments]) == 2
    assert "at least 2" in capsys.readouterr().err
