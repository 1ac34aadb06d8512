"""multistar download gaia, from the command line to labels of the stars."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from gaia_server import BANDS, NO_XP, NOT_SENT, N, Sky, assert_is_the_sky, make_sky, serve

from multistar.batch.folder import shards
from multistar.cli.app import main


@pytest.fixture(scope="module")
def sky(mock_table) -> Sky:
    return make_sky(mock_table)


@pytest.fixture
def archive(sky):
    with serve(sky) as archive:
        yield archive


def test_download_then_predict(archive, sky, tmp_path, model_folder, capsys):
    """From the command line; the labels are those of the same stars from a table of their own."""
    Table({"source_id": sky.ids}).write(tmp_path / "ids.csv")
    command = f"download gaia {tmp_path}/ids.csv --chunk 7 --archive {archive.url}"
    assert main([*command.split(), "--out", str(tmp_path / "sky")]) == 0
    assert "20 stars in 3 files" in capsys.readouterr().out
    files = [f"gaia_0000{i}.parquet" for i in range(3)]
    assert [s.source.name for s in shards(tmp_path / "sky", tmp_path)] == files
    predict = f"--model {model_folder} --out {tmp_path}"
    assert main(f"predict {tmp_path}/sky {predict}/labels".split()) == 0
    labels = pa.concat_tables(pq.read_table(tmp_path / "labels" / file) for file in files)
    assert labels["source_id"].to_pylist() == sky.ids
    status = labels["status"].to_pylist()
    assert ["no_xp" in words for words in status] == [i in (NO_XP, NOT_SENT) for i in range(N)]

    plain = sky.sources[:7].copy()
    row_of = {star: row for row, star in enumerate(sky.spectra["source_id"].tolist())}
    for band in BANDS:
        for name in (f"{band}_coefficients", f"{band}_coefficient_errors"):
            plain[name] = np.full((7, 55), np.nan)
            for i, star in enumerate(sky.ids[:7]):
                if star in row_of:
                    plain[name][i, :40] = sky.spectra[name][row_of[star]].astype(float)[:40]
    plain.write(tmp_path / "plain.fits")
    assert main(f"predict {tmp_path}/plain.fits {predict}/plain.parquet".split()) == 0
    want = pq.read_table(tmp_path / "plain.parquet")
    np.testing.assert_allclose(labels["teff"].to_numpy()[:7], want["teff"].to_numpy(), rtol=1e-4)


def test_the_command_line_says_what_is_wrong(archive, sky, tmp_path, capsys):
    def refused(match, *arguments):
        command = ["download", "gaia", *arguments, "--archive", archive.url]
        assert main([*command, "--out", str(tmp_path / "out")]) == 2
        assert match in capsys.readouterr().err

    refused("say which stars")
    refused("say which stars", "17", "--cone", "10", "-20", "1")
    refused("give ids as numbers, or one table", "17", "ids.csv")
    refused("no file 'query.sql', and no query", "--adql", "query.sql")
    archive.spoil = lambda n, body: (500, b"")
    refused("the same command goes on from there", str(sky.ids[0]))


def test_adql_from_a_file_and_a_cone_from_the_command_line(archive, sky, tmp_path):
    archive.answer = sky.sources[:2]
    (tmp_path / "query.sql").write_text("SELECT source_id\nFROM somewhere\n")
    common = f"--archive {archive.url} --out {tmp_path}"
    command = f"download gaia --adql {tmp_path}/query.sql {common}/a"
    assert main(command.split()) == 0
    assert archive.queries == ["SELECT source_id\nFROM somewhere\n"]
    command = f"download gaia --cone 0 -90 180 {common}/b"
    assert main(command.split()) == 0
    assert_is_the_sky(tmp_path / "b", sky, range(N))
