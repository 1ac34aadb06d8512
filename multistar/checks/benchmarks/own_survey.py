"""A model from a table of one's own: how much is lost with noisy labels, and gained by a start.

Mock giants stand for a survey: all that a real table lacks is taken away, one label has a name that
multistar does not know, and half of the stars have no labels. Other giants tell the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.checks.baselines import trees
from multistar.checks.metrics import coverage, scatter
from multistar.checks.real.tables import LAMOST_COLUMNS, read_lamost
from multistar.checks.training_report import judge_training, score
from multistar.inference.predict import predict
from multistar.io.tables import read_columns
from multistar.mock.survey import SurveyConfig, survey
from multistar.quantities import LABELS
from multistar.stars import read_stars
from multistar.training.data import read_labelled
from multistar.training.own_table import describe_run
from multistar.training.pretrain import pretrain

SEED, TEST_SEED = 4711, 4712
TEST_STARS = 3000
# Labels of the table, and what they are in the mock; the last is none of multistar's own.
OWN_LABELS = {"teff": "teff", "logg": "logg", "m_h": "m_h", "mg_fe": "alpha_m"}
LAMOST_LABELS = ("teff", "logg", "m_h")


@dataclass(frozen=True)
class Variant:
    """One way to learn from the table.

    Attributes
    ----------
    true_labels : bool
        Labels without errors, which no survey has.
    unlabelled : bool
        As many stars again without labels.
    start : str
        The model to go on from.
    """

    name: str
    true_labels: bool = False
    unlabelled: bool = False
    start: str = ""


VARIANTS = (
    Variant("survey labels"),
    Variant("true labels", true_labels=True),
    Variant("survey labels, as many stars without", unlabelled=True),
    Variant("survey labels, from mini", start="mini"),
)


def make_table(mock: pa.Table, labelled: int, true_labels: bool = False) -> pd.DataFrame:
    """Strip a mock survey of what a real table lacks; stars from `labelled` on have no labels."""
    frame = mock.to_pandas()
    kept = {}
    for name in frame.columns:
        is_latent = name.startswith("true_") or mock.column_names.index(name) > _last_label(mock)
        is_label = name.removesuffix("_error") in LABELS
        if not is_latent and not is_label:
            kept[name] = frame[name]
    for name, source in OWN_LABELS.items():
        kept[name] = frame[f"true_{source}" if true_labels else source].where(
            frame.index < labelled
        )
        if not true_labels:
            kept[f"{name}_error"] = frame[f"{source}_error"].where(frame.index < labelled)
    return pd.DataFrame(kept)


def _last_label(mock: pa.Table) -> int:
    """Number of the last column of labels; what follows is known of mock stars alone."""
    return max(mock.column_names.index(f"true_{name}") for name in LABELS)


def evaluate_mock(
    folder: Path, stars: int, variants: Sequence[Variant] = VARIANTS, steps: int = 0
) -> list[dict]:
    """Learn from mock stars in each way, and compare with the truth of others.

    Parameters
    ----------
    folder : Path
        Gets tables and models.
    stars : int
        With labels.
    variants : sequence of Variant
    steps : int
        Of training; 0: as many as `describe_run` takes.

    Returns
    -------
    list of dict
        A row per variant and label: MAD-std, bias and the truths in 68 % intervals.
    """
    mock = pa.concat_tables(survey(2 * stars, SurveyConfig(seed=SEED)))
    asked = pa.concat_tables(survey(TEST_STARS, SurveyConfig(seed=TEST_SEED)))
    truth = {name: asked[f"true_{source}"].to_numpy() for name, source in OWN_LABELS.items()}
    rows, fitted = [], False
    for number, variant in enumerate(variants):
        file = folder / f"survey-{number}.parquet"
        table = make_table(mock, stars, variant.true_labels)
        table = table if variant.unlabelled else table[:stars]
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), file)
        run = describe_run(
            file, list(OWN_LABELS), folder / f"model-{number}", start=variant.start, steps=steps
        )
        model = pretrain(run, overwrite=True)
        unknown = make_table(asked, 0)
        told = predict(model, read_stars(unknown, labels=False))
        for name, known in truth.items():
            inside = coverage(
                told[f"{name}_lower"].to_numpy(), told[f"{name}_upper"].to_numpy(), known
            )
            row = {"learnt from": variant.name, "label": name}
            rows.append(row | scatter(told[name].to_numpy(), known) | {"coverage": inside})
        if not fitted:
            fitted = True
            own = [model.vocabulary.quantity(name) for name in OWN_LABELS]
            learnt = read_labelled(read_columns(file), run.data)
            judged = read_stars(unknown, labels=False, declared=own)
            for name, guess in trees(model, learnt, judged, list(OWN_LABELS)).items():
                row = {"learnt from": "XGBoost, survey labels", "label": name}
                rows.append(row | scatter(guess, truth[name]))
    return rows


def evaluate_lamost(
    data: Path, folder: Path, stars: int, starts: Sequence[str] = ("", "mini"), steps: int = 0
) -> list[dict]:
    """Learn from LAMOST's labels and photometry; the run's held-out stars judge, errors and all."""
    frame = read_lamost(data)
    some = np.random.default_rng(0).permutation(len(frame))[:stars]
    file = folder / "lamost.parquet"
    pq.write_table(pa.Table.from_pandas(frame.iloc[some], preserve_index=False), file)
    rows = []
    for start in starts:
        out = folder / f"lamost-{start or 'nothing'}"
        run = describe_run(
            file, LAMOST_LABELS, out, columns=LAMOST_COLUMNS, start=start, steps=steps
        )
        model = pretrain(run, overwrite=True)
        rows += [{"start": start or "nothing"} | row for row in score(judge_training(run, model))]
    return rows
