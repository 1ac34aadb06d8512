"""Training: learns, resumes exactly, and refuses what it cannot mean."""

import dataclasses
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_run

from encoders import Measurement
from multistar.checks.metrics import coverage
from multistar.inference.predict import predict
from multistar.io.config import from_table
from multistar.modalities.gaia_xp.modality import XPHiding
from multistar.modalities.scalars.modality import ScalarHiding
from multistar.model.calibration import Recalibrator
from multistar.model.vocabulary import Vocabulary
from multistar.stars import read_stars
from multistar.training import pretrain as loop
from multistar.training.data import held_out, load_dataset
from multistar.training.masks import Splitter
from multistar.training.objective import negative_log_likelihood
from multistar.training.pretrain import Trainer, pretrain
from multistar.training.run import RunConfig, TrainingConfig, load_run
from multistar.training.workers import Workers

ROOT = Path(__file__).parents[1]


def fresh(run: RunConfig) -> Trainer:
    return Trainer(run, load_dataset(run, Workers()))


def test_training_lowers_the_loss(mock_file, tmp_path):
    """Of the same stars, contexts and targets: the loss before and after."""

    def loss(trainer: Trainer) -> float:
        trainer.generator.manual_seed(0)
        splits = [trainer.splitter(trainer.validation) for _ in range(20)]
        with torch.no_grad():
            return sum(
                negative_log_likelihood(trainer.model.network, trainer.validation, s, False).item()
                for s in splits
            ) / len(splits)

    trainer = fresh(small_run(mock_file, tmp_path / "m"))
    before = loss(trainer)
    for _ in range(60):
        trainer.advance()
    assert loss(trainer) < before - 0.2


def test_a_resumed_run_has_the_losses_of_an_unbroken_one(mock_file, tmp_path):
    run = small_run(mock_file, tmp_path / "m")
    unbroken = fresh(run)
    for _ in range(20):
        unbroken.advance()
    unbroken.save(tmp_path / "partial")
    for _ in range(15):
        unbroken.advance()
    resumed = fresh(run)
    resumed.resume(tmp_path / "partial")
    for _ in range(15):
        resumed.advance()
    assert resumed.losses == unbroken.losses
    states = [
        (*trainer.model.state().values(), *trainer.engine.average.tensors.values())
        for trainer in (resumed, unbroken)
    ]
    for a, b in zip(*states, strict=True):
        assert torch.equal(a, b)


def test_what_is_saved_is_the_running_average_of_the_weights(mock_file, tmp_path):
    trainer = fresh(small_run(mock_file, tmp_path / "m", ema=0.6))
    wanted = trainer.model.network.head.norm.weight.detach().clone()
    for step in range(6):
        trainer.advance()
        decay = min(0.6, 1 - step ** (-2 / 3)) if step > 1 else 0.0
        wanted = decay * wanted + (1 - decay) * trainer.model.network.head.norm.weight.detach()
    last = trainer.model.network.head.norm.weight.detach().clone()
    trainer.finish()
    torch.testing.assert_close(trainer.model.network.head.norm.weight, wanted)
    assert not torch.equal(last, wanted)


def test_enough_held_out_stars_recalibrate_the_intervals(mock_file, tmp_path, monkeypatch):
    """A network after one step is far off; its recalibrated intervals cover what they say."""
    monkeypatch.setattr("multistar.model.calibration.MIN_STARS", 50)
    monkeypatch.setattr(
        "multistar.training.data.held_out", lambda ids, _: np.arange(len(ids)) % 2 == 0
    )
    stars = read_stars(mock_file)
    trainer = fresh(small_run(mock_file, tmp_path / "m"))
    trainer.advance()
    trainer.finish()
    unseen = stars.select(np.arange(len(stars)) % 2 == 1)
    result = predict(trainer.model, unseen, quiet=True)
    inside = [
        coverage(
            result[f"{x}_lower"].to_numpy(),
            result[f"{x}_upper"].to_numpy(),
            unseen.scalars[x].value,
        )
        for x in trainer.model.vocabulary.labels
    ]
    np.testing.assert_allclose(inside, 0.68, atol=0.12)
    trainer.model.recalibrator = Recalibrator(len(inside))
    raw = predict(trainer.model, unseen, quiet=True)
    assert (
        coverage(
            raw["teff_lower"].to_numpy(), raw["teff_upper"].to_numpy(), unseen.scalars["teff"].value
        )
        > 0.77
    )


WORKER = """
import hashlib, json, sys, torch
from pathlib import Path
torch.set_num_threads(1)
sys.path.insert(0, "tests")
from conftest import small_run
from multistar.training.data import load_dataset
from multistar.training.pretrain import Trainer
from multistar.training.workers import workers
with workers() as group:
    run = small_run(sys.argv[1], Path(sys.argv[2], "model"))
    trainer = Trainer(run, load_dataset(run, group), group)
    for _ in range(3):
        trainer.advance()
    state = b"".join(x.numpy().tobytes() for x in trainer.model.state().values())
    result = [group.size, len(trainer._batch()[0].value), trainer.losses, hashlib.sha256(state).hexdigest()]
    Path(sys.argv[2], f"{group.rank}.json").write_text(json.dumps(result))
"""


def test_two_processes_share_a_batch_and_keep_the_same_weights(mock_file, tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    done = subprocess.run(
        [*command, tmp_path / "worker.py", mock_file, tmp_path], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert first[:2] == [2, 16]


def test_pretrain_goes_on_from_a_partial_run_and_removes_it(mock_file, tmp_path):
    run = small_run(mock_file, tmp_path / "m", steps=30)
    trainer = fresh(run)
    for _ in range(10):
        trainer.advance()
    trainer.save(tmp_path / "m.partial")
    model = pretrain(run, quiet=True)
    whole = pretrain(small_run(mock_file, tmp_path / "whole", steps=30), quiet=True)
    assert not (tmp_path / "m.partial").exists()
    for a, b in zip(model.state().values(), whole.state().values(), strict=True):
        assert torch.equal(a, b)
    assert json.loads((tmp_path / "m" / "config.json").read_text())["provenance"]["steps"] == 30


def test_a_partial_run_of_other_settings_is_not_continued(mock_file, tmp_path):
    fresh(small_run(mock_file, tmp_path / "m")).save(tmp_path / "partial")
    with pytest.raises(ValueError, match="other settings"):
        fresh(small_run(mock_file, tmp_path / "m", seed=1)).resume(tmp_path / "partial")


def test_a_setting_that_is_newer_than_a_partial_run_counts_as_its_default(mock_file, tmp_path):
    fresh(small_run(mock_file, tmp_path / "m")).save(tmp_path / "partial")
    file = tmp_path / "partial" / "progress.json"
    progress = json.loads(file.read_text())
    del progress["fingerprint"]["run"]["training"]["decay"]
    del progress["fingerprint"]["run"]["loss"]
    file.write_text(json.dumps(progress))
    fresh(small_run(mock_file, tmp_path / "m")).resume(tmp_path / "partial")
    with pytest.raises(ValueError, match="run.training.decay"):
        fresh(small_run(mock_file, tmp_path / "m", decay=0.5)).resume(tmp_path / "partial")


def test_an_existing_model_is_not_overwritten(mock_file, model_folder):
    with pytest.raises(FileExistsError, match="--overwrite"):
        pretrain(small_run(mock_file, model_folder), quiet=True)


def test_a_star_is_on_one_side_of_the_split_and_the_share_is_right():
    ids = np.random.default_rng(0).integers(0, 2**62, 50000)
    first = held_out(ids, 0.1)
    assert abs(first.mean() - 0.1) < 0.01
    np.testing.assert_array_equal(first[::-1], held_out(ids[::-1], 0.1))


@pytest.fixture(scope="module")
def batch(mock_table):
    vocabulary = Vocabulary.of(read_stars(mock_table).blocks)
    g = torch.Generator().manual_seed(0)
    shape = (64, vocabulary.n_slots)
    observed = torch.rand(shape, generator=g) < 0.9
    return vocabulary, Measurement(torch.randn(shape, generator=g), torch.ones(shape), observed)


def test_what_is_shown_is_not_asked_and_what_was_not_observed_is_neither(batch):
    vocabulary, stars = batch
    splitter = Splitter(
        vocabulary, torch.ones(vocabulary.n_slots), 16, 0.25, torch.Generator().manual_seed(1)
    )
    for _ in range(20):
        split = splitter(stars)
        shown = split.context.observed
        assert not (shown & ~stars.observed).any()
        assert not (split.asked & (shown | ~stars.observed)).any()
        assert torch.equal(split.given.observed, split.asked[48:, split.order])


def test_slots_that_no_star_can_answer_are_not_asked_and_change_no_loss(batch, star_model):
    """Nobody's Ks and one label, asked all the same, add nothing."""
    vocabulary, stars = batch
    unknown = [vocabulary.slot("ks"), vocabulary.slot("teff")]
    observed = stars.observed.clone()
    observed[:, unknown] = False
    stars = Measurement(stars.value, stars.sigma, observed)
    generator = torch.Generator()
    splitter = Splitter(vocabulary, torch.ones(vocabulary.n_slots), 200, 0.25, generator)
    network = star_model.model.network.eval()
    for seed in range(4):
        generator.manual_seed(seed)
        split = splitter(stars)
        assert not {*split.query.tolist(), *split.order.tolist()} & {*unknown}
        more = torch.tensor(unknown)
        blank = torch.zeros(len(split.given.value), 2)
        given = Measurement(
            torch.cat([split.given.value, blank], 1),
            torch.cat([split.given.sigma, blank], 1),
            torch.cat([split.given.observed, blank.bool()], 1),
        )
        query, order = torch.cat([more, split.query]), torch.cat([split.order, more])
        wider = dataclasses.replace(split, query=query, order=order, given=given)
        with torch.no_grad():
            losses = [negative_log_likelihood(network, stars, s, False) for s in (split, wider)]
        torch.testing.assert_close(*losses)


def test_a_batch_of_which_nothing_can_be_asked_has_no_loss(batch, star_model):
    vocabulary, stars = batch
    nothing = Measurement(stars.value, stars.sigma, torch.zeros_like(stars.observed))
    splitter = Splitter(vocabulary, torch.ones(vocabulary.n_slots), 8, 0.25, torch.Generator())
    split = splitter(nothing)
    assert len(split.query) == len(split.order) == 0
    assert negative_log_likelihood(star_model.model.network, nothing, split, False) == 0


def test_splits_cover_every_kind_of_context(batch):
    """Over many steps: complete stars, no XP, no photometry, truncated XP, labels shown, errors hidden."""
    vocabulary, stars = batch
    splitter = Splitter(
        vocabulary, torch.ones(vocabulary.n_slots), 16, 0.25, torch.Generator().manual_seed(2)
    )
    xp, labels = list(vocabulary.slots("xp")), list(vocabulary.label_slots)
    magnitudes = [vocabulary.slot(n) for n in ("g", "bp", "rp", "j", "h", "ks", "w1", "w2")]
    seen = dict.fromkeys(
        (
            "no_xp",
            "no_photometry",
            "all_xp",
            "high_orders_cut",
            "labels",
            "no_errors",
            "few_errors",
        ),
        0,
    )
    for _ in range(60):
        m = splitter(stars).context
        seen["no_xp"] += int((~m.observed[:, xp].any(1)).sum())
        seen["no_photometry"] += int((~m.observed[:, magnitudes].any(1)).sum())
        seen["all_xp"] += int((m.observed[:, xp] == stars.observed[:, xp]).all(1).sum())
        seen["high_orders_cut"] += int(
            m.observed[:, xp[:4]].any() and not m.observed[:, xp[40:55]].any()
        )
        seen["labels"] += int(m.observed[:, labels].any())
        without = torch.isnan(m.sigma)
        seen["no_errors"] += int(without.all(1).sum())
        some = without[:, magnitudes] & ~torch.isnan(stars.sigma[:, magnitudes])
        seen["few_errors"] += int((some.any(1) & ~some.all(1)).sum())
    assert all(seen.values()), seen


def test_stars_without_labels_lack_a_band_more_often(batch):
    vocabulary, _ = batch
    splitter = Splitter(vocabulary, torch.ones(vocabulary.n_slots), 16, 0.25, torch.Generator())
    bp, hiding = list(vocabulary.band_slots["bp"]), XPHiding()

    def lacking(sky: bool) -> float:
        splitter.generator.manual_seed(1)
        shown = [splitter.draw_shown(200, torch.full((200,), sky)) for _ in range(40)]
        return float((~torch.cat(shown)[:, bp].any(1)).float().mean())

    assert lacking(True) - lacking(False) == pytest.approx(
        0.77 * (hiding.no_band_sky - hiding.no_band) / 2, abs=0.04
    )


def test_some_stars_have_the_first_orders_of_their_own(batch):
    """As the archive's `n_relevant_bases` leaves them: few or many, another number in each band."""
    vocabulary, _ = batch
    (xp,) = [own for own in vocabulary.modalities if own.name == "xp"]
    hiding = XPHiding(absent=0, no_band=0, truncate=0, relevant=0.5)
    generator = torch.Generator().manual_seed(3)
    kept = xp.draw_available(4000, torch.zeros(4000, dtype=torch.bool), hiding, generator)
    for slots in (kept[:, : xp.n_bp], kept[:, xp.n_bp :]):
        number = slots.sum(1)
        assert torch.equal(slots, torch.arange(slots.shape[1]) < number[:, None])
        whole = number == slots.shape[1]
        assert whole.float().mean() == pytest.approx(0.5, abs=0.03)
        of_own = number[~whole].float()
        assert of_own.min() == 1
        assert 5 < of_own.median() < 10
    assert len(torch.unique(kept.sum(1))) > 50


def test_the_range_of_the_domain_is_that_of_the_training_stars(mock_file, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "DOMAIN_STARS", 100)  # the range is gathered in parts
    trainer = fresh(small_run(mock_file, tmp_path / "m", steps=1))
    trainer.advance()
    trainer.finish()
    m, domain = trainer.train, trainer.model.domain
    assert torch.equal(domain.low, torch.where(m.observed, m.value, torch.inf).amin(0))
    assert torch.equal(domain.high, torch.where(m.observed, m.value, -torch.inf).amax(0))
    assert not domain.beyond(m).any()


def test_tables_without_labels_or_with_too_few_stars_are_refused(mock_table, tmp_path):
    pq.write_table(mock_table[:20], tmp_path / "few.parquet")
    with pytest.raises(ValueError, match="too few"):
        fresh(small_run(tmp_path / "few.parquet", tmp_path / "m"))
    bare = mock_table.select(["source_id", "bp_coefficients", "rp_coefficients", "phot_g_mean_mag"])
    pq.write_table(bare, tmp_path / "bare.parquet")
    with pytest.raises(ValueError, match="no label column"):
        fresh(small_run(tmp_path / "bare.parquet", tmp_path / "m"))


@pytest.mark.parametrize("text, message", [
    ('out = "m"', "missing key.*data"),
    ('out = "m"\n[data]\ntrain = ["a"]\n[model]\nwidht = 3', "unknown key.*model.widht"),
    ('out = "m"\n[data]\ntrain = ["a"]\n[training]\nsteps = "many"', "training.steps must be a int"),
    ('out = "m"\n[data]\ntrain = ["a"]\nheld_out = 2.0', "held_out=2.0 must lie between"),
    ('out = "m"\n[data]\ntrain = ["a"]\n[training]\nsteps = 0', "at least 1"),
    ('out = "m"\n[data]\ntrain = "a"', "data.train must be a list"),
    ('out = "m"\n[data]\ntrain = [1]', "data.train must be a list of str"),
    ("out =", "run.toml"),
])  # fmt: skip
def test_nonsense_in_a_run_file_is_named(text, message, tmp_path):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_run(tmp_path / "run.toml")


def test_run_file_paths_are_relative_to_it(tmp_path):
    (tmp_path / "run.toml").write_text(
        'out = "m"\n[data]\ntrain = ["a.parquet"]\n[training]\nlearning_rate = 1'
    )
    run = load_run(tmp_path / "run.toml")
    assert run.out == str(tmp_path / "m")
    assert run.data.train == [str(tmp_path / "a.parquet")]
    assert run.training.learning_rate == 1.0


def test_config_classes_have_sound_defaults():
    assert from_table(TrainingConfig, {}).batch > 0
    assert from_table(RunConfig, {"out": "x", "data": {"train": ["y"]}}).model.width > 0


def test_a_context_without_g_is_what_the_standardiser_makes_of_a_table_without_g(
    star_model, mock_table
):
    standardiser, vocabulary = star_model.model.standardiser, star_model.model.vocabulary
    m = standardiser(read_stars(mock_table[:50]))
    splitter = Splitter(vocabulary, standardiser.scale, 8, 0.25, torch.Generator())
    observed = m.observed.clone()
    observed[::2, vocabulary.slot("j")] = False
    value, visible = splitter.remove_g(m.value, observed)
    bare = read_stars(
        mock_table.drop_columns(["phot_g_mean_mag", "bp_coefficients", "rp_coefficients"])[:50]
    )
    bare.scalars["j"].value[::2] = np.nan
    wanted = standardiser(bare)
    assert torch.equal(visible, wanted.observed)
    torch.testing.assert_close(value[visible], wanted.value[visible], atol=2e-4, rtol=1e-4)


def test_a_folder_with_other_files_is_never_replaced(mock_file, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match="also holds .*thesis.tex"):
        pretrain(small_run(mock_file, tmp_path), overwrite=True, quiet=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_section_that_is_no_table_is_named():
    with pytest.raises(ValueError, match=r"data must be a table"):
        from_table(RunConfig, {"out": "x", "data": "mock.parquet"})


def test_tensorboard_gets_the_losses_or_says_what_is_missing(mock_file, tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder):
            written.append(folder)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            written.append("closed")

        def add_scalar(self, name, value, step):
            written.append((name, step))

    module = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(
        sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(writer=module)
    )
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", module)
    pretrain(small_run(mock_file, tmp_path / "m", steps=20, tensorboard=True), quiet=True)
    assert written[0] == str(tmp_path / "m.tensorboard")
    assert [step for name, step in written[1:-1] if name == "loss"] == [10, 20]
    assert written[-1] == "closed"
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        pretrain(small_run(mock_file, tmp_path / "n", steps=20, tensorboard=True), quiet=True)


def test_few_surveys_are_shown_whole(batch):
    """Many stars come with Gaia's photometry alone, or with one survey more."""
    vocabulary, _ = batch
    scalars = vocabulary.scalar_part
    hiding = ScalarHiding(few_surveys=1.0)
    sky = torch.zeros(4000, dtype=torch.bool)
    available = scalars.draw_available(4000, sky, hiding, torch.Generator().manual_seed(5))
    by_survey = dict(zip(["2mass", "wise"], [("j", "h", "ks"), ("w1", "w2")], strict=True))
    for bands in by_survey.values():
        slots = [scalars.names.index(band) for band in bands if band in scalars.names]
        seen = available[:, slots]
        assert torch.equal(seen.any(1), seen.all(1))
        assert seen.all(1).float().mean() == pytest.approx(0.5, abs=0.03)
    gaia = [scalars.names.index(band) for band in ("g", "bp", "rp")]
    assert available[:, gaia].all()


def test_a_modality_is_shown_alone_only_of_stars_that_have_it(batch):
    vocabulary, stars = batch
    hiding = {"xp": XPHiding(absent=0, no_band=0, truncate=0, relevant=0, alone=1.0)}
    splitter = Splitter(
        vocabulary, torch.ones(vocabulary.n_slots), 16, 0.25, torch.Generator(), hiding=hiding
    )
    observed = torch.ones(400, vocabulary.n_slots, dtype=torch.bool)
    observed[200:, vocabulary.places["xp"]] = False
    magnitudes = list(vocabulary.scalar_part.slots_of_kind("magnitude"))
    shown = torch.stack([splitter.draw_shown(400, observed=observed) for _ in range(20)])
    assert shown[:, 200:, magnitudes].float().mean() > 0.3
    few = [i for i in range(20) if not shown[i, :200, magnitudes].any()]
    assert len(few) > 12  # a batch that generates shows what it wants
