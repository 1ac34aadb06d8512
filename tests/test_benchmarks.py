"""Benchmarks: what they measure, on cases whose answer is known. Speeds are never judged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from multistar.checks.benchmarks import (
    alignment,
    ceiling,
    index,
    labels,
    mock,
    modalities,
    neighbours,
)
from multistar.checks.metrics import coverage, scatter
from multistar.mock.sed import BANDS
from multistar.mock.survey import SurveyConfig
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars


class TestCeiling:
    def test_traffic_counts_what_is_read_and_written(self):
        x = torch.ones(1000)
        with ceiling.Traffic() as traffic:
            x.view(10, 100)  # moves nothing
            x + x
        assert traffic.bytes == 3 * 4000

    def test_work_of_a_layer_is_that_of_its_matrix(self, monkeypatch):
        monkeypatch.setattr(ceiling, "REPEATS", 1)
        layer = torch.nn.Linear(64, 32, bias=False)
        x = torch.ones(100, 64)
        task = ceiling.Task(lambda: layer(x), 100)
        found = ceiling.measure_task(layer, task, ceiling.Ceiling(1e9, 1e9))
        assert found["mflop_per_star"] == pytest.approx(2 * 64 * 32 / 1e6)
        least = (100 * 64 + 64 * 32 + 100 * 32) * 4 / 100 / 1e6
        assert found["mb_per_star"] == pytest.approx(least)
        speed = found["stars_per_s"]
        assert found["share_of_flops"] == pytest.approx(2 * 64 * 32 * speed / 1e9)
        assert found["gb_per_s"] == pytest.approx(least * speed / 1e3)

    def test_all_tasks_of_a_model_run(self, model_folder, mock_table, monkeypatch):
        monkeypatch.setattr(ceiling, "REPEATS", 1)
        monkeypatch.setattr(ceiling, "SAMPLES", 2)
        monkeypatch.setattr(ceiling, "measure_ceiling", lambda *_: ceiling.Ceiling(1e12, 1e11))
        stars = read_stars(mock_table).select(slice(0, 32))
        found = ceiling.benchmark_ceiling(load_model(model_folder), "float32", stars)
        names = [row["task"] for row in found["tasks"]]
        assert names[0] == "encode" and names[-1] == "training step" and len(names) == 5
        assert all(row["stars_per_s"] > 0 for row in found["tasks"])

    def test_training_costs_more_than_encoding(self, model_folder, mock_table, monkeypatch):
        monkeypatch.setattr(ceiling, "REPEATS", 1)
        model = load_model(model_folder)
        stars = read_stars(mock_table).select(slice(0, 32))
        tasks = ceiling.make_inference_tasks(model, stars)
        tasks["train"] = ceiling.make_training_task(model, stars)
        limit = ceiling.Ceiling(1e12, 1e11)
        work = {}
        for name in ("encode", "train"):
            found = ceiling.measure_task(model.network, tasks[name], limit)
            work[name] = found["mflop_per_star"]
        assert work["train"] > 2 * work["encode"]


class TestIndex:
    def test_vectors_are_of_unit_length_and_repeatable(self):
        one, other = index.make_vectors(500, 16), index.make_vectors(500, 16)
        np.testing.assert_allclose(np.linalg.norm(one.vector, axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(one.vector, other.vector)

    def test_recall_is_the_share_of_true_neighbours(self):
        found = pa.table({"query_id": [7, 7, 9, 9], "neighbour_id": [1, 2, 3, 4]})
        truth = np.array([[1, 5], [4, 3]])
        assert index.measure_recall(found, truth, np.array([7, 9])) == 0.75

    def test_the_exact_index_is_the_truth_of_the_others(self, tmp_path, monkeypatch):
        monkeypatch.setattr(index, "measure_memory", lambda folder, mapped: 1000)
        monkeypatch.setattr(index, "SINGLE", 10)
        stars = index.make_vectors(3000, 16)
        exact, other = index.benchmark_kinds(stars, ["hnsw"], tmp_path)
        assert exact["kind"] == "exact" and exact["recall"] == exact["recall_by_id"] == 1
        assert other["kind"] == "hnsw" and other["recall"] > 0.9
        assert exact["disk_per_star"] > 4 * 16
        assert min(exact["single_per_s"], other["batch_per_s"]) > 0

    def test_memory_is_that_of_the_vectors(self, tmp_path):
        if not Path("/proc/self/status").exists():
            pytest.skip("memory is read from /proc")
        stars = index.make_vectors(20_000, 64)
        index.StarIndex.build(stars, "exact").save(tmp_path / "exact")
        size = index.measure_memory(tmp_path / "exact", mapped=False)
        assert 0.8 < size / stars.vector.nbytes < 2


class TestLabels:
    def test_scores_are_against_survey_and_truth(self):
        rng = np.random.default_rng(0)
        truth = rng.normal(size=20_000)
        frame = pd.DataFrame({"x": truth + rng.normal(0, 0.5, 20_000), "true_x": truth})
        found = labels.score_label("x", truth + 0.1, frame)
        assert found["truth"] == pytest.approx(0, abs=1e-9)
        assert found["surveyed"] == pytest.approx(0.5, rel=0.05)
        assert found["bias"] == pytest.approx(0.1, abs=0.02)

    def test_the_worst_bin_is_found_and_named(self):
        g = np.repeat([10.5, 12.5, 16.0], 300)
        frame = pd.DataFrame({"phot_g_mean_mag": g, "true_ebv": 0.2, "true_logg": 2.0})
        truth = np.zeros(900)
        width = np.where(np.arange(900) % 100 < 68, 1.0, -1.0)
        width[g == 16.0] = np.where(np.arange(300) % 2, 1.0, -1.0)
        worst, where = labels.find_worst_coverage(-width, width, truth, frame)
        assert (worst, where) == (0.5, "phot_g_mean_mag 15..")

    def test_joint_samples_know_more_than_their_marginals(self):
        rng = np.random.default_rng(0)
        joint, frame = {}, {}
        center = rng.normal(size=(300, 1))
        common = rng.normal(size=(300, 200))
        for name in ("a", "b"):
            joint[f"{name}_samples"] = list(center + common + 0.1 * rng.normal(size=(300, 200)))
        told = center[:, 0] + rng.normal(size=300)
        for name in ("a", "b"):
            frame[name] = frame[f"true_{name}"] = told + 0.1 * rng.normal(size=300)
        ratio = labels.compare_energy(pd.DataFrame(joint), pd.DataFrame(frame), ["a", "b"])
        assert ratio < 0.98
        lonely = {name: list(rng.permuted(np.stack(x), axis=1)) for name, x in joint.items()}
        ratio = labels.compare_energy(pd.DataFrame(lonely), pd.DataFrame(frame), ["a", "b"])
        assert ratio == pytest.approx(1, abs=0.01)

    def test_a_model_is_compared_with_baselines_that_are_kept(
        self, star_model, mock_table, tmp_path, monkeypatch
    ):
        train = read_stars(mock_table).select(slice(0, 400))
        guesses = {name: np.full(200, 1.0) for name in star_model.model.vocabulary.labels}
        guesses["teff"] = mock_table["teff"].to_numpy()[400:] + np.arange(200)
        asked = []
        monkeypatch.setattr(
            labels.baselines, "trees", lambda *args: asked.append(args[4]) or guesses
        )
        monkeypatch.setattr(labels.baselines, "from_labels", lambda *args: {"mass": np.ones(200)})
        benchmark = labels.LabelBenchmark(star_model.model, train, mock_table[400:], tmp_path)
        monkeypatch.setattr(labels, "MIN_IN_BIN", 20)
        found = benchmark.compare(parallax=False)
        assert asked == [("parallax",)]
        assert set(found) == set(star_model.model.vocabulary.labels)
        assert set(found["mass"]) > {"median", "labels only", "XGBoost", "model", "coverage"}
        ratio = found["teff"]["model"]["surveyed"] / found["teff"]["XGBoost"]["surveyed"]
        assert found["teff"]["ratios"]["surveyed"] == pytest.approx(ratio)
        benchmark.compare(parallax=False)
        assert len(asked) == 1
        assert benchmark.score_joint(4)["energy_ratio"] > 0


class TestNeighbours:
    def test_neighbours_by_dust_share_dust_and_nothing_else(self):
        rng = np.random.default_rng(0)
        names = ("ebv", *neighbours.LABELS)
        columns = {f"true_{name}": rng.uniform(0.1, 1, 2000) for name in names}
        table = pa.table(columns)
        found = np.argsort(np.abs(columns["true_ebv"][:, None] - columns["true_ebv"]), axis=1)
        shared = neighbours.compare_neighbours(found[:500, 1:11], table)
        assert shared["dust_r2"] > 0.99
        chance = neighbours.compare_neighbours(rng.integers(2000, size=(500, 10)), table)
        assert chance["dust_r2"] < 0.05
        assert shared["scatter"]["teff"] == pytest.approx(chance["scatter"]["teff"], rel=0.1)
        results = {
            neighbours.PLAIN: shared,
            neighbours.DUST_FREE: chance,
            neighbours.NATURAL: chance,
        }
        summary = neighbours.summarise_dust(results)
        assert summary["r2_above_natural"] == 0
        change = chance["std"]["mass"] / shared["std"]["mass"] - 1
        assert summary["std_change"]["mass"] == pytest.approx(change)

    def test_columns_are_brought_to_one_scale(self):
        x = np.random.default_rng(0).normal(5, [1, 100], (1000, 2))
        found = neighbours.standardise_columns(x)
        np.testing.assert_allclose(np.median(found, axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(found.std(0), 1, rtol=0.1)


class TestModalities:
    def test_subsets_hold_what_their_names_say(self, mock_table):
        found = modalities.make_subsets(read_stars(mock_table).select(slice(0, 5)))
        assert not found.light_curve.scalars and not found.light_curve.xp
        assert "parallax" in found.without_light_curve.scalars and found.without_light_curve.xp
        assert set(found.photometry.scalars) == set(BANDS)
        assert not found.photometry.xp

    def test_predictions_are_scored_against_the_truth(self, star_model, mock_table):
        test = mock_table[:100]
        stars = read_stars(test)
        found = modalities.score_predictions(star_model.model, stars, test)
        table = star_model.predict(stars)
        truth = test["true_logg"].to_numpy()
        size = scatter(table["logg"].to_numpy(), truth)
        assert found["logg"]["mad_std"] == size["mad_std"]
        ends = (table[f"logg_{end}"].to_numpy() for end in ("lower", "upper"))
        assert found["logg"]["coverage"] == coverage(*ends, truth)


class TestAlignment:
    def test_recall_of_equal_and_of_unrelated_views(self):
        x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
        assert set(alignment.measure_recall(x, 3 * x).values()) == {1.0}
        other = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
        found = alignment.measure_recall(x, other)
        assert found["curve_to_rest_10"] < 0.15 and found["rest_to_curve_1"] < 0.05

    def test_a_rotation_is_found_by_least_squares_and_by_learning(self, monkeypatch):
        monkeypatch.setattr(alignment, "STEPS", 300)
        monkeypatch.setattr(alignment, "ALIGNMENTS", ("clip",))
        generator = torch.Generator().manual_seed(0)
        turn = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]

        def make_pairs(n: int) -> alignment.Pairs:
            curve = torch.randn(n, 8, generator=generator)
            return alignment.Pairs(curve, curve @ turn, curve, curve)

        found = alignment.benchmark_alignments("dual", make_pairs(2000), make_pairs(200))
        assert found["chance"]["curve_to_rest_10"] == 10 / 200
        assert found["the model's own (dual)"]["curve_to_rest_1"] == 1
        assert found["none"]["curve_to_rest_1"] < 0.2
        assert found["least squares"]["curve_to_rest_1"] == 1
        assert found["clip, learnt anew"]["curve_to_rest_10"] > 0.8


class TestMock:
    def test_speed_and_memory_are_positive(self, monkeypatch):
        monkeypatch.setattr(mock, "SELECTIONS", ("apogee-like",))
        (row,) = mock.benchmark_selections(16)
        assert row["selection"] == "apogee-like"
        speeds = [value for name, value in row.items() if name != "selection"]
        assert len(speeds) == 3 and min(speeds) > 0
        assert 0.05 < mock.measure_peak_memory() < 100

    def test_shards_are_written_and_weighed(self):
        found = mock.benchmark_shards(50)
        assert found["stars"] == 50 and found["seconds"] > 0 and found["gigabytes"] > 1e-6
        assert mock.measure_speed(10, SurveyConfig()) > 0
