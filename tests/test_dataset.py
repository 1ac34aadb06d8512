"""Training data: several tables as one, on disk as in memory, real stars beside mock ones, weights to start from."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_run

from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.model.checkpoint import load_model
from multistar.stars import concatenate_stars, read_stars
from multistar.training.data import held_out, load_dataset, stars_folder
from multistar.training.pretrain import Trainer, pretrain
from multistar.training.run import DataConfig
from multistar.training.sky import DRAWS, with_gaia_photometry
from multistar.training.workers import Workers


def with_data(run, **data):
    return dataclasses.replace(run, data=dataclasses.replace(run.data, **data))


def test_shards_in_a_folder_and_a_list_of_tables_are_the_whole(mock_table, mock_file, tmp_path):
    (tmp_path / "shards").mkdir()
    for i in range(3):
        pq.write_table(mock_table[200 * i : 200 * (i + 1)], tmp_path / "shards" / f"{i}.parquet")
    run = small_run(mock_file, tmp_path / "m")
    whole = load_dataset(run, Workers())
    listed = [str(tmp_path / "shards" / f"{i}.parquet") for i in range(3)]
    for train in ([str(tmp_path / "shards")], listed):
        parts = load_dataset(with_data(run, train=train), Workers())
        for name in ("train", "validation"):
            for field in ("value", "sigma", "observed"):
                one, other = (getattr(getattr(d, name), field) for d in (whole, parts))
                torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(parts.model.standardiser.scale, whole.model.standardiser.scale)


def test_stars_on_disk_are_the_standardised_stars(mock_file, tmp_path):
    data = load_dataset(small_run(mock_file, tmp_path / "m"), Workers())
    stars = read_stars(mock_file)
    kept = stars.select(~held_out(stars.source_id, 0.1))
    wanted = data.model.standardiser(kept)
    torch.testing.assert_close(data.train.value, wanted.value, rtol=0, atol=0)
    assert torch.equal(data.train.observed, wanted.observed)
    assert len(data.validation.value) == len(stars) - len(kept)


def test_concatenated_stars_lack_what_their_table_lacked(mock_table):
    colourful = read_stars(mock_table[:5])
    bare = read_stars(
        mock_table[5:9].drop_columns(
            ["phot_bp_mean_mag", "bp_coefficients", "bp_coefficient_errors"]
        )
    )
    both = concatenate_stars([colourful, bare])
    np.testing.assert_array_equal(both.source_id, mock_table["source_id"].to_numpy()[:9])
    assert np.isfinite(both.scalars["bp"].value[:5]).all()
    assert np.isnan(both.scalars["bp"].value[5:]).all()
    assert np.isnan(both.xp["bp"].value[5:]).all()
    np.testing.assert_array_equal(both.scalars["g"].value[5:], bare.scalars["g"].value)
    with pytest.raises(ValueError, match=r"\[54, 55\] rp coefficients cannot be joined"):
        shorter = dataclasses.replace(bare.xp["rp"], value=bare.xp["rp"].value[:, :54])
        concatenate_stars([colourful, bare.with_blocks(xp={"rp": shorter})])


@pytest.fixture
def sky_run(mock_table, mock_file, tmp_path):
    """With stars of the sky, that is: without labels, recognisable by their impossible parallax."""
    bare = mock_table.select(["source_id", "phot_g_mean_mag", "phot_bp_mean_mag", "bp_coefficients",
                              "bp_coefficient_errors", "rp_coefficients", "rp_coefficient_errors"])  # fmt: skip
    bare = bare.append_column("parallax", pa.array(np.full(len(bare), 77.0)))
    pq.write_table(bare, tmp_path / "sky.parquet")
    run = small_run(mock_file, tmp_path / "m", sky_share=0.25)
    model = dataclasses.replace(run.model, mismatch=True)
    return dataclasses.replace(with_data(run, sky=[str(tmp_path / "sky.parquet")]), model=model)


def test_stars_of_the_sky_join_each_batch_and_are_held_out_too(sky_run, mock_table):
    data = load_dataset(sky_run, Workers())
    kept = (~held_out(mock_table["source_id"].to_numpy(), 0.2)).sum()
    assert len(data.sky.value) == kept * DRAWS
    trainer = Trainer(sky_run, data)
    slot = trainer.model.vocabulary.slot("parallax")
    far = data.sky.value[0, slot]
    stars, told = trainer._batch()
    sky = stars.value[:, slot] == far
    assert sky.sum() == 8  # a quarter of 32
    labels = list(trainer.model.vocabulary.label_slots)
    assert not stars.observed[sky][:, labels].any()
    xp = list(trainer.model.vocabulary.slots("xp"))
    seen = stars.observed[:, xp]
    more = (
        told[:, xp] > stars.sigma[:, xp] * 1.0001
    ) & seen  # what they aim at has the catalogue's errors
    assert more[sky].any()
    assert not more[~sky].any()


def test_spectra_of_the_sky_get_the_photometry_that_mock_ones_have(mock_table):
    """Else a network tells the sky by what is missing."""
    columns = ["source_id", "bp_coefficients", "bp_coefficient_errors"]
    columns += ["rp_coefficients", "rp_coefficient_errors"]
    bare = read_stars(mock_table.select(columns))
    shown = with_gaia_photometry(bare, np.random.default_rng(0))
    assert len(shown) == DRAWS * len(bare)
    np.testing.assert_array_equal(shown.source_id[: len(bare)], bare.source_id)
    known = read_stars(mock_table)
    exact = synthetic_magnitudes(dict(bare.xp))
    for name in ("g", "bp", "rp"):
        scalar = shown.scalars[name]
        drawn = scalar.value.reshape(DRAWS, -1)
        assert (drawn.std(0) > 0).all()  # each time other noise
        pull = (scalar.value - np.tile(exact[name], DRAWS)) / scalar.sigma
        assert 0.97 < pull.std() < 1.03
        # the spectrum's own noise, and that of the catalogue
        assert np.median(np.abs(drawn.mean(0) - known.scalars[name].value)) < 0.02
    measured = read_stars(mock_table.select(["phot_g_mean_mag", "phot_g_mean_mag_error", *columns]))
    again = with_gaia_photometry(measured, np.random.default_rng(0))
    np.testing.assert_array_equal(
        again.scalars["g"].value, np.tile(measured.scalars["g"].value, DRAWS)
    )


def test_a_run_can_start_from_given_weights(sky_run, model_folder, tmp_path):
    # of what a run file says of the architecture nothing counts then
    unlike = dataclasses.replace(sky_run.model, xp_patch=sky_run.model.xp_patch + 1)
    run = dataclasses.replace(sky_run, start=str(model_folder), model=unlike)
    given = load_model(model_folder)
    data = load_dataset(run, Workers())
    for name, weight in given.network.state_dict().items():
        assert torch.equal(data.model.network.state_dict()[name], weight)
    assert torch.equal(data.model.standardiser.center, given.standardiser.center)
    model = pretrain(run, quiet=True)
    assert model.provenance["continues"] == given.hash
    assert model.provenance["run"]["model"] == dataclasses.asdict(model.config)
    assert load_model(run.out).config.mismatch
    assert not stars_folder(run).exists()


def test_foreign_files_beside_the_stars_are_not_removed(mock_file, tmp_path):
    run = small_run(mock_file, tmp_path / "m")
    stars_folder(run).mkdir()
    (stars_folder(run) / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match="thesis.tex"):
        load_dataset(run, Workers())


def test_missing_tables_are_named(mock_file, tmp_path):
    run = small_run(mock_file, tmp_path / "m")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_dataset(with_data(run, train=[str(tmp_path / "nowhere.parquet")]), Workers())
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="without Parquet files"):
        load_dataset(with_data(run, train=[str(tmp_path / "empty")]), Workers())
    with pytest.raises(ValueError, match=r"data.train is empty"):
        DataConfig(train=[])
