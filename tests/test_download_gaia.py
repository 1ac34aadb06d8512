"""download gaia against a server that answers as ESA's does: TAP jobs with uploads, DataLink with zipped VOTables."""

import csv
import gzip
import io
import re
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.table import MaskedColumn, Table, vstack

from multistar._compat import load_gaiaxpy
from multistar.batch.folder import shards
from multistar.cli.app import main
from multistar.download.gaia import (
    RELEASES,
    SELECTION,
    WITHOUT_SPECTRA,
    XP_COLUMNS,
    Cone,
    Query,
    _Server,
    download_gaia,
)
from multistar.modalities.scalars.read import MAG_PER_RELATIVE_FLUX
from multistar.stars import read_stars

N = 20
NO_XP, NOT_SENT, NO_RP_MAG = 3, 7, 5  # rows of the sky with something missing
BANDS = ("bp", "rp")


@dataclass
class Sky:
    """What the archive holds."""

    sources: Table
    spectra: Table

    @property
    def ids(self) -> list[int]:
        return self.sources["source_id"].tolist()


@pytest.fixture(scope="module")
def sky(mock_table) -> Sky:
    mock = mock_table[:N].to_pandas()
    names = ["source_id", "ra", "dec", "parallax", "parallax_error"]
    sources = Table({name: mock[name].to_numpy() for name in names})
    for band in ("g", "bp", "rp"):
        name, error = f"phot_{band}_mean_mag", mock[f"phot_{band}_mean_mag_error"].to_numpy()
        sources[name] = MaskedColumn(
            mock[name].to_numpy(np.float32), mask=np.zeros(N, bool), unit="mag"
        )
        sources[f"phot_{band}_mean_flux_over_error"] = (MAG_PER_RELATIVE_FLUX / error).astype(
            np.float32
        )
    sources["phot_rp_mean_mag"].mask[NO_RP_MAG] = True
    sources["has_xp_continuous"] = np.arange(N) != NO_XP
    has = np.flatnonzero(~np.isin(np.arange(N), (NO_XP, NOT_SENT)))
    columns = {
        "source_id": mock["source_id"].to_numpy()[has],
        "solution_id": np.full(len(has), 4545469030156206080),
    }
    for band in BANDS:
        value = np.stack(mock[f"{band}_coefficients"])[has].astype(np.float64)
        error = np.stack(mock[f"{band}_coefficient_errors"])[has].astype(np.float32)
        correlations = np.linspace(-0.01, 0.01, 55 * 27, dtype=np.float32)
        columns |= {
            f"{band}_basis_function_id": np.full(len(has), 56 if band == "bp" else 57, np.int16),
            f"{band}_n_parameters": np.full(len(has), 55, np.int16),
            f"{band}_standard_deviation": np.full(len(has), 1.05, np.float32),
            f"{band}_coefficients": _ragged(value),
            f"{band}_coefficient_errors": _ragged(error),
            f"{band}_coefficient_correlations": _ragged(np.tile(correlations, (len(has), 1))),
            f"{band}_n_relevant_bases": np.full(len(has), 40, np.int16),
        }
    return Sky(sources, Table(columns))


def _ragged(rows: np.ndarray) -> np.ndarray:
    """Vectors as the archive declares them: of any length."""
    out = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        out[i] = np.ma.array(row, mask=False)
    return out


def _votable(table: Table, overflow: bool = False) -> bytes:
    document = votable.from_table(table)
    if overflow:
        document.resources[0].infos.append(votable.tree.Info(name="QUERY_STATUS", value="OVERFLOW"))
    stream = io.BytesIO()
    document.to_xml(stream, tabledata_format="binary2")
    return stream.getvalue()


@dataclass
class Archive:
    """`spoil` may replace the answer to the n-th DataLink request: (n, zip) -> (HTTP status, body)."""

    sky: Sky
    url: str = ""
    spoil: Callable[[int, bytes], tuple[int, bytes]] = lambda n, body: (200, body)
    answer: Table | None = None  # to a user's query
    overflow: bool = False
    failure: tuple[int, bytes] | None = None  # of a job: status and body of its result
    queries: list[str] = field(default_factory=list)
    requests: list[dict] = field(default_factory=list)
    jobs: list[bytes] = field(default_factory=list)

    def tap(self, body: bytes, content_type: str) -> None:
        if "multipart" in content_type:
            parts = body.decode().split(content_type.split("boundary=")[1])
            fields = {
                re.search('name="(.*?)"', p)[1]: p.split("\r\n\r\n", 1)[1]
                for p in parts
                if "name=" in p
            }
            query = fields["QUERY"].split("\r\n")[0]
            uploaded = [int(x) for x in re.findall(r"<TD>(\d+)</TD>", fields["ids"])]
            assert fields["UPLOAD"].startswith("ids,param:ids")
        else:
            query, uploaded = parse_qs(body.decode())["QUERY"][0], None
        self.queries.append(query)
        self.jobs.append(gzip.compress(_votable(self.select(query, uploaded), self.overflow)))

    def select(self, query: str, uploaded: list[int] | None) -> Table:
        table = self.sky.sources
        if uploaded is not None:
            assert "FROM tap_upload.ids AS u JOIN gaiadr" in query
            table = table[np.isin(table["source_id"], uploaded)][::-1]  # a join has no order
        elif circle := re.search(r"CIRCLE\('ICRS', (\S+), (\S+), (\S+?)\)", query):
            ra, dec, radius = map(float, circle.groups())
            apart = SkyCoord(table["ra"], table["dec"], unit="deg").separation(
                SkyCoord(ra, dec, unit="deg")
            )
            table = table[apart < radius * u.deg]
        else:
            return self.sky.sources if self.answer is None else self.answer
        names = re.search("SELECT (.*?) FROM", query)[1]
        table = table[[name.strip().removeprefix("g.") for name in names.split(",")]]
        table.rename_column("source_id", "SOURCE_ID")  # as the archive has written it since 2023
        return table

    def data(self, body: bytes) -> tuple[int, bytes]:
        request = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.requests.append(request)
        ids = [int(x) for x in request["ID"].split(",")]
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle:
            found = self.sky.spectra[np.isin(self.sky.spectra["source_id"], ids)]
            if len(found):
                bundle.writestr(f"{request['RETRIEVAL_TYPE']}_RAW.xml", _votable(found))
        return self.spoil(len(self.requests) - 1, stream.getvalue())


@pytest.fixture
def archive(sky):
    archive = Archive(sky)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

        def reply(self, status: int, body: bytes = b"", **headers):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/tap-server/tap/async":
                archive.tap(body, self.headers["Content-Type"])
                self.reply(303, Location=f"{archive.url}{self.path}/{len(archive.jobs) - 1}")
            elif self.path == "/data-server/data":
                self.reply(*archive.data(body))
            else:
                self.reply(404)

        def do_GET(self):
            job, what = re.fullmatch("/tap-server/tap/async/([0-9]+)/(.*)", self.path).groups()
            if what == "phase":
                self.reply(200, b"ERROR" if archive.failure else b"COMPLETED")
            else:
                self.reply(*(archive.failure or (200, archive.jobs[int(job)])))

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        archive.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield archive
        server.shutdown()
        thread.join()


def without_spectra(folder) -> dict[int, str]:
    with open(folder / WITHOUT_SPECTRA, newline="") as stream:
        return {int(row["source_id"]): row["reason"] for row in csv.DictReader(stream)}


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_is_the_sky(folder, sky: Sky, rows) -> None:
    """All that the model reads is what the archive holds of these rows, in this order."""
    stars, sources = read_stars(folder), sky.sources[list(rows)]
    assert stars.source_id.tolist() == sources["source_id"].tolist()
    np.testing.assert_array_equal(stars.scalars["parallax"].value, sources["parallax"])
    for band in ("g", "bp", "rp"):
        want = np.ma.filled(sources[f"phot_{band}_mean_mag"].astype(float), np.nan)
        np.testing.assert_array_equal(stars.scalars[band].value, want)
        ratio = sources[f"phot_{band}_mean_flux_over_error"].astype(float)
        sigma = np.where(np.isnan(want), stars.scalars[band].sigma, MAG_PER_RELATIVE_FLUX / ratio)
        np.testing.assert_array_equal(stars.scalars[band].sigma, sigma)
    at = {star: i for i, star in enumerate(sky.spectra["source_id"].tolist())}
    for band in BANDS:
        for i, star in enumerate(stars.source_id.tolist()):
            got = stars.xp[band].value[i]
            if star not in at:
                assert np.isnan(got).all()
                continue
            np.testing.assert_array_equal(
                got[:40], sky.spectra[f"{band}_coefficients"][at[star]][:40]
            )
            assert np.isnan(got[40:]).all()  # n_relevant_bases is 40
            np.testing.assert_array_equal(
                stars.xp[band].sigma[i],
                sky.spectra[f"{band}_coefficient_errors"][at[star]].astype(float),
            )


def test_source_ids(archive, sky, tmp_path):
    rows, out = [9, 2, NO_XP, 15, NOT_SENT, 0, NO_RP_MAG], tmp_path / "out"
    ids = [sky.ids[i] for i in rows]
    files = download_gaia([*ids[:3], 4242, *ids[3:], ids[0]], out, archive=archive.url, chunk=3)
    assert [f.name for f in files] == [
        "gaia_00000.parquet",
        "gaia_00001.parquet",
        "gaia_00002.parquet",
    ]
    assert names(out) == sorted([f.name for f in files] + [SELECTION, WITHOUT_SPECTRA])
    assert_is_the_sky(out, sky, rows)
    assert without_spectra(out) == {
        sky.ids[NO_XP]: "no XP_CONTINUOUS in Gaia DR3",
        4242: "not in gaiadr3.gaia_source",
        sky.ids[NOT_SENT]: "announced, but not sent",
    }
    assert [pq.read_metadata(f).num_rows for f in files] == [3, 2, 2]
    assert len({pq.read_schema(f) for f in files}) == 1
    assert archive.requests[0] == {
        "ID": f"{ids[0]},{ids[1]}", "RELEASE": "Gaia DR3", "RETRIEVAL_TYPE": "XP_CONTINUOUS", "DATA_STRUCTURE": "RAW",
        "FORMAT": "votable", "USE_ZIP_ALWAYS": "true",
    }  # fmt: skip


def test_gaiaxpy_reads_what_was_downloaded(archive, sky, tmp_path):
    load_gaiaxpy()
    from gaiaxpy import calibrate

    [file] = download_gaia(sky.ids[:2], tmp_path, archive=archive.url)
    want = pd.DataFrame({name: list(sky.spectra[name][:2]) for name in sky.spectra.colnames})
    options = {"save_file": False, "truncation": True}
    spectra, _ = calibrate(pq.read_table(file).to_pandas(), **options)
    wanted, _ = calibrate(want, **options)
    for name in ("flux", "flux_error"):  # correlations count in the errors
        np.testing.assert_array_equal(np.stack(spectra[name]), np.stack(wanted[name]))


def test_a_cone_is_one_query(archive, sky, tmp_path):
    centre = sky.sources[4]
    apart = SkyCoord(sky.sources["ra"], sky.sources["dec"], unit="deg").separation(
        SkyCoord(centre["ra"], centre["dec"], unit="deg")
    )
    radius = float(np.sort(apart.deg)[9:11].mean())  # ten stars
    download_gaia(Cone(centre["ra"], centre["dec"], radius), tmp_path, archive=archive.url, chunk=4)
    assert_is_the_sky(tmp_path, sky, np.flatnonzero(apart.deg < radius))
    assert len(read_stars(tmp_path)) == 10
    assert len(archive.queries) == 1  # photometry came with it
    assert len(archive.requests) == 3


def test_columns_of_a_query_are_kept_and_the_others_added(archive, sky, tmp_path):
    rows = [12, 1, 6]
    archive.answer = sky.sources[rows]["source_id", "phot_g_mean_mag"]
    archive.answer["j_m"] = MaskedColumn(
        [11.5, 12.5, 0], mask=[False, False, True], dtype=np.float32
    )
    archive.answer["name"] = ["a", "b", "c"]
    archive.answer["bp_n_relevant_bases"] = np.int16(
        9
    )  # of a table of summaries; the spectrum's own is taken
    download_gaia(
        Query("SELECT TOP 3 my, columns FROM somewhere"), tmp_path, archive=archive.url, chunk=2
    )
    assert_is_the_sky(tmp_path, sky, rows)
    np.testing.assert_array_equal(read_stars(tmp_path).scalars["j"].value, [11.5, 12.5, np.nan])
    assert pa.concat_tables(map(pq.read_table, sorted(tmp_path.glob("*.parquet"))))[
        "name"
    ].to_pylist() == list("abc")
    assert archive.queries[0] == "SELECT TOP 3 my, columns FROM somewhere"
    assert (
        "phot_g_mean_mag" not in archive.queries[1] and "g.phot_bp_mean_mag" in archive.queries[1]
    )


def test_a_star_that_is_sent_twice_is_one_row(archive, sky, tmp_path):
    twice = Sky(sky.sources, vstack([sky.spectra[:3], sky.spectra[1:3]]))
    archive.sky = twice
    download_gaia(sky.ids[:3], tmp_path, archive=archive.url)
    assert_is_the_sky(tmp_path, sky, range(3))


def test_no_spectrum_at_all_reads_as_photometry(archive, sky, tmp_path):
    [file] = download_gaia([sky.ids[NO_XP]], tmp_path, archive=archive.url)
    assert archive.requests == []
    assert read_stars(file).scalars["g"].value == sky.sources["phot_g_mean_mag"][NO_XP]
    assert set(without_spectra(tmp_path)) == {sky.ids[NO_XP]}


def test_dr4_has_other_names(archive, sky, tmp_path):
    download_gaia(sky.ids[:4], tmp_path, release="dr4", archive=archive.url)
    assert "JOIN gaiadr4.gaia_source" in archive.queries[0] and "has_xp" not in archive.queries[0]
    request = archive.requests[0]
    assert (request["RELEASE"], request["RETRIEVAL_TYPE"]) == ("Gaia DR4", "MEAN_SPECTRUM_XP")
    assert len(request["ID"].split(",")) == 4  # it is not known beforehand which have spectra
    assert without_spectra(tmp_path) == {sky.ids[NO_XP]: "no MEAN_SPECTRUM_XP in Gaia DR4"}
    assert_is_the_sky(tmp_path, sky, range(4))


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
        bundle.writestr("XP_CONTINUOUS_RAW.xml", _votable(Table({"source_id": [1], "flux": [2.0]})))
    return 200, stream.getvalue()


@pytest.mark.parametrize("status", [200, 500])
def test_a_query_that_the_archive_refuses(archive, tmp_path, status):
    text = (
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        '<INFO name="QUERY_STATUS" value="ERROR">Unknown column bp_magnitude</INFO></RESOURCE></VOTABLE>'
    )
    archive.failure = status, text.encode()
    with pytest.raises(
        ConnectionError, match="query 'SELECT bp_magnitude'.*Unknown column bp_magnitude"
    ):
        download_gaia(Query("SELECT bp_magnitude"), tmp_path / "out", archive=archive.url)
    assert not (tmp_path / "out").exists()


def test_stars_that_the_release_does_not_know(archive, sky, tmp_path, model_folder):
    download_gaia([4242, 4243, *sky.ids[:2]], tmp_path / "sky", archive=archive.url, chunk=2)
    assert [
        f.num_rows for f in map(pq.read_metadata, sorted((tmp_path / "sky").glob("*.parquet")))
    ] == [0, 2]
    assert_is_the_sky(tmp_path / "sky", sky, range(2))
    assert set(without_spectra(tmp_path / "sky")) == {4242, 4243}
    arguments = [
        "predict",
        str(tmp_path / "sky"),
        "--model",
        str(model_folder),
        "--out",
        str(tmp_path / "labels"),
    ]
    assert main(arguments) == 0


@pytest.mark.parametrize("fault", [_empty_file, _cut, _error, _page, _damaged, _columns_gone])
def test_a_faulty_answer_costs_its_chunk_only(archive, sky, tmp_path, fault, capsys):
    archive.spoil = lambda n, body: fault(body) if n == 1 else (200, body)
    with pytest.raises(
        ConnectionError,
        match=r"1 chunks failed; of gaia_00001\.parquet: XP_CONTINUOUS of 4 .* 4 of 5 chunks are",
    ):
        download_gaia(sky.ids, tmp_path, archive=archive.url, chunk=4)
    assert capsys.readouterr().out == ""
    kept = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.parquet")}
    assert len(kept) == 4 and "gaia_00001.parquet" not in kept
    assert set(without_spectra(tmp_path)) == {
        sky.ids[NO_XP]
    }  # NOT_SENT is of the chunk that failed
    asked = len(archive.requests), len(archive.queries)
    download_gaia(sky.ids, tmp_path, archive=archive.url, chunk=4)
    assert (len(archive.requests), len(archive.queries)) == (asked[0] + 1, asked[1] + 1)
    assert_is_the_sky(tmp_path, sky, range(N))
    assert (
        kept.items() <= {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.parquet")}.items()
    )
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
    from multistar.download import gaia as module

    fetch = module._fetch

    def interrupted(server, selected):
        if sky.ids[8] in selected["source_id"].to_pylist():
            raise KeyboardInterrupt
        return fetch(server, selected)

    archive.answer = sky.sources
    with monkeypatch.context() as patch:
        patch.setattr(module, "_fetch", interrupted)
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
    assert names(tmp_path) == [
        SELECTION,
        WITHOUT_SPECTRA,
        *(f"gaia_0000{i}.parquet" for i in range(3)),
    ]
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


def test_download_then_predict(archive, sky, tmp_path, model_folder, capsys):
    """From the command line; the labels are those of the same stars from a table of their own."""
    Table({"source_id": sky.ids}).write(tmp_path / "ids.csv")
    options = ["--chunk", "7", "--archive", archive.url, "--out"]
    assert (
        main(["download", "gaia", str(tmp_path / "ids.csv"), *options, str(tmp_path / "sky")]) == 0
    )
    assert "20 stars in 3 files" in capsys.readouterr().out
    assert [s.source.name for s in shards(tmp_path / "sky", tmp_path)] == [
        f"gaia_0000{i}.parquet" for i in range(3)
    ]
    model = ["--model", str(model_folder), "--out"]
    assert main(["predict", str(tmp_path / "sky"), *model, str(tmp_path / "labels")]) == 0
    labels = pa.concat_tables(
        pq.read_table(tmp_path / "labels" / f"gaia_0000{i}.parquet") for i in range(3)
    )
    assert labels["source_id"].to_pylist() == sky.ids
    status = labels["status"].to_pylist()
    assert ["no_xp" in words for words in status] == [i in (NO_XP, NOT_SENT) for i in range(N)]
    plain = sky.sources[:7].copy()
    for band in BANDS:
        for what in ("coefficients", "coefficient_errors"):
            name = f"{band}_{what}"
            at = {star: i for i, star in enumerate(sky.spectra["source_id"].tolist())}
            rows = [
                sky.spectra[name][at[s]].astype(float) if s in at else np.full(55, np.nan)
                for s in sky.ids[:7]
            ]
            plain[name] = np.stack(rows)
            plain[name][:, 40:] = np.nan
    plain.write(tmp_path / "plain.fits")
    assert (
        main(["predict", str(tmp_path / "plain.fits"), *model, str(tmp_path / "plain.parquet")])
        == 0
    )
    want = pq.read_table(tmp_path / "plain.parquet")
    np.testing.assert_allclose(labels["teff"].to_numpy()[:7], want["teff"].to_numpy(), rtol=1e-4)


def test_the_command_line_says_what_is_wrong(archive, sky, tmp_path, capsys):
    def refused(match, *arguments):
        assert (
            main(
                [
                    "download",
                    "gaia",
                    *arguments,
                    "--archive",
                    archive.url,
                    "--out",
                    str(tmp_path / "out"),
                ]
            )
            == 2
        )
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
    options = ["--archive", archive.url, "--out"]
    assert (
        main(
            [
                "download",
                "gaia",
                "--adql",
                str(tmp_path / "query.sql"),
                *options,
                str(tmp_path / "a"),
            ]
        )
        == 0
    )
    assert archive.queries == ["SELECT source_id\nFROM somewhere\n"]
    assert (
        main(["download", "gaia", "--cone", "0", "-90", "180", *options, str(tmp_path / "b")]) == 0
    )
    assert_is_the_sky(tmp_path / "b", sky, range(N))


def test_releases_differ_in_every_name():
    one, other = RELEASES["dr3"], RELEASES["dr4"]
    assert not {one.source, one.data, one.product} & {other.source, other.data, other.product}


@pytest.mark.realdata
def test_an_answer_of_the_real_archive(real_data, tmp_path):
    """Four stars as DataLink gave them, beside what the reader makes of the VOTable itself."""
    path = real_data / "xp" / "gaia_dr3_xp_continuous_weiler4.vot"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        bundle.write(path, "XP_CONTINUOUS_RAW.xml")
    server = _Server("http://127.0.0.1:9", RELEASES["dr3"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            server._data,
            "load_data",
            lambda params_dict, output_file: Path(output_file).write_bytes(stream.getvalue()),
        )
        table = server.spectra(pa.chunked_array([[1, 2, 3, 4]]))
    assert table.schema.names == ["source_id", *XP_COLUMNS]
    got, want = read_stars(table), read_stars(path)
    assert got.source_id.tolist() == want.source_id.tolist()
    for band in BANDS:
        np.testing.assert_array_equal(got.xp[band].value, want.xp[band].value)
        np.testing.assert_allclose(
            got.xp[band].sigma, want.xp[band].sigma, rtol=1e-7
        )  # kept as float32
        assert {len(x) for x in table[f"{band}_coefficient_correlations"].to_pylist()} == {
            55 * 54 // 2
        }
