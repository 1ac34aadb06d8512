"""download gaia where an archive, a run or a request fails: what is kept, and what is said."""

import io
import zipfile

import pytest
from astropy.table import MaskedColumn, Table
from gaia_server import (
    NO_XP,
    NOT_SENT,
    N,
    Sky,
    assert_is_the_sky,
    make_sky,
    names,
    serve,
    votable_bytes,
    without_spectra,
)

from multistar.download import gaia
from multistar.download.gaia import SELECTION, WITHOUT_SPECTRA, Cone, Query, download_gaia


@pytest.fixture(scope="module")
def sky(mock_table) -> Sky:
    return make_sky(mock_table)


@pytest.fixture
def archive(sky):
    with serve(sky) as archive:
        yield archive


def times_of_files(folder) -> dict[str, int]:
    """When each file was written [ns]."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


def _empty_file(body):
    return 200, b""


def _cut(body):
    return 200, body[: len(body) // 2]


def _error(body):
    return 500, b"<html>Internal Server Error</html>"


def _page(body):
    return 200, b"<html>down for maintenance</html>"


def _damaged(body):
    return 200, body[:2000] + bytes(200) + body[2200:]


def _columns_gone(body):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        bundle.writestr(
            "XP_CONTINUOUS_RAW.xml", votable_bytes(Table({"source_id": [1], "flux": [2.0]}))
        )
    return 200, stream.getvalue()


@pytest.mark.parametrize("status", [200, 500])
def test_a_query_that_the_archive_refuses(archive, tmp_path, status):
    text = (
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        '<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">'
        "Unknown column bp_magnitude</INFO></RESOURCE></VOTABLE>"
    )
    archive.failure = status, text.encode()
    reason = "query 'SELECT bp_magnitude'.*Unknown column bp_magnitude"
    with pytest.raises(ConnectionError, match=reason):
        download_gaia(Query("SELECT bp_magnitude"), tmp_path / "out", archive=archive.url)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", [_empty_file, _cut, _error, _page, _damaged, _columns_gone])
def test_a_faulty_answer_costs_its_chunk_only(archive, sky, tmp_path, fault, capsys):
    archive.spoil = lambda n, body: fault(body) if n == 1 else (200, body)
    reason = r"1 chunks failed; of gaia_00001\.parquet: XP_CONTINUOUS of 4 .* 4 of 5 chunks are"
    with pytest.raises(ConnectionError, match=reason):
        download_gaia(sky.ids, tmp_path, archive=archive.url, chunk=4)
    assert capsys.readouterr().out == ""
    kept = times_of_files(tmp_path)
    assert len(kept) == 4 and "gaia_00001.parquet" not in kept
    # NOT_SENT is of the chunk that failed
    assert set(without_spectra(tmp_path)) == {sky.ids[NO_XP]}
    requests, queries = len(archive.requests), len(archive.queries)
    download_gaia(sky.ids, tmp_path, archive=archive.url, chunk=4)
    assert (len(archive.requests), len(archive.queries)) == (requests + 1, queries + 1)
    assert_is_the_sky(tmp_path, sky, range(N))
    assert kept.items() <= times_of_files(tmp_path).items()
    assert set(without_spectra(tmp_path)) == {sky.ids[NO_XP], sky.ids[NOT_SENT]}


def test_an_archive_that_is_down_is_not_asked_for_ever(archive, sky, tmp_path):
    archive.spoil = lambda n, body: (503, b"Service Unavailable") if n else (200, body)
    with pytest.raises(ConnectionError, match="3 chunks failed.*1 of 10 chunks are complete"):
        download_gaia(sky.ids, tmp_path, archive=archive.url, chunk=2)
    assert len(archive.requests) == 4


def test_no_server_at_all(tmp_path):
    with pytest.raises(ConnectionError, match="query 'SELECT 1'.*Connection refused"):
        download_gaia(Query("SELECT 1"), tmp_path / "out", archive="http://127.0.0.1:9")
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_goes_on(archive, sky, tmp_path, monkeypatch):
    fetch = gaia._fetch

    def interrupted(server, selected):
        if sky.ids[8] in selected["source_id"].to_pylist():
            raise KeyboardInterrupt
        return fetch(server, selected)

    archive.answer = sky.sources
    with monkeypatch.context() as patch:
        patch.setattr(gaia, "_fetch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            download_gaia(Query("SELECT all of it"), tmp_path, archive=archive.url, chunk=8)
    assert names(tmp_path) == [SELECTION, WITHOUT_SPECTRA, "gaia_00000.parquet"]
    (tmp_path / ".gaia_00001-0f.tmp.parquet").write_bytes(b"half")  # of a run that was killed
    whole = (tmp_path / "gaia_00000.parquet").read_bytes()
    (tmp_path / "gaia_00000.parquet").write_bytes(whole[:5000])  # a disk that was full
    archive.answer = sky.sources[::-1]  # would be another selection: it is not asked for again
    download_gaia(Query("SELECT all of it"), tmp_path, archive=archive.url, chunk=8)
    assert archive.queries == ["SELECT all of it"]
    assert (tmp_path / "gaia_00000.parquet").read_bytes() == whole
    files = [f"gaia_0000{i}.parquet" for i in range(3)]
    assert names(tmp_path) == [SELECTION, WITHOUT_SPECTRA, *files]
    assert_is_the_sky(tmp_path, sky, range(N))


def test_an_answer_that_was_cut_is_refused(archive, sky, tmp_path):
    archive.answer, archive.overflow = sky.sources, True
    with pytest.raises(ConnectionError, match="query status OVERFLOW"):
        download_gaia(Query("SELECT everything"), tmp_path, archive=archive.url)
    assert names(tmp_path) == []


def test_selections_that_cannot_be_meant(archive, sky, tmp_path):
    def refused(error, match, stars, **options):
        with pytest.raises(error, match=match):
            download_gaia(stars, tmp_path / "out", archive=archive.url, **options)
        assert not (tmp_path / "out").exists()

    refused(ValueError, "unknown release 'dr2'; known are dr3, dr4", [1], release="dr2")
    refused(ValueError, "1 to 5000 stars", [1], chunk=5001)
    refused(ValueError, "positive, found -3", [-3])
    with pytest.raises(ValueError, match="RADIUS in"):
        Cone(10, 20, 0)
    archive.answer = sky.sources[:0]
    refused(ValueError, "no star is selected", Query("SELECT nothing"))
    archive.answer = sky.sources[[1, 2, 1]]
    refused(ValueError, f"{sky.ids[1]} is selected more than once", Query("SELECT a join"))
    archive.answer = Table({"ra": [1.0]})
    refused(ValueError, "no columns \\['source_id'\\]", Query("SELECT ra"))
    archive.answer = Table({"source_id": MaskedColumn([5, 6], mask=[False, True])})
    refused(ValueError, "no source_id", Query("SELECT an outer join"))


def test_a_folder_belongs_to_one_download(archive, sky, tmp_path):
    download_gaia(sky.ids[:2], tmp_path / "one", archive=archive.url)
    with pytest.raises(ValueError, match="another download .different stars."):
        download_gaia(sky.ids[:3], tmp_path / "one", archive=archive.url)
    with pytest.raises(ValueError, match="another download .different release."):
        download_gaia(sky.ids[:2], tmp_path / "one", archive=archive.url, release="dr4")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "mine.csv").write_text("x")
    with pytest.raises(FileExistsError, match="is not empty"):
        download_gaia(sky.ids[:2], tmp_path / "two", archive=archive.url)
