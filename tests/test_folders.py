"""Model, adapter and index folders whose hashes fit but whose content is none; labels that are none."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from multistar.index.star_index import StarIndex
from multistar.io.files import sha256
from multistar.model.checkpoint import load_model
from multistar.quantities import declared
from multistar.stars import read_stars

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def index(star_model, mock_table, tmp_path_factory) -> Path:
    """An index of 45 stars with three columns of numbers."""
    out = tmp_path_factory.mktemp("index") / "idx"
    table = mock_table.select(["source_id", "phot_g_mean_mag", "parallax", "j_m"])[:45]
    StarIndex.build(star_model.embed(mock_table[:45]), metadata=table).save(out)
    return out


def rewritten(index: Path, out: Path, name: str, values: np.ndarray) -> Path:
    """The index with another array in a file, and the right hash of it."""
    shutil.copytree(index, out)
    np.save(out / name, values)
    card = json.loads((out / "card.json").read_text())
    card["files"][name] = {"bytes": (out / name).stat().st_size, "sha256": sha256(out / name)}
    (out / "card.json").write_text(json.dumps(card))
    return out


CHANGES = {
    "float ids": ("source_ids.npy", lambda x: x.astype(float), "holds float64 of the shape"),
    "ids in two dimensions": ("source_ids.npy", lambda x: x[:, None], "holds int64 of the shape"),
    "narrow order": ("id_order.npy", lambda x: x.astype(np.int32), "holds int32 of the shape"),
    "wrong order": ("id_order.npy", lambda x: x[::-1].copy(), "does not sort"),
    "order twice": ("id_order.npy", lambda x: np.r_[x[:1], x[:-1]], "does not sort"),
    "order beyond": ("id_order.npy", lambda x: x + 1, "does not sort"),
    "few columns": ("metadata.npy", lambda x: x[:, :2].copy(), r"of the shape \(45, 2\)"),
    "narrow numbers": ("metadata.npy", lambda x: x.astype(np.float32), "holds float32"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mapped", [False, True])
def test_arrays_of_an_index_are_what_they_must_be(change, mapped, index, tmp_path):
    name, alter, message = CHANGES[change]
    made = rewritten(index, tmp_path / "idx", name, alter(np.load(index / name)))
    with pytest.raises(ValueError, match=message):
        StarIndex.load(made, mapped=mapped)


@pytest.mark.parametrize("name", ["index.faiss", "source_ids.npy", "id_order.npy", "metadata.npy"])
def test_a_mapped_index_that_is_cut_off_is_an_error_and_no_signal(name, index, tmp_path):
    """Reading beyond the end of a mapped file ended the process by SIGBUS."""
    folder = tmp_path / "idx"
    shutil.copytree(index, folder)
    code = f"""
import os
from multistar.index.star_index import StarIndex
index = StarIndex.load({str(folder)!r}, mapped=True)
star = int(index.source_id[3])
assert len(index.neighbours([star], 5)) == 5
os.truncate({str(folder / name)!r}, 100)
for use in (lambda: index.neighbours([star], 5), lambda: index.contains([star])):
    try:
        use()
    except OSError as error:
        assert "cut off meanwhile" in str(error), error
    else:
        raise AssertionError("no error")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_mapped_index_that_is_replaced_answers_as_before(index, tmp_path):
    folder = tmp_path / "idx"
    shutil.copytree(index, folder)
    opened = StarIndex.load(folder, mapped=True)
    star = int(opened.source_id[3])
    before = opened.neighbours([star], 5)
    StarIndex.load(index).save(folder, overwrite=True)
    assert opened.neighbours([star], 5).equals(before)


def changed_weights(folder: Path, out: Path, name: str, value: float) -> Path:
    shutil.copytree(folder, out)
    tensors = load_file(out / "model.safetensors")
    tensors[name].view(-1)[0] = value
    save_file(tensors, out / "model.safetensors")
    config = json.loads((out / "config.json").read_text())
    config["sha256"] = sha256(out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config))
    return out


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["network", "standardiser", "recalibrator"])
def test_weights_that_are_no_numbers_are_refused(part, value, model_folder, tmp_path):
    """NaN gave labels NaN with the status ok."""
    names = load_file(model_folder / "model.safetensors")
    name = next(n for n, t in names.items() if n.startswith(part) and t.is_floating_point())
    made = changed_weights(model_folder, tmp_path / "model", name, value)
    with pytest.raises(ValueError, match="numbers are not finite"):
        load_model(made)


@pytest.mark.parametrize(
    "change", [{"width": 8192}, {"encoder_depth": 10**7}, {"embedding": 10**9}, {"width": 10**6}]
)
def test_sizes_that_the_weights_cannot_have_are_refused_at_once(change, model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["model"] |= change
    path.write_text(json.dumps(config))
    start = time.monotonic()
    with pytest.raises(ValueError, match="do not fit together .*bytes are too few for the sizes"):
        load_model(tmp_path / "model")
    assert time.monotonic() - start < 2


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [1e30, 1e8, np.inf])
def test_a_label_whose_error_is_absurd_is_not_known(error):
    """It was taken as exact, which is the opposite."""
    table = {"source_id": [1, 2], "parallax": [1.0, 1.0], "teff": [5000.0, 5000.0]}
    table = {name: np.array(values) for name, values in table.items()}
    stars = read_stars(table | {"teff_error": np.array([error, 50.0])})
    teff = stars.scalars["teff"]
    assert np.isnan(teff.value).tolist() == [True, False] and teff.sigma[1] == 50
    assert (stars.flags[0] & 2) and not (stars.flags[1] & 2)  # bad_value


def test_large_errors_of_large_labels_stay():
    """In watts, say, an error above 1e8 is a small one."""
    n = 40
    table = {name: np.ones(n) for name in ("parallax", "power")}
    table |= {"source_id": np.arange(n), "power": np.full(n, 3.8e26)}
    table["power_error"] = np.full(n, 1e24)
    stars = read_stars(table, declared=[declared("power", "label", "W")])
    assert stars.scalars["power"].sigma.tolist() == [1e24] * n


@pytest.mark.parametrize(
    "label",
    ["phot_g_mean_mag", "j_m", "w1mpro", "parallax_error", "phot_g_mean_mag:log", "parallax"],
)
def test_what_a_model_reads_is_no_label_to_be_learnt(label, star_model, mock_table):
    with pytest.raises(ValueError, match="is measured, no label to be learnt"):
        star_model.finetune(mock_table, [label], mode="probe", steps=1)


def test_samples_depend_on_the_row_and_what_is_told_of_the_star_does_not(star_model, mock_table):
    """As the documentation of `predict` says."""
    some = mock_table[:40]
    order = np.random.default_rng(1).permutation(40)
    one, other = (star_model.predict(t, samples=400, seed=3) for t in (some, some.take(order)))
    again = star_model.predict(some, samples=400, seed=3)
    assert one.equals(again)
    assert one["status"].take(order).equals(other["status"])
    for name in ("teff", "teff_lower"):
        assert one[name].take(order).to_pylist() == pytest.approx(other[name].to_pylist(), rel=1e-4)
    samples = [np.array(table["teff_samples"].to_pylist()) for table in (one, other)]
    assert not np.array_equal(samples[0][order], samples[1])
    off = (samples[0][order].mean(1) - samples[1].mean(1)) / samples[1].std(1)
    assert np.abs(off).max() < 5 * np.sqrt(2 / 400)
    assert "samples of a star depend on its row" in " ".join(
        (type(star_model).__doc__ or "").split()
    )


# --- data -----------------------------------------------------------------------------------------


def test_sources_and_terms_of_what_is_shipped_are_told():
    text = (ROOT / "DATA.md").read_text()
    shipped = [p.name for p in (ROOT / "multistar" / "mock").iterdir()]
    for name in [n for n in shipped if n.endswith((".npz", ".json"))]:
        assert name in text
    for source in ("Bressan et al. 2012", "ESA/Gaia/DPAC", "open and free to use", "pyphot"):
        assert source in text
    for card in (ROOT / "multistar" / "weights").glob("*/README.md"):
        assert "ESA/Gaia/DPAC" in card.read_text() and "DATA.md" in card.read_text()
    assert "DATA.md" in (ROOT / "pyproject.toml").read_text()
