"""Files made to do harm: no address is opened, nothing expands or stalls, one table costs one table."""

import bz2
import gzip
import http.server
import signal
import threading
import time
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from multistar.batch import folder as folder_module
from multistar.batch import job as job_module
from multistar.batch.folder import prepare, run, shards
from multistar.batch.job import Job
from multistar.io import untrusted
from multistar.io.chunks import read_chunks
from multistar.io.tables import read_columns
from multistar.io.untrusted import TooSlow, parse_unit, time_limit
from multistar.stars import read_stars

FIELDS = """<FIELD name="source_id" datatype="long"/><FIELD name="parallax" datatype="double" {unit}
/>"""
ROW = "<TABLEDATA><TR><TD>17</TD><TD>1.5</TD></TR></TABLEDATA>"


def votable(data: str = ROW, unit: str = 'unit="mas"', rows: str = "", fields: str = FIELDS) -> str:
    return (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f"<RESOURCE><TABLE {rows}>{fields.format(unit=unit)}<DATA>{data}</DATA></TABLE></RESOURCE>"
        "</VOTABLE>"
    )


@pytest.fixture
def server():
    """A web server that remembers what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(np.array([(17, 1.5)], ">i8,>f8").tobytes())

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/latest/meta-data", asked
        listening.shutdown()


# --- other addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("element", ["BINARY", "BINARY2", "FITS", "PARQUET"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_votable_opens_no_address(element, packed, server, tmp_path):
    address, asked = server
    path = tmp_path / ("a.vot.gz" if packed else "a.vot")
    text = votable(f'<{element}><STREAM href="{address}"/></{element}>').encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    for read in (read_columns, lambda path: next(read_chunks(path))):
        with pytest.raises(ValueError, match="another address .*is not opened"):
            read(path)
    assert asked == []


@pytest.mark.parametrize(
    "write", ['href="{}"', "HREF='{}'", 'xmlns:x="u" x:href="{}"', 'encoding="gzip" href="{}"']
)
def test_a_votable_reads_no_other_file(write, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.array([(17, 1.5)], ">i8,>f8").tobytes())
    stream = f"<BINARY><STREAM {write.format(secret.as_uri())}/></BINARY>"
    (tmp_path / "a.vot").write_text(votable(stream))
    with pytest.raises(ValueError, match="another address"):
        read_columns(tmp_path / "a.vot")


def test_a_sound_votable_is_read(tmp_path):
    (tmp_path / "a.vot").write_text(votable(rows='nrows="1"'))
    stars = read_stars(tmp_path / "a.vot")
    assert stars.source_id.tolist() == [17] and stars.scalars["parallax"].value.tolist() == [1.5]


# --- what expands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bomb.fits", "bomb.vot", "bomb.fit", "bomb.xml"])
def test_gzip_is_found_by_its_first_bytes(name, tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "FREE_BYTES", 1 << 22)
    head = votable().encode()[:-10] if "fits" not in name else b"SIMPLE  =                    T"
    (tmp_path / name).write_bytes(gzip.compress(head + bytes(60 << 20)))
    tracemalloc.start()
    for read in (read_columns, lambda path: next(read_chunks(path))):
        with pytest.raises(ValueError, match="expands to more than"):
            read(tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_gzip_of_any_name_is_read_if_it_is_small(tmp_path):
    table = Table({"source_id": [17], "parallax": [1.5]})
    table.write(tmp_path / "a.fits.gz")
    (tmp_path / "a.fits.gz").rename(tmp_path / "a.fits")
    assert untrusted.is_gzipped(tmp_path / "a.fits")
    (part,) = read_chunks(tmp_path / "a.fits")
    assert part["parallax"].tolist() == [1.5]


def test_other_packings_are_refused(tmp_path):
    Table({"source_id": [17], "parallax": [1.5]}).write(tmp_path / "a.fits")
    packed = bz2.compress((tmp_path / "a.fits").read_bytes())
    (tmp_path / "a.fits").write_bytes(packed)
    with pytest.raises(ValueError, match="packed with bzip2"):
        read_columns(tmp_path / "a.fits")


# --- sizes and units ------------------------------------------------------------------------------


def test_a_date_is_no_order_of_a_spectrum():
    """range(2 * 10^11) filled the memory."""
    table = {"source_id": [1], "bp_202301011200": [3.0], "e_bp_20230101": [1.0], "parallax": [1.0]}
    assert not read_stars({k: np.array(v) for k, v in table.items()}).xp
    absurd = {"source_id": [1], "bp_0": [1.0], "bp_999": [1.0]}
    with pytest.raises(ValueError, match="1000 coefficients per star; at most 200"):
        read_stars({k: np.array(v) for k, v in absurd.items()})


@pytest.mark.parametrize("form", ["matrix", "lists", "text"])
def test_vectors_of_absurd_length_are_refused(form):
    values = np.zeros((2, 5000))
    made = {"matrix": values, "lists": [list(row) for row in values], "text": ["0," * 5000] * 2}
    column = np.array(made[form], object) if form == "text" else made[form]
    if form == "lists":
        table = pa.table({"source_id": [1, 2], "bp_coefficients": column})
    else:
        table = {"source_id": np.array([1, 2]), "bp_coefficients": column}
    with pytest.raises(ValueError, match="coefficients per star; at most 200 make sense"):
        read_stars(table)


@pytest.mark.parametrize("unit", ["10**99999999 mas", "10^99999999 mas", "10+99999999 mas"])
@pytest.mark.parametrize("form", ["fits", "vot", "ecsv"])
def test_units_without_end_are_refused_at_once(unit, form, tmp_path):
    path = tmp_path / f"a.{form}"
    if form == "vot":
        path.write_text(votable(unit=f'unit="{unit}"'))
    elif form == "fits":
        columns = [
            fits.Column("source_id", "K", array=np.array([17])),
            fits.Column("parallax", "D", array=np.array([1.5])),
        ]
        part = fits.BinTableHDU.from_columns(columns)
        part.header["TUNIT2"] = unit
        part.writeto(path)
    else:
        Table({"source_id": [17], "parallax": [1.5]}).write(path)
        lines = path.read_text().replace("name: parallax,", f"name: parallax, unit: '{unit}',")
        path.write_text(lines)
    start = time.monotonic()
    for read in (read_columns, lambda path: next(read_chunks(path))):
        with pytest.raises(ValueError, match="unit .* is none"):
            read(path)
    assert time.monotonic() - start < 5


def test_units_of_the_sky_are_parsed():
    """Missions count days from a date, which is no power; factors have many digits."""
    assert parse_unit("BJD - 2454833").to_string() == "BJD - 2454833"
    assert parse_unit("10**-3 mag").to("mag") == pytest.approx(1e-3)
    assert parse_unit("1.988409870698051e+30 kg").to("solMass") == pytest.approx(1)


@pytest.mark.parametrize(
    "rows, shape", [('nrows="999999999999"', ""), ('nrows="3"', "999999999"), ("", "9" * 20)]
)
def test_a_votable_states_no_sizes_that_it_cannot_hold(rows, shape, tmp_path):
    array = f'<FIELD name="x" datatype="double" arraysize="{shape}"/>' if shape else ""
    text = votable(rows=rows, fields=FIELDS + array)
    (tmp_path / "a.vot").write_text(text)
    with pytest.raises(ValueError, match=r"more than the file can hold|no size of a table"):
        read_columns(tmp_path / "a.vot")


# --- one table costs one table --------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for i, name in enumerate("abc"):
        table = {"source_id": [10 * i, 10 * i + 1], "parallax": [1.0, 2.0]}
        pq.write_table(pa.table(table), source / f"{name}.parquet")
    return source


@pytest.fixture(scope="module")
def job(model_folder) -> Job:
    return Job("embed", str(model_folder), time_limit=1.0)


@pytest.mark.parametrize(
    "error",
    [OSError(5, "Input/output error"), RuntimeError("no"), AttributeError("no"), IndexError],
)
def test_whatever_a_table_raises_the_others_are_done(error, folder, job, tmp_path, monkeypatch):
    real = job_module.read_chunks

    def broken(path, rows):
        if path.name == "b.parquet":
            raise error
        return real(path, rows)

    monkeypatch.setattr(job_module, "read_chunks", broken)
    if isinstance(error, OSError):
        monkeypatch.setattr(job_module, "read_chunks", real)
        monkeypatch.setattr(folder_module, "sha256", lambda path: _fail(path, error))
    out = tmp_path / "out"
    prepare(out, job)
    records = run(shards(folder, out), job, quiet=True)
    assert list(records) == ["a.parquet", "b.parquet", "c.parquet"]
    assert "error" in records["b.parquet"] and "error" not in records["c.parquet"]
    assert {p.name for p in out.glob("*.parquet")} == {"a.parquet", "c.parquet"}


def _fail(path, error):
    if path.name == "b.parquet" and path.parent.name == "in":
        raise error
    return "0"


def test_a_table_that_stalls_is_left_out_and_named(folder, job, tmp_path, monkeypatch):
    real = job_module.read_chunks

    def stalled(path, rows):
        while path.name == "b.parquet":
            try:
                time.sleep(0.01)
            except Exception:  # as a parser may do
                continue
        yield from real(path, rows)

    monkeypatch.setattr(job_module, "read_chunks", stalled)
    prepare(tmp_path / "out", job)
    records = run(shards(folder, tmp_path / "out"), job, quiet=True)
    assert "b.parquet: not read within 1 s" in records["b.parquet"]["error"]
    assert records["a.parquet"]["rows"] == records["c.parquet"]["rows"] == 2


def test_a_name_too_long_for_a_result_is_left_out(folder, job, tmp_path):
    """A record's name is a little longer than that of its table, which the system allows."""
    for length in (240, 246):
        (folder / "b.parquet").rename(folder / f"{'b' * length}.parquet")
        pq.write_table(pq.read_table(folder / "a.parquet"), folder / "b.parquet")
    prepare(tmp_path / "out", job)
    records = run(shards(folder, tmp_path / "out"), job, quiet=True)
    assert records[f"{'b' * 240}.parquet"]["rows"] == 2
    assert "too long" in records[f"{'b' * 246}.parquet"]["error"]
    assert records["c.parquet"]["rows"] == 2
    assert not list((tmp_path / "out").glob(f"{'b' * 246}*"))


def test_a_folder_that_is_removed_meanwhile_is_an_error(folder, job, tmp_path):
    prepare(tmp_path / "out", job)

    def engine(todo, job, done):
        for shard in todo:
            record = folder_module.process(shard, job, done)
            (shard.out / "run.json").unlink()
            yield shard, record

    with pytest.raises(FileNotFoundError, match="was the folder removed"):
        run(shards(folder, tmp_path / "out"), job, engine, quiet=True)


def test_a_time_limit_leaves_nothing_behind():
    with time_limit(100, "x"):
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    with pytest.raises(TooSlow, match="x: not read within 0 s"), time_limit(0.02, "x"):
        sum(1 for _ in iter(int, 1))
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    with time_limit(None, "x"):
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
