"""Probes of embeddings: they find what is there, and nothing where nothing is."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_run

from multistar.api import MultiStar
from multistar.checks.populations import (
    FEATURE_SETS,
    compute_features,
    compute_metadata,
    draw_populations,
    populations,
    pose_questions,
    score_classifier,
    score_regression,
)
from multistar.cli.app import main
from multistar.index.search import search_stars, search_table
from multistar.index.star_index import StarIndex
from multistar.inference.views import embed_views
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.light_curve.features import SAMPLING
from multistar.stars import read_stars
from multistar.training.pretrain import pretrain


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.concat_tables(
        survey(240, SurveyConfig(5, "bright", light_curves=("kepler",), views=True))
    )


@pytest.fixture(scope="module")
def model(table, tmp_path_factory) -> MultiStar:
    """Trained for 4 steps."""
    folder = tmp_path_factory.mktemp("populations")
    pq.write_table(table, folder / "stars.parquet")
    run = small_run(folder / "stars.parquet", folder / "model", steps=4)
    run = dataclasses.replace(
        run, model=dataclasses.replace(run.model, alignment="dual", light_curve_depth=1)
    )
    pretrain(run, quiet=True)
    return MultiStar.from_pretrained(run.out)


def test_a_probe_finds_a_direction_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 6)), rng.random(1000) < 0.2
    noise = score_classifier(x, y.astype(int))
    assert abs(noise["auc"] - 0.5) < 0.07
    assert abs(noise["ap"] - 0.2) < 0.07
    x[:, 2] += 2 * y  # two Gaussians at a distance of 2: AUC = Phi(2 / sqrt 2)
    assert score_classifier(x, y.astype(int))["auc"] == pytest.approx(0.921, abs=0.02)


def test_a_regression_reaches_the_known_share_of_the_variance():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3000, 5))
    y = x @ np.array([1.0, 0, 2, 0, 0]) + rng.normal(size=3000)  # variance 5 + 1
    few = np.arange(3000) % 5 == 0
    score = score_regression(x, y, few, ~few)
    assert score["r2"] == pytest.approx(5 / 6, abs=0.02)
    assert score["rms"] == pytest.approx(1, abs=0.05)


def test_synchronised_binaries_are_compared_with_young_single_stars_that_rotate_as_fast():
    facts = {
        "synchronised": np.array([True, True, False, False, False]),
        "binary": np.array([True, True, False, False, True]),
        "rotation_period": np.array([5.0, 40, 5, 5, 5]),
        "true_age": np.array([5.0, 5, 0.3, 4, 0.3]),
    }
    kind = pose_questions(facts)[0]["synchronised"]
    np.testing.assert_array_equal(kind, [1, np.nan, 0, np.nan, np.nan])
    with pytest.raises(ValueError, match="no column that the check knows"):
        pose_questions({"ra": np.ones(3)})


def test_views_are_the_embeddings_of_parts_of_the_stars(model, table):
    """What one view holds has no influence on the other; absent views are NaN."""
    stars = read_stars(table[:12])
    whole = embed_views(model.model, stars)
    bare = stars.with_blocks(light_curve=None)
    curve = stars.with_blocks(scalars=None, xp=None)
    alone, rest = embed_views(model.model, curve), embed_views(model.model, bare)
    np.testing.assert_allclose(alone.curve, whole.curve, atol=1e-5)
    np.testing.assert_allclose(rest.rest, whole.rest, atol=1e-5)
    np.testing.assert_allclose(rest.aligned[1], whole.aligned[1], atol=1e-5)
    np.testing.assert_allclose(alone.fused, alone.curve, atol=1e-5)
    assert np.isnan(alone.rest).all()
    assert np.isnan(rest.aligned[0]).all()
    for vectors in (whole.curve, whole.fused, *whole.aligned):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_views_need_a_model_that_aligns(star_model, table):
    with pytest.raises(ValueError, match="does not align"):
        embed_views(star_model.model, read_stars(table[:2]))


def test_metadata_hold_sampling_and_brightness_and_no_physics(table):
    stars = read_stars(table)
    seen = compute_metadata(stars)
    assert seen.shape == (240, len(SAMPLING) + 5)
    assert np.isfinite(seen).all()
    other = dataclasses.replace(stars.light_curve, value=stars.light_curve.value.copy())
    other.value[:, len(SAMPLING) + 30 :] = 0
    changed = stars.with_blocks(light_curve=other)
    np.testing.assert_array_equal(compute_metadata(changed), seen)


def test_the_check_gives_scores_for_every_feature_set_and_a_picture(model, table, tmp_path):
    pq.write_table(table, tmp_path / "stars.parquet")
    model.save_pretrained(tmp_path / "model")
    inputs = f"{tmp_path}/stars.parquet --model {tmp_path}/model"
    assert main(f"check populations {inputs} --out {tmp_path}/out".split()) == 0
    assert (tmp_path / "out" / "populations.png").stat().st_size > 10_000
    facts = {name: table[name].to_numpy() for name in ("binary", "true_age", "true_teff")}
    result = populations(model.model, read_stars(table), facts, umap=False)
    assert set(result["kinds"]) == {"binary"}
    assert set(result["numbers"]) == {"age", "teff"}
    for asked in (*result["kinds"].values(), *result["numbers"].values()):
        assert set(FEATURE_SETS) <= set(asked)
    assert 0 <= result["kinds"]["binary"]["fused"]["auc"] <= 1
    assert draw_populations(result)


def test_without_light_curves_there_is_nothing_to_compare(model, table):
    stars = read_stars(table).with_blocks(light_curve=None)
    with pytest.raises(ValueError, match="the table has none"):
        populations(model.model, stars, {"binary": np.ones(240)})


def test_eigenspace_is_a_linear_map_of_both_views(model, table):
    stars = read_stars(table[:5])
    sets, seen = compute_features(model.model, stars), embed_views(model.model, stars)
    vectors = model.model.network.alignment.eigenspace()
    expected = torch.from_numpy(seen.curve + seen.rest) @ vectors
    np.testing.assert_allclose(sets["eigenspace"], expected.numpy(), rtol=1e-5, atol=1e-6)


def test_shared_spaces_hold_light_curves_beside_other_data(model, table, tmp_path):
    """An index of spectra is searched with light curves; vectors of different spaces do not mix."""
    stars = read_stars(table[:40])
    seen = embed_views(model.model, stars)
    aligned = np.stack(
        model.embed(stars, space="aligned")["embedding"].to_numpy(zero_copy_only=False)
    )
    mean = seen.aligned[0] + seen.aligned[1]
    np.testing.assert_allclose(
        aligned, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5
    )
    rest = model.embed(stars.with_blocks(light_curve=None), space="aligned")
    np.testing.assert_allclose(
        np.stack(rest["embedding"].to_numpy(zero_copy_only=False)), seen.aligned[1], atol=1e-5
    )
    index = StarIndex.build(rest)
    curves = stars.with_blocks(scalars=None, xp=None)
    found = search_stars(index, model.model, curves, 3)
    assert len(found) == 120
    expected = np.argsort(-seen.aligned[0] @ seen.aligned[1].T, axis=1)
    ids = found["neighbour_id"].to_numpy().reshape(40, 3)
    others = [[i for i in row if i != own][:3] for own, row in enumerate(expected)]
    assert np.mean(ids == stars.source_id[np.array(others)]) > 0.97  # but for ties of rounding
    for space in ("fused", "eigen"):
        with pytest.raises(ValueError, match="space:aligned"):
            list(search_table(index, model.embed(stars, space=space), 3))
    with pytest.raises(ValueError, match="must be one of"):
        model.embed(stars, space="other")
