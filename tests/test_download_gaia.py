"""download gaia against a server that answers as ESA's does: what is saved."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, vstack
from gaia_server import (
    BANDS,
    NO_RP_MAG,
    NO_XP,
    NOT_SENT,
    Sky,
    assert_is_the_sky,
    make_sky,
    names,
    serve,
    without_spectra,
)

from multistar._compat import load_gaiaxpy
from multistar.cli.app import main
from multistar.download.gaia import SELECTION, WITHOUT_SPECTRA, Cone, Query, download_gaia
from multistar.download.gaia_archive import RELEASES, XP_COLUMNS, GaiaArchive
from multistar.stars import read_stars


@pytest.fixture(scope="module")
def sky(mock_table) -> Sky:
    return make_sky(mock_table)


@pytest.fixture
def archive(sky):
    with serve(sky) as archive:
        yield archive


def test_source_ids(archive, sky, tmp_path):
    rows, out = [9, 2, NO_XP, 15, NOT_SENT, 0, NO_RP_MAG], tmp_path / "out"
    ids = [sky.ids[i] for i in rows]
    files = download_gaia([*ids[:3], 4242, *ids[3:], ids[0]], out, archive=archive.url, chunk=3)
    assert [f.name for f in files] == [f"gaia_0000{i}.parquet" for i in range(3)]
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
        "ID": f"{ids[0]},{ids[1]}",
        "RELEASE": "Gaia DR3",
        "RETRIEVAL_TYPE": "XP_CONTINUOUS",
        "DATA_STRUCTURE": "RAW",
        "FORMAT": "votable",
        "USE_ZIP_ALWAYS": "true",
    }


def test_gaiaxpy_reads_what_was_downloaded(archive, sky, tmp_path):
    load_gaiaxpy()
    from gaiaxpy import calibrate

    (file,) = download_gaia(sky.ids[:2], tmp_path, archive=archive.url)
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
    # of a table of summaries; the spectrum's own is taken
    archive.answer["bp_n_relevant_bases"] = np.int16(9)
    query = Query("SELECT TOP 3 my, columns FROM somewhere")
    download_gaia(query, tmp_path, archive=archive.url, chunk=2)
    assert_is_the_sky(tmp_path, sky, rows)
    np.testing.assert_array_equal(read_stars(tmp_path).scalars["j"].value, [11.5, 12.5, np.nan])
    files = [pq.read_table(path) for path in sorted(tmp_path.glob("*.parquet"))]
    assert pa.concat_tables(files)["name"].to_pylist() == list("abc")
    assert archive.queries[0] == query.adql
    assert "phot_g_mean_mag" not in archive.queries[1]
    assert "g.phot_bp_mean_mag" in archive.queries[1]


def test_a_star_that_is_sent_twice_is_one_row(archive, sky, tmp_path):
    twice = Sky(sky.sources, vstack([sky.spectra[:3], sky.spectra[1:3]]))
    archive.sky = twice
    download_gaia(sky.ids[:3], tmp_path, archive=archive.url)
    assert_is_the_sky(tmp_path, sky, range(3))


def test_no_spectrum_at_all_reads_as_photometry(archive, sky, tmp_path):
    (file,) = download_gaia([sky.ids[NO_XP]], tmp_path, archive=archive.url)
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


def test_stars_that_the_release_does_not_know(archive, sky, tmp_path, model_folder):
    download_gaia([4242, 4243, *sky.ids[:2]], tmp_path / "sky", archive=archive.url, chunk=2)
    files = sorted((tmp_path / "sky").glob("*.parquet"))
    assert [pq.read_metadata(file).num_rows for file in files] == [0, 2]
    assert_is_the_sky(tmp_path / "sky", sky, range(2))
    assert set(without_spectra(tmp_path / "sky")) == {4242, 4243}
    command = f"predict {tmp_path}/sky --model {model_folder} --out {tmp_path}/labels"
    assert main(command.split()) == 0


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
    server = GaiaArchive("http://127.0.0.1:9", RELEASES["dr3"])

    def answer(params_dict, output_file):
        Path(output_file).write_bytes(stream.getvalue())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server._data, "load_data", answer)
        table = server.spectra(pa.chunked_array([[1, 2, 3, 4]]))
    assert table.schema.names == ["source_id", *XP_COLUMNS]
    got, want = read_stars(table), read_stars(path)
    assert got.source_id.tolist() == want.source_id.tolist()
    for band in BANDS:
        np.testing.assert_array_equal(got.xp[band].value, want.xp[band].value)
        # kept as float32
        np.testing.assert_allclose(got.xp[band].sigma, want.xp[band].sigma, rtol=1e-7)
        correlations = table[f"{band}_coefficient_correlations"].to_pylist()
        assert {len(x) for x in correlations} == {55 * 54 // 2}
