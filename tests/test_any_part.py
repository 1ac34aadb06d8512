"""Any part in, any part out: every subset of a star's measurements with every pair of labels in either order."""

from itertools import combinations, permutations

import numpy as np
import pyarrow as pa
import pytest
import torch

from encoders import Measurement
from multistar.api import MultiStar
from multistar.model.head import joint_log_prob
from multistar.stars import read_stars

PARTS = ("bp", "rp", "photometry", "parallax", "g")


@pytest.fixture(scope="module")
def subsets(star_model, mock_table) -> Measurement:
    """One star, once with every subset of its parts observed, the empty one included."""
    vocabulary = star_model.model.vocabulary
    magnitudes = ("bp", "rp", "j", "h", "ks", "w1", "w2")
    slots = {
        "bp": vocabulary.band_slots["bp"], "rp": vocabulary.band_slots["rp"], "g": [vocabulary.slot("g")],
        "photometry": [vocabulary.slot(n) for n in magnitudes], "parallax": [vocabulary.slot("parallax")],
    }  # fmt: skip
    chosen = [c for size in range(len(PARTS) + 1) for c in combinations(PARTS, size)]
    table = pa.concat_tables([mock_table[3:4]] * len(chosen))
    m = star_model.model.standardiser(read_stars(table))
    observed = torch.zeros_like(m.observed)
    for row, parts in enumerate(chosen):
        for part in parts:
            observed[row, list(slots[part])] = m.observed[row, list(slots[part])]
    return Measurement(m.value, m.sigma, observed)


def test_every_pair_of_labels_in_either_order_from_every_subset(star_model, subsets):
    """The first factor of the chain is the marginal, whatever is observed; the second is a density of its own."""
    model = star_model.model
    memory, labels = model.network.encode(subsets), model.vocabulary.label_slots
    values = model.standardiser(
        read_stars({"source_id": [1], "teff": [4700.0], "logg": [2.4]})
    ).rows([0])
    with torch.inference_mode():
        alone = model.network.decode(memory, torch.tensor(list(labels)))
        for pair in permutations(labels, 2):
            order = torch.tensor(pair)
            value = values.value[:, order].expand(len(subsets.value), 2)
            told = Measurement(value, torch.zeros_like(value), torch.ones_like(value, dtype=bool))
            factors = model.network.head.autoregressive(memory, order, told)
            torch.testing.assert_close(
                factors.mean[:, 0], alone.mean[:, pair[0] - labels.start], atol=1e-4, rtol=1e-4
            )
            joint = joint_log_prob(model.network.head, memory, order, told)
            assert torch.isfinite(joint).all(), pair
            drawn = model.network.head.sample(memory, order, 3, torch.Generator().manual_seed(0))
            assert torch.isfinite(drawn).all(), pair


def test_every_subset_predicts_and_says_what_it_lacks(star_model, mock_table):
    """Through the front door: rows come out in order, intervals contain their median, flags name what is missing."""
    columns = {
        "bp": ["bp_coefficients", "bp_coefficient_errors"], "rp": ["rp_coefficients", "rp_coefficient_errors"],
        "g": ["phot_g_mean_mag"], "parallax": ["parallax", "parallax_error"], "photometry": ["j_m", "h_m", "ks_m"],
    }  # fmt: skip
    for parts in (c for size in range(1, 6) for c in combinations(PARTS, size)):
        table = mock_table[:3].select(
            ["source_id", *(name for part in parts for name in columns[part])]
        )
        result = star_model.predict(table, quiet=True)
        assert result["source_id"].to_pylist() == table["source_id"].to_pylist()
        for label in star_model.model.vocabulary.labels:
            low, middle, high = (result[label + s].to_numpy() for s in ("_lower", "", "_upper"))
            assert (np.isfinite(middle) & (low < middle) & (middle < high)).all(), (parts, label)
        words = result["status"].to_pylist()[0].split(",")
        usable = {"bp", "rp"} <= set(parts) or (
            "g" in parts and {"bp", "rp"} & set(parts)
        )  # one band alone has no scale
        assert ("no_xp" in words) == (not usable), parts


@pytest.mark.filterwarnings("ignore:bfloat16 is slower")  # on some hardware
def test_bfloat16_moves_labels_by_little_of_their_errors(mock_table):
    """With the shipped weights; samples are those of the same seed, off by as little."""
    exact, fast = (MultiStar.from_pretrained("mini", precision=p) for p in ("float32", "bfloat16"))
    one, other = exact.predict(mock_table[:200]), fast.predict(mock_table[:200])
    for name in exact.model.vocabulary.labels:
        width = (one[f"{name}_upper"].to_numpy() - one[f"{name}_lower"].to_numpy()) / 2
        moved = np.abs(other[name].to_numpy() - one[name].to_numpy()) / width
        assert 0 < np.median(moved) < 0.06
    drawn = [m.predict(mock_table[:30], samples=50) for m in (exact, fast)]
    for name in exact.model.vocabulary.labels:
        x, y = (np.array(t[f"{name}_samples"].to_pylist()) for t in drawn)
        assert 0 < np.median(np.abs(x - y) / x.std(1, keepdims=True)) < 0.06
    vectors = [
        np.stack(m.embed(mock_table[:200])["embedding"].to_numpy(zero_copy_only=False))
        for m in (exact, fast)
    ]
    assert np.all(np.sum(vectors[0] * vectors[1], axis=1) > 0.999)
    np.testing.assert_allclose(np.linalg.norm(vectors[1], axis=1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="precision must be one of"):
        MultiStar.from_pretrained("mini", precision="float16")
