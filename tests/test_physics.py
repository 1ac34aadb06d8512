"""The physics check on predictions that are known to be right or wrong."""

import json

import numpy as np
import pytest

from multistar.checks import physics
from multistar.cli.app import main
from multistar.stars import read_stars


def test_relations_of_made_up_labels():
    rng = np.random.default_rng(0)
    mass = rng.uniform(0.9, 2.0, 500)
    labels = {"mass": mass, "age": 10 * mass**-3.0, "m_h": np.zeros(500)}
    found = physics.measure_age_mass(labels)
    assert found["slope"] == pytest.approx(-3.0)
    assert found["spearman"] == pytest.approx(-1.0)
    teff, logg = np.full(500, 4800.0), np.full(500, 2.5)
    luminosity = mass * 10 ** (4.438 - 2.5) * (4800 / 5772) ** 4
    right = physics.measure_dynamical_mass({"mass": mass, "teff": teff, "logg": logg}, luminosity)
    assert right["median"] == pytest.approx(0, abs=1e-12)
    wrong = physics.measure_dynamical_mass(
        {"mass": 1.1 * mass, "teff": teff, "logg": logg}, luminosity
    )
    assert wrong["median"] == pytest.approx(np.log(1.1))
    older = {"m_h": np.linspace(-1, 0.3, 600), "age": np.linspace(12, 1, 600)}
    ages = physics.measure_age_metallicity(older, older)
    assert ages["predicted"] == ages["true"]
    assert np.all(np.diff(ages["true"]) < 0)


def test_the_baseline_of_inpainting_is_exact_for_gaussian_spectra(star_model, mock_table):
    """Where BP is a linear function of RP, it fills BP in to a small part of its errors."""
    stars = read_stars(mock_table)
    norm = 10 ** (-0.4 * stars.scalars["g"].value)[:, None]
    matrix = np.random.default_rng(0).normal(size=(55, 55))
    stars.xp["bp"].value[:] = (stars.xp["rp"].value / norm) @ matrix * norm
    stars.xp["bp"].sigma[:] = 0.1 * np.abs(stars.xp["bp"].value).mean(1, keepdims=True)
    reference = stars.select(slice(0, 400))
    found = physics.inpainting(star_model.model, stars.select(slice(400, 600)), reference, "bp")
    assert found["gaussian"] < 0.06
    assert found["ratio"] > 1


def test_the_command_writes_numbers_and_a_figure(model_folder, mock_file, tmp_path, monkeypatch):
    monkeypatch.setattr(physics, "GENERATED_STARS", 3)
    monkeypatch.setattr(physics, "SAMPLES", 4)
    out = tmp_path / "physics"
    inputs = f"{mock_file} --model {model_folder} --reference {mock_file}"
    main(f"check physics {inputs} --out {out}".split())
    numbers = json.loads((out / physics.JSON).read_text())
    assert {"age_mass", "age_metallicity", "dust", "extinction"} <= set(numbers)
    assert {"dynamical_mass", "inpainting"} <= set(numbers)
    assert numbers["extinction"]["g23"][0] > numbers["extinction"]["g23"][-1] > 0
    assert numbers["age_mass"]["true"]["slope"] < -2
    assert (out / physics.PICTURE).stat().st_size > 10_000


def test_few_stars_are_refused(star_model, mock_table):
    with pytest.raises(ValueError, match="at least 100 stars, got 10"):
        physics.physics(star_model.model, read_stars(mock_table[:10]))
