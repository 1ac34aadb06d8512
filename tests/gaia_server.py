"""A server that answers as ESA's archive does: TAP jobs with uploads, DataLink with VOTables."""

import csv
import gzip
import io
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import astropy.units as u
import numpy as np
import pyarrow as pa
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.table import MaskedColumn, Table

from multistar.download.gaia import WITHOUT_SPECTRA
from multistar.modalities.scalars.read import MAG_PER_RELATIVE_FLUX
from multistar.stars import read_stars

N = 20
# rows of the sky with something missing
NO_XP, NOT_SENT, NO_RP_MAG = 3, 7, 5
BANDS = ("bp", "rp")


@dataclass
class Sky:
    """What the archive holds."""

    sources: Table
    spectra: Table

    @property
    def ids(self) -> list[int]:
        return self.sources["source_id"].tolist()


def make_sky(mock_table: pa.Table) -> Sky:
    """An archive with the first N stars of a mock survey."""
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


def votable_bytes(table: Table, overflow: bool = False) -> bytes:
    document = votable.from_table(table)
    if overflow:
        document.resources[0].infos.append(votable.tree.Info(name="QUERY_STATUS", value="OVERFLOW"))
    stream = io.BytesIO()
    document.to_xml(stream, tabledata_format="binary2")
    return stream.getvalue()


@dataclass
class Archive:
    """What the server knows, how it is to fail, and what it was asked.

    `spoil` may replace the answer to the n-th DataLink request: (n, zip) -> (HTTP status, body).
    """

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
        self.jobs.append(gzip.compress(votable_bytes(self.select(query, uploaded), self.overflow)))

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
                bundle.writestr(f"{request['RETRIEVAL_TYPE']}_RAW.xml", votable_bytes(found))
        return self.spoil(len(self.requests) - 1, stream.getvalue())


@contextmanager
def serve(sky: Sky) -> Iterator[Archive]:
    """An archive that answers on a port of this machine while the context lasts."""
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
    """Why stars have no spectrum, as the download lists it."""
    with open(folder / WITHOUT_SPECTRA, newline="") as stream:
        return {int(row["source_id"]): row["reason"] for row in csv.DictReader(stream)}


def names(folder) -> list[str]:
    """Names of the files in a folder."""
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
