"""A modality that only this file knows: two small classes and two entries in dictionaries are all that it takes."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_run
from torch import nn

from encoders import ENCODERS, Measurement, Tokens
from encoders.layers import N_CHANNELS, channels
from multistar import MultiStar, StarIndex, read_stars
from multistar.index.explain import explain
from multistar.io.tables import read_columns
from multistar.modalities import MODALITIES, Modality
from multistar.modalities.modality import Blocks, ReadOptions
from multistar.reading import describe_reading
from multistar.training.pretrain import pretrain

LINES = 3  # equivalent widths of three lines, which tell the temperature


class LinesEncoder(nn.Module):
    """(B, 3) equivalent widths -> three tokens."""

    def __init__(self, width: int):
        super().__init__()
        self.embed = nn.Linear(N_CHANNELS, width)

    def forward(self, m: Measurement) -> Tokens:
        return Tokens(self.embed(channels(m)), m.observed)


@dataclass(frozen=True)
class Lines(Modality):
    """Equivalent widths [nm] in a column `widths`; NaN where not measured."""

    name: ClassVar[str] = "lines"

    @classmethod
    def read(cls, table, options: ReadOptions, flags: np.ndarray) -> np.ndarray | None:
        return np.asarray(table["widths"], np.float64) if "widths" in table else None

    @classmethod
    def select(cls, block: np.ndarray, rows) -> np.ndarray:
        return block[rows]

    @classmethod
    def concatenate(cls, blocks, lengths) -> np.ndarray:
        missing = [np.full((n, LINES), np.nan) for n in lengths]
        pairs = zip(blocks, missing, strict=True)
        return np.concatenate([there if there is not None else none for there, none in pairs])

    @classmethod
    def known(cls, block: np.ndarray) -> np.ndarray:
        return np.isfinite(block).any(1)

    @classmethod
    def of(cls, block: np.ndarray) -> "Lines":
        return cls()

    @property
    def n_slots(self) -> int:
        return LINES

    def transform(self, blocks: Blocks, n: int, center: np.ndarray):
        value = blocks.get(self.name, np.full((n, LINES), np.nan))
        return value, np.full_like(value, 0.01)

    def encoder(self, config: Any) -> nn.Module:
        return ENCODERS["lines"](config.width)


@pytest.fixture(scope="module")
def lines_table(mock_table) -> pa.Table:
    """Mock giants whose lines are weaker in hotter stars; every fourth star has none measured."""
    rng = np.random.default_rng(0)
    hotter = (mock_table["true_teff"].to_numpy() - 4800) / 300
    widths = np.array([1.0, 2.0, 3.0]) - hotter[:, None] + rng.normal(0, 0.01, (len(hotter), LINES))
    widths[::4] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(widths.ravel()), LINES)
    return mock_table.append_column("widths", column)


@pytest.fixture(scope="module")
def known():
    """The two entries, for this file alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODALITIES, "lines", Lines)
        patch.setitem(ENCODERS, "lines", LinesEncoder)
        yield


@pytest.fixture(scope="module")
def lines_model(known, lines_table, tmp_path_factory) -> MultiStar:
    folder = tmp_path_factory.mktemp("lines")
    pq.write_table(lines_table, folder / "stars.parquet")
    config = small_run(folder / "stars.parquet", folder / "model", steps=400, learning_rate=0.01)
    pretrain(config, quiet=True)
    return MultiStar.from_pretrained(folder / "model")


def test_it_is_read_and_said(known, lines_table):
    stars = read_stars(lines_table)
    assert set(stars.blocks) == {"scalars", "xp", "lines"}
    np.testing.assert_array_equal(Lines.known(stars.blocks["lines"])[:5], [0, 1, 1, 1, 0])
    assert "lines" not in read_stars(lines_table.drop_columns("widths")).blocks
    table = read_columns(lines_table)
    reading = describe_reading(table, read_stars(table), ["lines"])
    said = {quantity.name: quantity.stars for quantity in reading.quantities}
    assert said["lines"] == 3 * len(lines_table) // 4
    assert "lines" not in reading.unread and "XP bp" in reading.unread


def test_it_trains_is_saved_and_predicts(lines_model, lines_table):
    """From its lines alone the temperature of a star is known better than the scatter of all stars."""
    assert [m.name for m in lines_model.model.vocabulary.modalities] == ["scalars", "xp", "lines"]
    alone = lines_table.select(["source_id", "widths"])
    predicted = lines_model.predict(alone)
    has = np.arange(len(alone)) % 4 > 0
    words = np.array(predicted["status"].to_pylist())
    assert all("no_data" in word for word in words[~has])
    assert not any("no_data" in word for word in words[has])
    truth = lines_table["true_teff"].to_numpy()
    error = predicted["teff"].to_numpy() - truth
    assert np.std(error[has]) < 0.7 * np.std(truth)


def test_training_hides_it_and_asks_for_it(lines_model, lines_table):
    from multistar.training.masks import Splitter

    model = lines_model.model
    m = model.standardiser(read_stars(lines_table))
    splitter = Splitter(model.vocabulary, model.standardiser.scale, 8, 0.25, torch.Generator())
    here = model.vocabulary.places["lines"]
    splits = [splitter(m) for _ in range(20)]
    hidden = torch.stack([~s.context.observed[:, here] & m.observed[:, here] for s in splits])
    assert 0.2 < hidden.float().mean() < 0.8
    asked = set(torch.cat([s.query for s in splits]).tolist())
    assert asked >= set(range(here.start, here.stop))
    slots = torch.tensor(range(here.start, here.stop))
    mixture = model.network.decode(model.network.encode(m.rows(slice(1, 2))), slots)
    assert mixture.mean.shape == (1, LINES, model.config.components)


def test_what_is_not_observed_of_it_has_no_influence(lines_model, lines_table):
    model = lines_model.model
    m = model.standardiser(read_stars(lines_table))
    wild = torch.where(m.observed, m.value, 1e9)
    spoilt = Measurement(wild, m.sigma, m.observed)
    with torch.inference_mode():
        one = model.network.encode(m).embedding
        other = model.network.encode(spoilt).embedding
    assert torch.equal(one, other)


def test_neighbours_are_explained_by_it(lines_model, lines_table):
    stars = read_stars(lines_table)
    vectors = lines_model.embed(stars)
    index = StarIndex.build(vectors)
    query = np.stack(vectors["embedding"].to_pylist()[:8]).astype(np.float32)
    found = index.neighbours_of(query, stars.source_id[:8], 3)
    explained = explain(found, index, lines_model.model, stars)
    distance = explained["distance_lines"].to_numpy()
    first = explained["query_id"].to_numpy()
    without = np.isin(first, stars.source_id[::4])
    assert np.isnan(distance[without]).all()
    assert np.isfinite(distance[~without]).any()


def test_a_model_of_an_unknown_modality_is_refused(lines_model, tmp_path):
    lines_model.save_pretrained(tmp_path / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(MODALITIES, "lines")
        with pytest.raises(ValueError, match=r"the model reads \['lines'\]"):
            MultiStar.from_pretrained(tmp_path / "model")


def test_the_run_file_says_how_often_it_is_hidden(known, lines_table, tmp_path):
    from multistar.training.run import RunConfig, read_hiding

    stars = read_stars(lines_table)
    from multistar.model.vocabulary import Vocabulary

    vocabulary = Vocabulary.of(stars.blocks)
    config = small_run(tmp_path / "x.parquet", tmp_path / "m")
    config = RunConfig(config.out, config.data, hiding={"lines": {"absent": 0.9}})
    assert read_hiding(config, vocabulary)["lines"].absent == 0.9
    wrong = RunConfig(config.out, config.data, hiding={"lines": {"absnt": 0.9}})
    with pytest.raises(ValueError, match="hiding.lines.absnt"):
        read_hiding(wrong, vocabulary)
    too_much = RunConfig(config.out, config.data, hiding={"lines": {"absent": 1.5}})
    with pytest.raises(ValueError, match="between 0 and 1"):
        read_hiding(too_much, vocabulary)
    stranger = RunConfig(config.out, config.data, hiding={"smell": {"absent": 0.5}})
    with pytest.raises(ValueError, match=r"\[hiding\] names \['smell'\]"):
        read_hiding(stranger, vocabulary)
