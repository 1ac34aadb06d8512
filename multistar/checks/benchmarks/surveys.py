"""One label scale from four mock surveys, and a fifth that is met later: how much is gained.

Each survey has its own range, resolution, signal and pipeline (mock/spectra.py); an eighth of its
stars were seen by all. One model learns from all, each survey's labels on that survey's scale.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.checks.metrics import scatter
from multistar.checks.real.learners import predict_with_kernel, predict_with_trees, read_inputs
from multistar.checks.surveys import compare_surveys, on_scale
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import predict_columns
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.predict import predict
from multistar.mock.spectra import as_published
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities import Spectrum
from multistar.modalities.label_scale.cross import cross_labels
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.model.checkpoint import Model
from multistar.model.network import ModelConfig
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars
from multistar.training.pretrain import pretrain
from multistar.training.run import DataConfig, RunConfig, TrainingConfig

SURVEYS, REFERENCE = ("desi-like", "lamost-like", "sdss-like", "low-resolution"), "desi-like"
NEW = "blue"  # which no training saw
LABELS = ("teff", "logg", "m_h")
COMMON, COMMON_SEED, TEST_SEED = 8, 900, 901  # one star in so many was seen by all surveys
TEST_STARS = 1500
FEW = (10, 30, 100, 300)
FEWEST_TO_TUNE = 50  # stars; fewer tell an offset


def make_survey(name: str, stars: int, seed: int) -> pa.Table:
    """A mock survey as its pipeline publishes it, without what no survey has but the truth."""
    config = SurveyConfig(seed=seed, selection="everything", spectra=name, published=True)
    table = pa.concat_tables(survey(stars, config))
    kept = ["source_id", "label_scale"]
    for label in LABELS:
        kept += [label, f"{label}_error", f"true_{label}"]
    kept += [column for column in table.column_names if column.startswith("spectrum_")]
    return table.select(kept)


def train_on_surveys(folder: Path, stars: int, steps: int) -> Model:
    """Train one model on `stars` stars of each of SURVEYS."""
    tables = {}
    for number, name in enumerate(SURVEYS):
        own = make_survey(name, stars - stars // COMMON, seed=910 + number)
        both = pa.concat_tables([own, make_survey(name, stars // COMMON, COMMON_SEED)])
        truth = [column for column in both.column_names if column.startswith("true_")]
        tables[name] = both.drop_columns(truth)
        pq.write_table(tables[name], folder / f"{name}.parquet")
    files = []
    for name, table in cross_labels(tables, LABELS).items():
        files.append(str(folder / f"{name}-crossed.parquet"))
        pq.write_table(table, files[-1])
    data = DataConfig(files, labels=list(LABELS), only=["spectrum", "label_scale"], held_out=0.05)
    network = ModelConfig(width=96, encoder_depth=1, decoder_depth=1)
    hiding = {"spectrum": {"absent": 0.0}}
    run = RunConfig(
        str(folder / "model"), data, network, TrainingConfig(steps=steps), hiding=hiding
    )
    return pretrain(run, quiet=True)


def published_truth(stars: pa.Table, name: str) -> dict[str, np.ndarray]:
    """True labels as the pipeline of a survey would publish them without errors."""
    truth = pa.table({label: stars[f"true_{label}"] for label in LABELS})
    moved = as_published(truth, name)
    return {label: moved[label].to_numpy() for label in LABELS}


def judge_precision(model: Model, folder: Path, tests: dict[str, pa.Table]) -> list[dict]:
    """Compare the model, on each survey's own scale, with learners of that survey alone."""
    rows = []
    for name in SURVEYS:
        learnt = read_stars(folder / f"{name}.parquet")
        asked = read_stars(tests[name], labels=False)
        truth = published_truth(tests[name], name)
        table = predict(model, asked, quiet=True, labels=LABELS)
        guesses = {"multistar": {label: table[label].to_numpy() for label in LABELS}}
        guesses |= _baselines(model, learnt, asked)
        for who, guess in guesses.items():
            row = {"survey": name, "who": who, "n": len(asked)}
            for label in LABELS:
                row[label] = scatter(guess[label], truth[label])["mad_std"]
            rows.append(row)
    return rows


def _baselines(model: Model, learnt: Stars, asked: Stars) -> dict[str, dict[str, np.ndarray]]:
    """Who -> label -> predictions of learners that see the same pixels of one survey."""
    x, x_test = (_spectra_of(model, stars) for stars in (learnt, asked))
    seen = np.isfinite(x).any(0)
    x, x_test = x[:, seen], x_test[:, seen]
    labels = [to_even_scale(QUANTITIES[name], learnt.scalars[name].value) for name in LABELS]
    found = {
        "PCA + kernel ridge": predict_with_kernel(x, np.stack(labels, -1), x_test),
        "XGBoost": np.stack([predict_with_trees(x, label, x_test) for label in labels], -1),
    }
    return {
        who: {name: from_even_scale(QUANTITIES[name], z[:, i]) for i, name in enumerate(LABELS)}
        for who, z in found.items()
    }


def _spectra_of(model: Model, stars: Stars) -> np.ndarray:
    """(n, d) what the model is shown of spectra; NaN where not observed."""
    only = stars.with_blocks(scalars=None, label_scale=None)
    both = read_inputs(model, only, every=True)
    return both[:, model.vocabulary.places[Spectrum.name]]


def judge_few_shot(model: Model, new: pa.Table, few: Sequence[int] = FEW) -> list[dict]:
    """Meet a survey that training never saw, with few stars whose reference labels are known."""
    truth = published_truth(new, REFERENCE)
    asked = on_scale(read_stars(new, labels=False), REFERENCE)
    table = predict(model, asked, quiet=True, labels=LABELS)
    guesses: dict = {(0, "multistar"): {label: table[label].to_numpy() for label in LABELS}}
    taught = make_survey(NEW, max(few), COMMON_SEED)
    reference = make_survey(REFERENCE, max(few), COMMON_SEED)
    for label in LABELS:
        for column in (label, f"{label}_error"):
            place = taught.schema.get_field_index(column)
            taught = taught.set_column(place, column, reference[column])
    place = taught.schema.get_field_index("label_scale")
    taught = taught.set_column(place, "label_scale", reference["label_scale"])
    known = predict(model, read_stars(taught), quiet=True, labels=LABELS)
    for n in few:
        learnt = read_stars(taught[:n])
        offsets = {
            label: np.nanmedian(learnt.scalars[label].value - known[label].to_numpy()[:n])
            for label in LABELS
        }
        guesses[n, "multistar, offset"] = {
            label: table[label].to_numpy() + offsets[label] for label in LABELS
        }
        if n >= FEWEST_TO_TUNE:
            adapter = finetune(model, learnt, list(LABELS), "probe", config=FinetuneConfig())
            columns, _ = predict_columns(adapter, asked)
            guesses[n, "multistar, probe"] = {label: columns[label][0] for label in LABELS}
        for who, guess in _baselines(model, learnt, asked).items():
            guesses[n, who] = guess
    rows = []
    for (n, who), guess in guesses.items():
        row = {"stars in common": n, "who": who}
        for label in LABELS:
            found = scatter(guess[label], truth[label])
            row |= {label: found["mad_std"], f"{label} bias": found["bias"]}
        rows.append(row)
    return rows


def evaluate_surveys(folder: Path, stars: int, steps: int) -> dict[str, list[dict]]:
    """Train on mock surveys, and judge precision, agreement, and a survey that is met later."""
    model = train_on_surveys(folder, stars, steps)
    tests = {name: make_survey(name, TEST_STARS, TEST_SEED) for name in (*SURVEYS, NEW)}
    seen = {name: read_stars(tests[name], labels=False) for name in SURVEYS}
    agreement = compare_surveys(model, seen) + compare_surveys(model, seen, REFERENCE)
    return {
        "precision": judge_precision(model, folder, tests),
        "agreement": agreement,
        "few stars": judge_few_shot(model, tests[NEW]),
    }
