"""The calibration check on posteriors that are right, or wrong in a known way."""

import json

import numpy as np
import pytest
from scipy.stats import kstest, norm

from multistar.checks.calibration import LEVELS, central_coverage, energy_score, ranks, tarp
from multistar.cli.app import main

N, S = 3000, 200
COVARIANCE = np.array([[1.0, 0.9], [0.9, 1.0]])


@pytest.fixture(scope="module")
def posterior():
    """Samples and truths of correlated Gaussian posteriors, right by construction, and an rng."""
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 3, (N, 2))
    truth = mean + rng.multivariate_normal([0, 0], COVARIANCE, N)
    return mean[:, None] + rng.multivariate_normal([0, 0], COVARIANCE, (N, S)), truth, rng


def pit(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return (ranks(samples, truth) + 0.5) / (S + 1)


def test_right_posteriors_pass(posterior):
    samples, truth, rng = posterior
    uniform = pit(samples, truth)
    assert kstest(uniform[:, 0], "uniform").pvalue > 0.01
    np.testing.assert_allclose(list(central_coverage(uniform[:, 1]).values()), LEVELS, atol=0.03)
    share = tarp(samples, truth, truth[rng.permutation(N)])
    assert kstest(share, "uniform").pvalue > 0.01


def test_overconfident_posteriors_have_the_coverage_of_the_closed_form(posterior):
    samples, truth, _ = posterior
    middle = samples.mean(1, keepdims=True)
    narrow = central_coverage(pit(middle + 0.5 * (samples - middle), truth)[:, 0])
    wanted = [2 * norm.cdf(0.5 * norm.ppf(0.5 + level / 2)) - 1 for level in LEVELS]
    np.testing.assert_allclose(list(narrow.values()), wanted, atol=0.03)


def test_only_the_joint_tests_see_a_lost_correlation(posterior):
    samples, truth, rng = posterior
    product = rng.permuted(samples, axis=1)
    assert kstest(pit(product, truth)[:, 0], "uniform").pvalue > 0.01
    assert energy_score(samples, truth).mean() < energy_score(product, truth).mean() - 0.01
    assert kstest(tarp(product, truth, truth + np.array([3.0, -3.0])), "uniform").pvalue < 1e-6


def test_energy_score_of_a_gaussian_is_the_closed_form():
    """In one dimension it is the CRPS: for N(0, 1) and y = 0, 2 phi(0) - 1 / sqrt(pi)."""
    samples = np.random.default_rng(1).normal(size=(1, 200000, 1))
    wanted = 2 * norm.pdf(0) - 1 / np.sqrt(np.pi)
    np.testing.assert_allclose(energy_score(samples, np.zeros((1, 1)))[0], wanted, atol=0.005)


def test_the_command_writes_numbers_and_a_figure(mock_file, model_folder, tmp_path, capsys):
    out = tmp_path / "check"
    command = f"check calibration {mock_file} --model {model_folder} --out {out} --samples 16"
    assert main(command.split()) == 0
    assert "energy score" in capsys.readouterr().out
    result = json.loads((out / "calibration.json").read_text())
    assert (out / "calibration.png").stat().st_size > 10000
    teff = result["labels"]["teff"]
    assert teff["stars"] == 600
    assert teff["coverage"]["50%"] < teff["coverage"]["68%"] < teff["coverage"]["95%"]
    assert abs(teff["coverage"]["68%"] - teff["interval_68"]) < 0.1
    numbers = {name: len(bins) for name, bins in teff["bins"].items()}
    assert numbers == {"ebv": 4, "logg": 4, "snr": 4}
    assert result["joint"]["stars"] == 600
    assert main(command.split()) == 2
