"""What people met who tried the package for the first time: each is told, none is left to guess."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.stats import mad_std
from conftest import small_run

from multistar.api import MultiStar
from multistar.batch.job import Job
from multistar.io.ids import ROW_NUMBER
from multistar.stars import read_stars
from multistar.training.data import held_out
from multistar.training.pretrain import pretrain
from multistar.training.run import DataConfig

FEW = {"mode": "probe", "steps": 4}


@pytest.fixture(scope="module")
def taught(star_model, mock_table) -> MultiStar:
    """Learns the radius from measurements and [C/N], which the base does not read."""
    inputs = ["c_n"]
    return star_model.finetune(mock_table, ["radius"], mode="lora", inputs=inputs, steps=4)


def test_a_star_that_only_an_adapter_can_read_is_not_called_blank(taught):
    table = {"source_id": [1, 2, 3], "phot_g_mean_mag": [12.0, np.nan, np.nan]}
    table |= {"c_n": [0.1, 0.1, np.nan]}
    words = taught.predict(table)["status"].to_pylist()
    assert "only_adapter" not in words[0] and "no_data" not in words[0]
    assert "only_adapter" in words[1] and "no_data" not in words[1]
    assert "no_data" in words[2] and "only_adapter" not in words[2]


def test_an_adapter_finds_the_columns_that_it_was_taught_with(star_model, mock_table):
    renamed = mock_table.rename_columns(
        ["my_g" if n == "phot_g_mean_mag" else n for n in mock_table.column_names]
    )
    columns = {"g": "my_g"}
    taught = star_model.finetune(renamed, ["radius"], columns=columns, **FEW)
    named = taught.predict(renamed, columns=columns)
    assert taught.predict(renamed).equals(named)


def test_finetuning_says_how_good_it_is_on_held_out_stars(star_model, mock_table):
    table = mock_table.append_column("size", mock_table["radius"])
    table = table.append_column("size_error", pa.array(np.full(len(table), 0.5)))
    kind = np.where(np.asarray(table["logg"]) > 2.4, "compact", "large")
    table = table.append_column("kind", pa.array(kind))
    taught = star_model.finetune(table, ["size", "kind"], **FEW)
    provenance = taught.adapters[-1].provenance
    kept_out = held_out(read_stars(table).source_id, 0.15)
    assert kept_out.sum() == provenance["held_out_stars"]
    predicted = taught.predict(table).to_pandas()[kept_out]
    size, figures = np.asarray(table["size"])[kept_out], provenance["held_out"]
    residual = predicted["size"] - size
    assert figures["size"]["bias"] == pytest.approx(np.median(residual), rel=1e-3, abs=1e-3)
    assert figures["size"]["mad_std"] == pytest.approx(mad_std(residual), rel=1e-3)
    inside = (predicted["size_lower"] < size) & (size < predicted["size_upper"])
    assert figures["size"]["held"] == pytest.approx(inside.mean(), abs=0.02)
    assert figures["size"]["held"] <= figures["size"]["held_with_errors"] <= 1
    right = (predicted["kind"].to_numpy() == kind[kept_out]).mean()
    assert figures["kind"]["accuracy"] == pytest.approx(right)


def test_a_run_names_its_labels_and_none_is_dropped(mock_file, mock_table, tmp_path):
    run = small_run(mock_file, tmp_path / "model", steps=1)
    names = ["teff", "vsini"]
    data = DataConfig(train=run.data.train, held_out=0.1, labels=["teff", "mass"])
    model = pretrain(type(run)(run.out, data, run.model, run.training), quiet=True)
    assert model.vocabulary.labels == ("teff", "mass")
    data = DataConfig(train=run.data.train, held_out=0.1, labels=names)
    with pytest.raises(ValueError, match="no column of vsini, which data.labels names"):
        pretrain(type(run)(run.out + "2", data, run.model, run.training), quiet=True)


def test_labels_in_capitals_are_labels():
    table = {"source_id": [1], "phot_g_mean_mag": [12.0], "TEFF": [5000.0], "TEFF_ERR": [60.0]}
    found = read_stars(table | {"LOGG": [2.5], "M_H": [0.1]}).scalars
    assert (found["teff"].value[0], found["teff"].sigma[0]) == (5000.0, 60.0)
    assert (found["logg"].value[0], found["m_h"].value[0]) == (2.5, 0.1)


def test_a_wrong_column_name_gets_the_ones_that_are_like_it():
    table = {"source_id": [1], "phot_g_mean_mag": [12.0], "Mcorr": [1.0]}
    with pytest.raises(ValueError, match=r"no column \['mcorr'\]; did you mean Mcorr\?"):
        read_stars(table, {"mass": "mcorr"})


def test_rows_can_be_numbered_in_parts_too(model_folder, tmp_path):
    table = {"phot_g_mean_mag": np.full(20_000, 12.0)}
    stars = read_stars(table, {"source_id": ROW_NUMBER})
    np.testing.assert_array_equal(stars.source_id, np.arange(20_000))
    path, out = tmp_path / "stars.csv", tmp_path / "vectors.parquet"
    pd.DataFrame(table).to_csv(path, index=False)
    job = Job("embed", str(model_folder), columns={"source_id": ROW_NUMBER})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job.write(path, out)
    np.testing.assert_array_equal(pd.read_parquet(out)["source_id"], np.arange(20_000))


def test_ids_may_be_the_index_of_a_frame():
    frame = pd.DataFrame({"phot_g_mean_mag": [12.0, 13.0]}, index=[7, 9])
    frame.index.name = "source_id"
    assert read_stars(frame).source_id.tolist() == [7, 9]
    assert frame.index.name == "source_id"


def test_a_light_curve_alone_is_said_to_be_alone():
    model = MultiStar.from_pretrained("mini", device="cpu")
    time = np.arange(0, 27, 0.02)
    flux = 1 + 1e-3 * np.sin(time)
    from multistar.modalities.light_curve.read import read_light_curves

    columns = {"source_id": [5], "time": [time], "flux": [flux], "flux_error": [0 * time + 1e-4]}
    curves = read_light_curves(columns)
    (alone,) = model.predict(None, light_curves=curves)["status"].to_pylist()
    assert "only_light_curve" in alone
    table = {"source_id": [5], "phot_g_mean_mag": [12.0]}
    (both,) = model.predict(table, light_curves=curves)["status"].to_pylist()
    assert "only_light_curve" not in both
