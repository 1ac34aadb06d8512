"""Models that come with the package, their cards, and saving as hubs lay models out."""

import dataclasses
import json
import os
import shutil

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
import torch
from astropy.modeling.models import BlackBody

from multistar import MultiStar
from multistar.checks.metrics import coverage, scatter
from multistar.cli.app import main
from multistar.hub import download_model
from multistar.io import folders
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.instrument import xp_matrix
from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.model.card import card
from multistar.model.checkpoint import CARD, device_of, load_model, save_model
from multistar.stars import Scalar, Stars


@pytest.fixture(scope="module")
def new_giants() -> pa.Table:
    """1,200 mock giants that no shipped model has seen."""
    return pa.concat_tables(survey(1200, SurveyConfig(77)))


def test_mini_works_at_once_and_is_as_good_as_its_card(new_giants):
    model = MultiStar.from_pretrained("mini")
    table = model.predict(new_giants)
    for name, limit in (
        ("teff", 50),
        ("logg", 0.12),
        ("m_h", 0.09),
        ("mass", 0.20),
        ("age", 1.7),
        ("ebv", 0.03),
    ):
        truth = new_giants[f"true_{name}"].to_numpy()
        assert scatter(table[name].to_numpy(), truth)["mad_std"] < limit, name
        inside = coverage(
            table[f"{name}_lower"].to_numpy(), table[f"{name}_upper"].to_numpy(), truth
        )
        assert 0.58 < inside < 0.78, name
    outside = np.mean(["outside_training" in word for word in table["status"].to_pylist()])
    assert outside < 0.05


def test_mini_is_shipped_with_its_card_and_small():
    folder = folders.SHIPPED / "mini"
    text = (folder / CARD).read_text()
    assert load_model("mini").hash in text
    assert "## Limits" in text
    assert (folder / folders.WEIGHTS).stat().st_size < 20e6


def test_dwarfs_are_known_too():
    """Dwarfs and giants of all sky are told apart, with labels as good as one band of mock stars allows."""
    table = pa.concat_tables(survey(400, SurveyConfig(79, selection="all-sky")))
    labels = MultiStar.from_pretrained("mini").predict(table)
    dwarf = table["true_logg"].to_numpy() > 4.0
    assert 0.2 < dwarf.mean() < 0.8
    np.testing.assert_allclose((labels["logg"].to_numpy() > 3.7)[dwarf].mean(), 1, atol=0.03)
    for name, limit in (("teff", 120), ("logg", 0.12), ("m_h", 0.13), ("mass", 0.12)):
        assert (
            scatter(labels[name].to_numpy(), table[f"true_{name}"].to_numpy())["mad_std"] < limit
        ), name


def test_stars_hotter_than_any_training_star_are_flagged():
    """Black bodies of 31,000-200,000 K at G = 12."""
    wavelength = np.linspace(325.0, 1075.0, 1500) * u.nm
    planck = [
        BlackBody(t * u.K)(wavelength).value / wavelength.value**2
        for t in np.geomspace(31e3, 200e3, 30)
    ]
    c = np.array(planck) @ xp_matrix(wavelength.value).T
    ids = np.arange(len(c))
    xp = {band: XPCoefficients(x, 0.002 * np.abs(x).max(1, keepdims=True) * np.ones_like(x))
          for band, x in zip(("bp", "rp"), np.split(c, 2, axis=1), strict=True)}  # fmt: skip
    flux = 10 ** (0.4 * (12 - synthetic_magnitudes(xp)["g"]))[:, None]
    bright = {band: XPCoefficients(x.value / flux, x.sigma / flux) for band, x in xp.items()}
    stars = Stars(
        ids,
        np.zeros(len(ids), np.uint16),
        {
            "scalars": {"g": Scalar(np.full(len(ids), 12.0), np.full(len(ids), 0.003))},
            "xp": bright,
        },
    )
    status = MultiStar.from_pretrained("mini").predict(stars)["status"].to_pylist()
    assert np.mean(["outside_training" in word for word in status]) > 0.9


def benchmark_of(model) -> dict:
    cell = {"surveyed": 1.0, "truth": 1.0, "std": 1.0, "bias": 0.0}
    label = {
        "model": cell,
        "XGBoost": cell,
        "ratios": {"surveyed": 0.7, "truth": 0.6},
        "coverage": 0.68,
    }
    return {
        "model": model.hash, "test_stars": 100, "joint": {"energy_ratio": 0.98},
        "with parallax": {"teff": label | {"worst_coverage": [0.7, "here"]}, "stars_per_second": 1.0},
    }  # fmt: skip


def test_a_card_says_what_the_model_is_and_refuses_figures_of_another(star_model, tmp_path):
    model = star_model.model
    text = card(model, "tiny", "mock giants", benchmark_of(model))
    assert model.hash in text
    assert "| teff | 1 |" in text
    block = text.split("```json\n")[1].split("```")[0]
    assert json.loads(block)["training"]["steps"] == model.provenance["steps"] == 60
    with pytest.raises(ValueError, match="benchmark is of model"):
        card(model, "tiny", "mock giants", benchmark_of(model) | {"model": "0" * 64})
    save_model(dataclasses.replace(model, card=text), tmp_path / "tiny")
    assert (tmp_path / "tiny" / CARD).read_text() == text
    assert load_model(tmp_path / "tiny").hash == model.hash
    assert load_model(tmp_path / "tiny").card == text


def test_saving_and_names(star_model, tmp_path, monkeypatch):
    star_model.save_pretrained(tmp_path / "weights" / "tiny")
    monkeypatch.setattr(folders, "SHIPPED", tmp_path / "weights")
    assert MultiStar.from_pretrained("tiny").model.hash == star_model.model.hash
    with pytest.raises(FileNotFoundError, match=r"models that come with multistar are \['tiny'\]"):
        MultiStar.from_pretrained("huge")
    with pytest.raises(FileExistsError):
        star_model.save_pretrained(tmp_path / "weights" / "tiny")


def test_devices_are_chosen_or_refused(monkeypatch, tmp_path, capsys):
    """Two GPUs are played by what torch says of them; without any, None is the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(None) == device_of("cpu") == torch.device("cpu")
    model = MultiStar.from_pretrained("mini", device="cpu").model
    assert {
        t.device.type for part in (model.network, model.domain) for t in part.state_dict().values()
    } == {"cpu"}
    for name in ("cuda", "cuda:0", "tpu", "cpu:3", ""):
        with pytest.raises(
            ValueError, match=r"one of \['cpu'\] on this machine and with this torch, got"
        ):
            device_of(name)
    with pytest.raises(ValueError, match="device must be"):
        MultiStar.from_pretrained("mini", device="cuda")
    table = tmp_path / "stars.csv"
    table.write_text("source_id,phot_g_mean_mag\n1,12.0\n")
    for out in ("labels.csv", "labels.parquet"):
        assert main(["predict", str(table), "--device", "cuda", "--out", str(tmp_path / out)]) == 2
        assert "device must be one of ['cpu']" in capsys.readouterr().err
        assert not (tmp_path / out).exists()
    assert (
        main(["predict", str(table), "--device", "cpu", "--out", str(tmp_path / "labels.csv")]) == 0
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(device_of(n)) for n in (None, "cpu", "cuda", "cuda:1")] == [
        "cuda",
        "cpu",
        "cuda",
        "cuda:1",
    ]
    for name in ("cuda:2", "cuda:", "cuda:x"):
        with pytest.raises(ValueError, match=r"\['cpu', 'cuda:0', 'cuda:1'\]"):
            device_of(name)


def test_to_the_hub_and_back(star_model, tmp_path, monkeypatch):
    """The hub is played by a folder; nothing but the files of a model is fetched."""
    import huggingface_hub

    class Hub:
        def __init__(self, token=None):
            assert token == "secret"

        def create_repo(self, repo, private, exist_ok):
            assert (repo, private, exist_ok) == ("me/tiny", True, True)

        def upload_folder(self, folder_path, repo_id, commit_message):
            shutil.copytree(folder_path, tmp_path / "hub")
            return f"https://hub/{repo_id}/commit"

    def fetch(repo, revision, local_dir, allow_patterns, token):
        names = [name for name in os.listdir(tmp_path / "hub") if name in allow_patterns]
        shutil.copytree(
            tmp_path / "hub", local_dir, ignore=lambda _, files: set(files) - set(names)
        )

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert (
        star_model.push_to_hub("me/tiny", private=True, token="secret")
        == "https://hub/me/tiny/commit"
    )
    (tmp_path / "hub" / "setup.py").write_text("evil")
    model = download_model("me/tiny", tmp_path / "back")
    assert model.hash == star_model.model.hash
    assert not (tmp_path / "back" / "setup.py").exists()
    with pytest.raises(FileExistsError):
        download_model("me/tiny", tmp_path / "back")
