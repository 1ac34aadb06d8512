"""Erasing a quantity: exact on embeddings whose truth is known, on mock stars beside the truth, and what is refused."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.stats import mad_std

from multistar.api import MultiStar
from multistar.checks.neighbours import nearest, squared_correlation
from multistar.cli.app import main
from multistar.index.search import search_like, search_stars, search_table
from multistar.index.star_index import StarIndex
from multistar.inference.erase import fit_nuisance_projection
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import PROJECTION_FILES, load_model, save_model
from multistar.model.nuisance import fit_projection, load_projection, save_projection
from multistar.stars import read_stars


def made_up(n: int = 3000, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Unit vectors (n, 24): a smooth, curved function of three labels and of dust, independent of them, with noise."""
    rng = np.random.default_rng(seed)
    labels = {
        "teff": rng.normal(4700, 300, n),
        "logg": rng.normal(2.5, 0.5, n),
        "m_h": rng.normal(-0.2, 0.3, n),
        "ebv": rng.lognormal(-1.5, 0.8, n),
    }
    x = np.stack(
        [(v - v.mean()) / v.std() for v in (*list(labels.values())[:3], np.log(labels["ebv"]))], 1
    )
    rng = np.random.default_rng(99)  # the same map for every seed
    inner, outer = rng.normal(size=(4, 40)) * 0.35, rng.normal(size=(40, 24))
    vectors = np.tanh(x @ inner) @ outer + 0.02 * np.random.default_rng(seed + 1).normal(
        size=(n, 24)
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


def test_neighbours_lose_the_quantity_and_keep_the_labels():
    projection = fit_projection(*made_up(), "ebv")
    vectors, labels = made_up(seed=7)
    dust = np.log(labels["ebv"])
    before, after = (nearest(v, 10) for v in (vectors, projection(vectors)))
    assert squared_correlation(dust[before].mean(1), dust) > 0.8
    assert squared_correlation(dust[after].mean(1), dust) < 0.03
    for name in ("teff", "logg", "m_h"):
        scatter = [np.std(labels[name][found] - labels[name][:, None]) for found in (before, after)]
        assert scatter[1] < 1.1 * scatter[0]


def test_any_label_can_be_erased():
    projection = fit_projection(*made_up(), "logg")
    vectors, labels = made_up(seed=7)
    found = nearest(projection(vectors), 10)
    assert squared_correlation(labels["logg"][found].mean(1), labels["logg"]) < 0.03
    assert squared_correlation(labels["teff"][found].mean(1), labels["teff"]) > 0.9
    assert projection.intrinsic == ("teff", "m_h") and projection.dimension == 3


def test_vectors_are_of_unit_norm_and_do_not_depend_on_their_company():
    projection = fit_projection(*made_up(), "ebv")
    vectors, _ = made_up(n=10_000, seed=3)
    out = projection(vectors)
    assert out.shape == (10_000, 4) and out.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(out[9000:9005], projection(vectors[9000:9005]), atol=1e-6)


def test_too_little_is_refused():
    vectors, labels = made_up()
    with pytest.raises(ValueError, match="needs 1000 stars .*, got 900"):
        fit_projection(
            vectors,
            labels | {"teff": np.where(np.arange(3000) < 900, labels["teff"], np.nan)},
            "ebv",
        )
    with pytest.raises(ValueError, match="needs it and some of"):
        fit_projection(vectors, {"teff": labels["teff"]}, "ebv")
    with pytest.raises(ValueError, match="needs it and some of"):
        fit_projection(vectors, {"ebv": labels["ebv"]}, "ebv")


def test_a_file_keeps_it_and_is_locked_to_its_model(tmp_path):
    projection = fit_projection(*made_up(), "ebv", "cafe")
    save_projection(projection, tmp_path / "e.safetensors")
    again = load_projection(tmp_path / "e.safetensors", "cafe")
    vectors, _ = made_up(50)
    np.testing.assert_array_equal(again(vectors), projection(vectors))
    assert (again.name, again.intrinsic) == (projection.name, ("teff", "logg", "m_h"))
    with pytest.raises(ValueError, match="made for the model cafe, this one is beef"):
        load_projection(tmp_path / "e.safetensors", "beef")
    with pytest.raises(FileExistsError):
        save_projection(projection, tmp_path / "e.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not readable as a nuisance projection"):
        load_projection(tmp_path / "bad.safetensors", "cafe")
    with pytest.raises(FileNotFoundError, match="multistar erase"):
        load_projection(tmp_path / "none.safetensors", "cafe")


@pytest.fixture(scope="module")
def mini():
    return MultiStar.from_pretrained("mini")


@pytest.fixture(scope="module")
def giants() -> pa.Table:
    """1500 mock giants that neither model nor projection has seen."""
    return pa.concat_tables(survey(1500, SurveyConfig(78)))


@pytest.fixture(scope="module")
def plain(mini, giants):
    return StarIndex.build(mini.embed(giants), metadata=giants)


def test_mini_finds_alike_giants_behind_other_dust(mini, giants, plain):
    """Neighbours tell as little about dust as stars of the same true labels, and are as alike as before."""
    dust = np.log(giants["true_ebv"].to_numpy() + 0.01)
    names = ("teff", "logg", "m_h", "mass", "age")
    truth = np.stack([giants[f"true_{name}"].to_numpy() for name in names], 1)
    natural = squared_correlation(dust[nearest(truth / truth.std(0), 10)].mean(1), dust)
    ids = giants["source_id"].to_numpy()
    free = plain.ignoring(mini.nuisance_projection("dust"))
    told, scatter = [], []
    for index in (plain, free):
        found = index.neighbours(ids, 10, [f"true_{name}" for name in ("ebv", *names)])
        told.append(
            squared_correlation(
                np.log(found["true_ebv"].to_numpy() + 0.01).reshape(-1, 10).mean(1), dust
            )
        )
        values = np.stack([found[f"true_{name}"].to_numpy() for name in names], 1)
        scatter.append(mad_std(values - np.repeat(truth, 10, 0), axis=0))
    assert told[0] > 0.8 and told[1] < natural + 0.08
    assert np.all(scatter[1][:3] < 1.1 * scatter[0][:3])


def test_all_ways_to_an_index_without_dust_agree(mini, giants, plain, tmp_path):
    few, ids = giants[:4], giants["source_id"].to_numpy()[:4]
    vectors = mini.embed(giants, ignore="dust")
    assert vectors.schema.metadata[b"ignore"].decode() == mini.nuisance_projection().name
    made = StarIndex.build(vectors)
    wanted = made.neighbours(ids, 5)
    made.save(tmp_path / "idx")
    loaded = StarIndex.load(tmp_path / "idx", mapped=True)
    assert loaded.ignoring(mini.nuisance_projection("ebv")) is loaded
    for found in (
        plain.ignoring(mini.nuisance_projection()).neighbours(ids, 5),
        loaded.neighbours(ids, 5),
        search_stars(loaded, mini.model, read_stars(few), 5),
        pa.concat_tables(search_table(loaded, mini.embed(few, ignore="dust"), 5)),
        pa.concat_tables(
            search_table(loaded, mini.embed(few), 5, projection=mini.nuisance_projection())
        ),
    ):
        assert found["neighbour_id"].equals(wanted["neighbour_id"])
        np.testing.assert_allclose(found["distance"], wanted["distance"], atol=1e-5)
    assert wanted.schema.metadata[b"ignore"].decode() == mini.nuisance_projection().name


def test_vectors_with_and_without_are_never_compared(mini, giants, plain):
    free, few = plain.ignoring(mini.nuisance_projection()), giants[:5]
    with pytest.raises(
        ValueError, match="ignore nothing, those of the index of 1500 stars ignore ebv:"
    ):
        list(search_table(free, mini.embed(few), 3))
    with pytest.raises(ValueError, match="the same --ignore"):
        free.add(mini.embed(few))
    with pytest.raises(ValueError, match="the same --ignore"):
        StarIndex.merge([free, plain])
    other = dataclasses.replace(
        mini.nuisance_projection(), shift=mini.nuisance_projection().shift + 0.1
    )
    with pytest.raises(ValueError, match="which ignores ebv:.* already"):
        free.ignoring(other)
    strange = dataclasses.replace(mini.nuisance_projection(), model_sha256="beef")
    with pytest.raises(ValueError, match="is for plain embeddings of 256 dimensions by beef"):
        plain.ignoring(strange)
    with pytest.raises(
        ValueError,
        match="compares measured stars only; search a plain one for labels and leave ebv out",
    ):
        search_like(free, mini.model, {"teff": 4700}, 3)
    rounded = StarIndex.build(plain, kind="ivf-sq8")
    with pytest.raises(ValueError, match="rounded: build one from the embeddings"):
        rounded.ignoring(mini.nuisance_projection())


def test_a_model_keeps_its_projections_and_only_its_own(mini, tmp_path):
    save_model(mini.model, tmp_path / "copy")
    assert load_model(tmp_path / "copy").projection("dust").name == mini.nuisance_projection().name
    changed = load_model("mini")
    changed.domain.edge += 1
    save_model(changed, tmp_path / "changed")
    assert not (tmp_path / "changed" / PROJECTION_FILES["ebv"]).exists()
    with pytest.raises(
        ValueError,
        match=r"has no nuisance projection for ebv \(it has \[\]\); make one: multistar erase",
    ):
        load_model(tmp_path / "changed").projection("dust")
    with pytest.raises(ValueError, match="cannot ignore 'colour'; known are"):
        mini.nuisance_projection("colour")


def test_from_the_command_line(model_folder, giants, tmp_path, capsys):
    """A model without a nuisance projection gets one of its own stars."""
    pq.write_table(giants, tmp_path / "mock.parquet")
    model = ["--model", str(model_folder)]
    file = str(tmp_path / "dust.safetensors")
    assert main(["erase", str(tmp_path / "mock.parquet"), *model, "--out", file]) == 0
    assert "ebv:" in capsys.readouterr().out
    for out, ignore in (("plain", []), ("free", ["--ignore", file])):
        args = [
            "embed",
            str(tmp_path / "mock.parquet"),
            *model,
            "--out",
            str(tmp_path / f"{out}.parquet"),
            *ignore,
        ]
        assert main(args) == 0
        assert main(["index", str(tmp_path / f"{out}.parquet"), "--out", str(tmp_path / out)]) == 0
    assert "its vectors ignore ebv:" in capsys.readouterr().out
    answers = []
    star = str(giants["source_id"][3])
    for index, ignore in (("plain", ["--ignore", file, *model]), ("free", []), ("plain", [])):
        assert main(["search", str(tmp_path / index), "--source-id", star, *ignore]) == 0
        answers.append([line.split()[2] for line in capsys.readouterr().out.splitlines()])
    assert answers[0] == answers[1] != answers[2]
    assert (
        main(["search", str(tmp_path / "plain"), "--source-id", star, "--ignore", "dust", *model])
        == 2
    )
    assert "has no nuisance projection for ebv" in capsys.readouterr().err


def test_mock_stars_are_also_given_as_stars_of_the_sky(mini, giants):
    """Half of them with the errors told that stars of the sky have."""
    seen = fit_nuisance_projection(mini.model, read_stars(giants), "dust", quiet=True)
    plain = fit_projection(
        np.stack(mini.embed(giants)["embedding"].to_numpy()),
        {name: giants[f"true_{name}"].to_numpy() for name in (*seen.intrinsic, "ebv")},
        "ebv",
        mini.model.hash,
    )
    assert seen.quantity == plain.quantity and seen.intrinsic == plain.intrinsic
    assert not np.allclose(seen.mean, plain.mean, atol=1e-4)


def test_old_names_still_work_with_a_warning(mini, giants):
    with pytest.warns(DeprecationWarning, match="nuisance_projection"):
        old = mini.eraser("dust")
    assert old.name == mini.nuisance_projection("dust").name
    vectors = mini.embed(giants[:40])
    with pytest.warns(DeprecationWarning, match="projection="):
        index = StarIndex.build(vectors, eraser=old)
    assert index.ignore == old.name
