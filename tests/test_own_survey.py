"""From a table of one's own to a model: labels of any name, stars without labels, a start from a model."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import assert_same_table

from multistar.api import MultiStar
from multistar.checks import baselines
from multistar.checks.benchmarks.own_survey import make_table
from multistar.cli.app import main
from multistar.inference.predict import predict
from multistar.io.tables import read_columns
from multistar.model.checkpoint import load_model, save_model
from multistar.model.extend import with_labels
from multistar.quantities import QUANTITIES, declared
from multistar.reading import describe_reading
from multistar.stars import read_stars
from multistar.training.labels import parse_labels
from multistar.training.own_table import FEWEST_STEPS, describe_run, write_run
from multistar.training.run import load_run


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setitem(baselines.XGBOOST, "n_estimators", 20)


@pytest.fixture(scope="module")
def survey_file(mock_table, tmp_path_factory):
    """600 stars as a survey has them, the last 200 without labels, in capitals."""
    frame = make_table(mock_table, labelled=400)
    assert not [name for name in frame if name.startswith("true_") or name in ("mass", "phase")]
    frame = frame.rename(columns={"teff": "TEFF", "teff_error": "TEFF_ERR"})
    file = tmp_path_factory.mktemp("survey") / "mine.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), file)
    return file


def test_labels_are_quantities_or_columns():
    teff, own, log = parse_labels(["teff", "mg_fe", "vsini:log"])
    assert teff is QUANTITIES["teff"]
    assert (own.name, own.kind, own.transform) == ("mg_fe", "label", "linear")
    assert (log.name, log.transform) == ("vsini", "log")


def test_labels_of_own_names_can_be_given(star_model, mock_table, tmp_path):
    """By Python, by a job and by the checks' command line, not only those of quantities.py."""
    model = with_labels(star_model.model, [QUANTITIES["teff"], declared("mg_fe", "label")])
    folder, file, out = (tmp_path / name for name in ("model", "stars.parquet", "out.parquet"))
    save_model(model, folder)
    told = np.where(np.arange(40) < 20, 0.2, np.nan)
    table = mock_table[:40].append_column("mg_fe", pa.array(told))
    pq.write_table(table.append_column("mg_fe_error", pa.array(np.full(40, 1e-4))), file)
    found = MultiStar.from_pretrained(folder).predict(file, given=["mg_fe"])
    assert np.allclose(found["mg_fe"].to_numpy()[:20], 0.2, atol=1e-3)
    assert not np.allclose(found["mg_fe"].to_numpy()[20:], 0.2, atol=1e-3)
    job = ["predict", str(file), "--model", str(folder), "--given", "mg_fe", "--out", str(out)]
    assert main(job) == 0
    assert_same_table(pq.read_table(out), found)
    with pytest.raises(ValueError, match="no column of it"):
        MultiStar.from_pretrained(folder).predict(mock_table[:40], given=["mg_fe"])


@pytest.mark.parametrize(
    "words, message",
    [
        (["g"], "measured"),
        (["teff:log"], "fixed"),
        (["vsini:class"], "NAME:log"),
        (["vsini", "vsini:log"], "twice"),
        (["a b"], "letters"),
    ],
)
def test_words_that_are_no_labels_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        parse_labels(words)


def test_a_model_with_other_labels_says_the_same_of_those_it_keeps(
    star_model, mock_table, tmp_path
):
    base, stars = star_model.model, read_stars(mock_table[:50])
    new = [declared("mg_fe", "label"), QUANTITIES["logg"], QUANTITIES["teff"]]
    other = with_labels(base, new)
    assert other.vocabulary.labels == ("teff", "logg", "mg_fe")
    before, after = predict(base, stars), predict(other, stars)
    for label in ("teff", "logg"):
        for column in (label, f"{label}_lower", f"{label}_upper"):
            # a head of another size may be multiplied by another kernel
            np.testing.assert_allclose(before[column], after[column], rtol=1e-6, err_msg=column)
    assert "mass" not in after.column_names and "mg_fe" in after.column_names
    save_model(other, tmp_path / "other")
    assert_same_table(after, predict(load_model(tmp_path / "other"), stars))


def test_the_run_file_says_what_was_described(survey_file, tmp_path):
    run = describe_run(
        survey_file,
        ["teff", "mg_fe"],
        tmp_path / "out",
        held_out=0.2,
    )
    assert run.training.steps == FEWEST_STEPS  # few stars
    path = tmp_path / "out.toml"
    write_run(run, path)
    assert load_run(path) == run
    write_run(run, path)  # the same again is no conflict
    with pytest.raises(FileExistsError):
        write_run(describe_run(survey_file, ["logg"], tmp_path / "out"), path)


def test_column_names_of_any_kind_come_back_from_the_run_file(survey_file, tmp_path):
    table = pq.read_table(survey_file)
    odd = 'Mg "Fe"\\ 1 \x7f 🌟'
    file = tmp_path / "odd.parquet"
    pq.write_table(
        table.rename_columns([odd if n == "mg_fe" else n for n in table.column_names]), file
    )
    run = describe_run(file, ["mg_fe"], tmp_path / "out", columns={"mg_fe": odd})
    write_run(run, tmp_path / "out.toml")
    assert load_run(tmp_path / "out.toml").data.columns == {"mg_fe": odd}


def test_from_a_table_to_predictions(survey_file, tmp_path, capsys):
    out = tmp_path / "mine"
    words = ["pretrain", "--table", str(survey_file), "--labels", "teff,mg_fe", "--out", str(out)]
    assert main([*words, "--steps", "40", "--held-out", "0.3"]) == 0
    said = capsys.readouterr().out
    assert "TEFF [K], errors TEFF_ERR" in said and "600 stars" in said
    page = (out / "report.html").read_text()
    assert "mg_fe" in page and "XGBoost had" in page and "<img" in page
    model = load_model(out)
    assert model.vocabulary.labels == ("teff", "mg_fe")
    assert 350 < model.provenance["training_stars"] < 480  # those without labels among them
    assert not model.config.mismatch
    table = predict(model, read_stars(read_columns(survey_file), labels=False)).to_pandas()
    known = pq.read_table(survey_file).to_pandas()["TEFF"].to_numpy()
    seen = np.isfinite(known)
    assert np.corrcoef(table["teff"][seen], known[seen])[0, 1] > 0.5
    assert main(words) == 2  # it is there
    assert "exists already" in capsys.readouterr().err


def test_going_on_from_a_model_teaches_what_the_table_has(
    survey_file, model_folder, tmp_path, capsys
):
    out = tmp_path / "more"
    words = ["pretrain", "--table", str(survey_file), "--labels", "logg,mg_fe"]
    assert main([*words, "--out", str(out), "--start", str(model_folder), "--steps", "20"]) == 0
    model = load_model(out)
    assert model.vocabulary.labels == ("logg", "mg_fe")
    assert model.provenance["continues"] == load_model(model_folder).hash
    slot = model.vocabulary.slot("mg_fe")
    known = (
        read_stars(read_columns(survey_file), declared=parse_labels(["mg_fe"]), labels=["mg_fe"])
        .scalars["mg_fe"]
        .value
    )
    assert abs(float(model.standardiser.center[slot]) - np.nanmedian(known)) < 0.05


def test_a_label_that_is_not_there_leaves_nothing_behind(survey_file, tmp_path, capsys):
    words = ["pretrain", "--table", str(survey_file), "--labels", "teff,vsini"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "vsini" in said and "this model cannot read" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_model_does_not_forget_labels_silently(survey_file, model_folder, tmp_path):
    from multistar.training.pretrain import pretrain

    run = describe_run(survey_file, ["teff"], tmp_path / "out", start=str(model_folder), steps=2)
    path = tmp_path / "run.toml"
    write_run(run, path)
    path.write_text(path.read_text().replace('labels = ["teff"]\n', ""))
    with pytest.raises(ValueError, match="no training star has .*mass.*data. labels"):
        pretrain(load_run(path), quiet=True)


@pytest.mark.parametrize(
    "words", [[], ["run.toml", "--table", "t.csv"], ["--table", "t.csv", "--out", "o"]]
)
def test_what_to_train_must_be_said_once(words, capsys):
    assert main(["pretrain", *words]) == 2
    assert "--labels A,B" in capsys.readouterr().err


def test_capitals_are_named_as_the_table_has_them(survey_file):
    table = read_columns(survey_file)
    table.add_lower_case_names()
    reading = describe_reading(table, read_stars(table, labels=False), {"g"})
    assert "TEFF_ERR" in reading.labels and "teff_err" not in reading.labels
    assert "teff_err" not in reading.unused
