"""Light curves from the archive, which a stand-in answers for: saved, resumed, listed."""

import csv
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from light_curve_forms import mission_file

from multistar.cli.app import main
from multistar.download.light_curves import JOURNAL, NOT_FOUND, download_light_curves
from multistar.modalities.light_curve.read import read_light_curves


class Archive:
    """Answers as MAST gives them through lightkurve: tables of products, and copied files."""

    def __init__(self, folder, monkeypatch):
        lightkurve = pytest.importorskip("lightkurve")
        from astroquery.mast import Observations

        self.folder, self.products, self.searches, self.downloads, self.fail = (
            folder,
            {},
            [],
            [],
            None,
        )
        self.result = lightkurve.search.SearchResult
        monkeypatch.setattr(lightkurve, "search_lightcurve", self.search)
        monkeypatch.setattr(Observations, "download_products", self.download)

    def add(self, target: str, star: int, name: str, **content):
        mission_file(self.folder / name, star, **content)
        self.products.setdefault(target, []).append((f"kplr{star:09d}", name))

    def search(self, target, **options):
        self.searches.append((target, options))
        if self.fail:
            raise self.fail
        rows = self.products.get(target, [])
        if not rows:
            return self.result(None)
        n = len(rows)
        return self.result(
            Table(
                {
                    "target_name": [name for name, _ in rows],
                    "productFilename": [name for _, name in rows],
                    "obs_id": [name.split(".")[0] for _, name in rows],
                    "obs_collection": ["Kepler"] * n,
                    "author": ["Kepler"] * n,
                    "mission": [f"Kepler Quarter {i:02d}" for i in range(n)],
                    "exptime": [1800.0] * n,
                    "distance": [0.0] * n,
                    "t_min": [55000.0] * n,
                    "description": ["Lightcurve Long Cadence"] * n,
                    "dataURI": [f"mast:Kepler/url/{name}" for _, name in rows],
                }
            )
        )

    def download(self, products, mrp_only, download_dir):
        row = products[0]
        self.downloads.append(row["productFilename"])
        folder = f"{download_dir}/mastDownload/{row['obs_collection']}/{row['obs_id']}"
        path = f"{folder}/{row['productFilename']}"
        os.makedirs(os.path.dirname(path))
        shutil.copy(self.folder / row["productFilename"], path)
        return Table({"Local Path": [path], "Status": ["COMPLETE"], "Message": [""]})


class TestDownload:
    NAMES = ["kplr000000017-2009350155506_llc.fits", "kplr000000017-2010078095331_llc.fits"]

    @pytest.fixture
    def archive(self, tmp_path, monkeypatch):
        (tmp_path / "mast").mkdir()
        archive = Archive(tmp_path / "mast", monkeypatch)
        for i, name in enumerate(self.NAMES):
            archive.add("KIC 17", 17, name, start=100.0 * i)
        archive.add(
            "KIC 18", 19, "kplr000000019-2009350155506_llc.fits"
        )  # a neighbour, by a search in a cone
        return archive

    def not_found(self, out) -> dict[str, str]:
        with open(out / NOT_FOUND, newline="") as stream:
            return {row["source_id"]: row["reason"] for row in csv.DictReader(stream)}

    def test_files_are_saved_and_the_rest_is_listed(self, archive, tmp_path):
        out = tmp_path / "out"
        files = download_light_curves([17, 18, 20, 17], out, "kepler")
        assert files == {17: [out / name for name in self.NAMES]}
        assert [target for target, _ in archive.searches] == ["KIC 17", "KIC 18", "KIC 20"]
        assert archive.searches[0][1] == {"mission": "Kepler", "author": "Kepler", "exptime": 1800}
        assert sorted(p.name for p in out.iterdir()) == sorted([*self.NAMES, JOURNAL, NOT_FOUND])
        assert set(self.not_found(out)) == {"18", "20"}
        assert "no kepler light curve of Kepler" in self.not_found(out)["20"]
        curves = read_light_curves(out)
        assert (curves.source_id.tolist(), len(curves.time)) == ([17], 10)

    def test_a_second_run_fetches_only_what_is_missing_or_broken(self, archive, tmp_path):
        out = tmp_path / "out"
        download_light_curves([17], out, "kepler")
        archive.searches.clear(), archive.downloads.clear()
        assert download_light_curves(pd.DataFrame({"source_id": [17]}), out, "kepler") == {
            17: [out / n for n in self.NAMES]
        }
        assert (archive.searches, archive.downloads) == ([], [])
        whole = (out / self.NAMES[1]).read_bytes()
        (out / self.NAMES[1]).write_bytes(whole[:3000])
        download_light_curves([17], out, "kepler")
        assert archive.downloads == [self.NAMES[1]]
        assert (out / self.NAMES[1]).read_bytes() == whole

    def test_an_interrupted_run_leaves_no_half_files(self, archive, tmp_path, monkeypatch):
        out = tmp_path / "out"

        def interrupted(*args, **kwargs):
            archive.download(*args, **kwargs)
            raise KeyboardInterrupt

        from astroquery.mast import Observations

        with monkeypatch.context() as patch:
            patch.setattr(Observations, "download_products", interrupted)
            with pytest.raises(KeyboardInterrupt):
                download_light_curves([17], out, "kepler")
        assert list(out.iterdir()) == []
        assert download_light_curves([17], out, "kepler")[17] == [out / name for name in self.NAMES]

    def test_failures_are_listed_and_tried_again(self, archive, tmp_path):
        out = tmp_path / "out"
        archive.fail = TimeoutError("the archive\ndoes not answer")
        assert download_light_curves([17, 18], out, "kepler") == {}
        assert self.not_found(out)["17"] == "TimeoutError: the archive does not answer"
        with pytest.raises(ConnectionError, match="5 stars in a row failed; of 5: TimeoutError"):
            download_light_curves(np.arange(1, 9), out, "kepler")
        assert len(self.not_found(out)) == 5
        archive.fail = None
        assert list(download_light_curves([17], out, "kepler")) == [17]
        assert self.not_found(out) == {}

    def test_what_cannot_be_meant_is_refused(self, archive, tmp_path):
        with pytest.raises(
            ValueError, match="unknown mission 'hubble'; known are kepler, k2, tess"
        ):
            download_light_curves([17], tmp_path / "out", "hubble")
        with pytest.raises(ValueError, match="integer ids"):
            download_light_curves(["KIC 17"], tmp_path / "out", "kepler")
        with pytest.raises(ValueError, match="positive, found -1"):
            download_light_curves([17, -1], tmp_path / "out", "kepler")
        assert not (tmp_path / "out").exists()

    def test_from_the_command_line(self, archive, tmp_path, capsys):
        out = tmp_path / "out"
        assert (
            main(["download", "lightcurves", "17", "20", "--mission", "kepler", "--out", str(out)])
            == 0
        )
        assert "2 light curves of 1 stars" in capsys.readouterr().out
        assert (
            main(
                [
                    "download",
                    "lightcurves",
                    "17",
                    "ids.csv",
                    "--mission",
                    "kepler",
                    "--out",
                    str(out),
                ]
            )
            == 2
        )
        assert "give ids as numbers, or one table; got 17 ids.csv" in capsys.readouterr().err
        pd.DataFrame({"source_id": [17]}).to_csv(tmp_path / "ids.csv", index=False)
        assert (
            main(
                [
                    "download",
                    "lightcurves",
                    str(tmp_path / "ids.csv"),
                    "--mission",
                    "tess",
                    "--out",
                    str(out),
                ]
            )
            == 0
        )
        assert archive.searches[-1] == (
            "TIC 17",
            {"mission": "TESS", "author": "SPOC", "exptime": 120},
        )
