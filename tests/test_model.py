"""The whole network on real (mock) stars: invariances, and save and load."""

import numpy as np
import pytest
import torch

from encoders import Measurement
from multistar.modalities.light_curve.features import N_SLOTS
from multistar.modalities.scalars.transforms import from_even_scale, slope_of_scale, to_even_scale
from multistar.model.checkpoint import load_model
from multistar.model.network import ModelConfig
from multistar.quantities import LABELS, QUANTITIES
from multistar.stars import read_stars


@pytest.fixture(scope="module")
def stars(mock_table):
    return read_stars(mock_table[:40])


def predict(star_model, table):
    return star_model.predict(table).drop_columns(["source_id", "status"]).to_pandas().to_numpy()


@pytest.mark.parametrize("name", QUANTITIES)
def test_transforms_invert_and_their_slope_is_right(name):
    q = QUANTITIES[name]
    x = np.linspace(max(q.valid[0], 0.01), min(q.valid[1], 50), 50)
    np.testing.assert_allclose(from_even_scale(q, to_even_scale(q, x)), x, rtol=1e-9)
    step = 1e-6 * np.maximum(1, np.abs(x))
    numeric = (to_even_scale(q, x + step) - to_even_scale(q, x - step)) / (2 * step)
    np.testing.assert_allclose(slope_of_scale(q, x), numeric, rtol=1e-5)


@pytest.mark.parametrize("junk", [1e9, float("nan")])
def test_unobserved_values_change_nothing_bitwise(star_model, stars, junk):
    network, standardiser = star_model.model.network, star_model.model.standardiser
    m = standardiser(stars)
    hidden = torch.rand(m.observed.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    observed = m.observed & ~hidden
    query = torch.tensor([0, 9, 30])
    outputs = []
    for value, sigma in (
        (m.value, m.sigma),
        (torch.where(observed, m.value, junk), torch.where(observed, m.sigma, junk)),
    ):
        memory = network.encode(Measurement(value, sigma, observed))
        outputs.append([memory.embedding, *vars(network.decode(memory, query)).values()])
    for a, b in zip(*outputs, strict=True):
        assert torch.equal(a, b)


def test_labels_in_the_table_do_not_influence_predictions(star_model, mock_table):
    table = mock_table[:30]
    bare = table.drop_columns([name for name in LABELS if name in table.column_names])
    np.testing.assert_array_equal(predict(star_model, table), predict(star_model, bare))


def test_a_stars_result_does_not_depend_on_the_others(star_model, mock_table):
    whole = predict(star_model, mock_table[:20])
    np.testing.assert_allclose(
        predict(star_model, mock_table[7:8]), whole[7:8], rtol=1e-4, atol=1e-5
    )
    order = np.random.default_rng(0).permutation(20)
    np.testing.assert_allclose(
        predict(star_model, mock_table.take(order.tolist()).slice(0, 20)),
        whole[order],
        rtol=1e-4,
        atol=1e-5,
    )


def test_flux_scale_cancels(star_model, stars):
    """A star ten times as bright in everything has the same colours and normalised coefficients."""
    m = star_model.model.standardiser(stars)
    brighter = stars.select(slice(None))
    for name in brighter.scalars:
        if QUANTITIES[name].kind == "magnitude":
            brighter.scalars[name].value = brighter.scalars[name].value - 2.5
    for band in brighter.xp.values():
        band.value, band.sigma = band.value * 10, band.sigma * 10
    again = star_model.model.standardiser(brighter)
    not_g = [i for i in range(m.value.shape[1]) if i != star_model.model.vocabulary.slot("g")]
    torch.testing.assert_close(again.value[:, not_g], m.value[:, not_g], rtol=1e-4, atol=1e-4)


def test_without_g_colours_are_taken_against_the_mean_band(star_model, mock_table):
    table = mock_table.select(
        ["source_id", "j_m", "j_msigcom", "h_m", "h_msigcom", "ks_m", "ks_msigcom"]
    )[:20]
    stars = read_stars(table)
    faint = read_stars(table.set_column(1, "j_m", [table["j_m"].to_numpy() + 0.0]))
    for name in ("j", "h", "ks"):
        faint.scalars[name].value = faint.scalars[name].value + 3
    standardiser = star_model.model.standardiser
    torch.testing.assert_close(
        standardiser(faint).value, standardiser(stars).value, rtol=1e-4, atol=1e-4
    )
    assert standardiser(stars).observed.sum(1).tolist() == [3] * 20


def test_fewer_coefficients_than_trained_on_are_read_more_are_refused(star_model, mock_table):
    def cut(n):
        orders = (
            mock_table["bp_coefficients"].combine_chunks().flatten().to_numpy().reshape(-1, 55)[:5]
        )
        table = mock_table[:5].to_pandas()
        wide = np.hstack([orders, np.zeros((5, 10))])
        table["bp_coefficients"] = list(wide[:, :n])
        table["bp_coefficient_errors"] = [np.ones(n)] * 5
        return table

    assert np.isfinite(predict(star_model, cut(51))).all()
    with pytest.raises(
        ValueError, match="has 60 bp coefficients per star, the model was trained on 55"
    ):
        star_model.predict(cut(60))


def test_embeddings_have_unit_norm_and_tell_stars_apart(star_model, mock_table):
    vectors = np.stack(star_model.embed(mock_table[:50])["embedding"].to_pylist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(vectors.round(6), axis=0)) == 50


def test_a_star_without_data_gets_the_prior_and_says_so(star_model, mock_table):
    table = mock_table[:3].to_pandas()
    for column in table.columns.difference(["source_id"]):
        table[column] = np.nan if table[column].dtype != object else None
    result = star_model.predict(table)
    assert all("no_data" in s for s in result["status"].to_pylist())
    teff = result["teff"].to_numpy()
    assert np.isfinite(teff).all()
    assert np.ptp(teff) == 0


def test_data_that_the_model_cannot_read_are_no_data(star_model):
    result = star_model.predict(
        {
            "source_id": np.array([1, 2]),
            "light_curve_value": np.ones((2, N_SLOTS)),
            "light_curve_sigma": np.ones((2, N_SLOTS)),
        }
    )
    assert all("no_data" in words for words in result["status"].to_pylist())


def test_labels_in_the_table_neither_flag_nor_refuse_it(star_model, mock_table):
    table = (
        mock_table[:3].to_pandas().assign(teff=["G2III", "K0", "K1"], distance=[1e9, 1200.0, -3.0])
    )
    assert star_model.predict(table)["status"].to_pylist() == ["ok"] * 3


def test_nonsense_input_is_called_outside_training(star_model, mock_table):
    table = mock_table[:30].to_pandas()
    for band in ("bp_coefficients", "rp_coefficients"):
        shuffled = np.random.default_rng(0).permuted(np.stack(table[band]), axis=1)
        table[band] = list(shuffled)
    words = star_model.predict(table)["status"].to_pylist()
    assert np.mean(["outside_training" in w for w in words]) > 0.9
    usual = star_model.predict(mock_table)["status"].to_pylist()
    assert np.mean(["outside_training" in w for w in usual]) < 0.1


def test_loaded_models_predict_the_same_bits(model_folder, star_model, mock_table):
    again = type(star_model).from_pretrained(model_folder)
    np.testing.assert_array_equal(
        predict(again, mock_table[:20]), predict(star_model, mock_table[:20])
    )


def test_damaged_model_folders_are_refused(model_folder, tmp_path):
    import json
    import shutil

    with pytest.raises(FileNotFoundError, match="not a model folder"):
        load_model(tmp_path)
    folder = tmp_path / "m"
    shutil.copytree(model_folder, folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-7])
    with pytest.raises(ValueError, match="SHA-256"):
        load_model(folder)
    (folder / "model.safetensors").write_bytes(weights)
    config = json.loads((folder / "config.json").read_text())
    config["model"]["width"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="do not fit together"):
        load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not readable as a model"):
        load_model(folder)


def test_model_config_refuses_nonsense():
    with pytest.raises(ValueError, match="multiple of model.heads=3"):
        ModelConfig(width=128, heads=3)
    with pytest.raises(ValueError, match="positive integer"):
        ModelConfig(width=0)
