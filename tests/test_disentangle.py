"""Probes on vectors whose answer is known, dust maps on positions that are known, and the page end to end."""

import json

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord

from multistar.checks import disentangle as check
from multistar.checks.disentangle import angle, linear_probe, probes, residuals
from multistar.checks.neighbours import nearest
from multistar.checks.reddening import open_map, positions, reddening
from multistar.cli.app import main
from multistar.mock.dust_map import MockDustQuery
from multistar.stars import read_stars


def test_neighbours_never_are_the_star_itself():
    points = np.array([[0.0], [0.0], [0.0], [1.0], [5.0]])
    found = nearest(points, 2)
    assert all(row not in found[row] for row in range(5))
    assert sorted(found[0]) == [1, 2] and found[4, 0] == 3
    assert nearest(points, 2, queries=3).shape == (3, 2)


@pytest.fixture(scope="module")
def target():
    rng = np.random.default_rng(0)
    teff = rng.normal(size=1500)
    return {"teff": teff, "dust": 0.5 * teff + rng.normal(size=1500)}


def test_probes_see_what_vectors_tell(target):
    """Both, one of the two, none: a vector of Teff tells of dust only what Teff does, so nothing at fixed Teff."""
    rng = np.random.default_rng(1)
    teff, dust = target["teff"], target["dust"]
    noise = rng.normal(size=(1500, 3))

    def told(*columns) -> list[float]:
        found = probes(np.stack(columns, 1), target, rng)
        return [
            found[q][kind]["r2"]
            for q in ("dust at fixed teff", "teff at fixed dust")
            for kind in ("linear", "knn")
        ]

    assert min(told(teff, dust, 0.01 * noise[:, 0])) > 0.8
    one = told(teff, 0.01 * noise[:, 0])
    assert max(one[:2]) < 0.1 and min(one[2:]) > 0.6
    assert max(told(*noise.T)) < 0.1
    error = probes(noise, target, rng)["dust at fixed teff"]["linear"]
    assert abs(error["r2"] - error["chance"]) < 5 * error["error"]


def test_a_linear_probe_is_judged_on_stars_that_it_has_not_seen():
    rng = np.random.default_rng(2)
    x, fold = rng.normal(size=(200, 80)), np.arange(200) % check.FOLDS
    y = np.stack([rng.normal(size=200), x[:, 0]], 1)
    r2 = linear_probe(x, y, fold)
    assert r2[0] < 0 and r2[1] > 0.99


def test_angles_of_known_directions(target):
    direction = np.array([[1, 0, 0], [np.cos(np.pi / 3), np.sin(np.pi / 3), 0]])
    z = np.stack([(x - x.mean()) / x.std() for x in target.values()], 1)
    assert angle(z @ direction, target)["directions"] == pytest.approx(60, abs=1e-6)
    assert angle(z @ np.eye(2, 3), target)["directions"] == pytest.approx(90, abs=1e-6)


def test_residuals_that_follow_dust_are_found(target):
    rng = np.random.default_rng(3)
    labels = {"teff": np.zeros(1500), "ebv": np.zeros(1500)}
    guess = {"teff": target["dust"], "ebv": rng.normal(size=1500)}
    found = residuals(guess, labels, ["teff"], target["dust"], rng)
    assert found["teff"]["spearman"] == pytest.approx(1)
    assert abs(found["ebv"]["spearman"]) < 4 * found["ebv"]["error"]
    assert found["ebv"]["error"] == pytest.approx(1500**-0.5, rel=0.4)


def gaia_like(n: int = 50) -> tuple[SkyCoord, np.ndarray]:
    from astropy_healpix import HEALPix

    rng = np.random.default_rng(4)
    where = SkyCoord(
        rng.uniform(0, 360, n) * u.deg, np.degrees(np.arcsin(rng.uniform(-1, 1, n))) * u.deg
    )
    pixel = HEALPix(4096, order="nested").lonlat_to_healpix(where.ra, where.dec)
    return where, pixel.astype(np.int64) * 2**35 + 12345


def test_positions_from_ids_and_coordinates():
    where, ids = gaia_like()
    g = np.full(50, 12.0)
    found, origin = positions(read_stars({"source_id": ids, "phot_g_mean_mag": g}))
    assert "source_id" in origin and found.separation(where).arcsec.max() < 60
    ids[0] = 17
    assert np.isnan(positions(read_stars({"source_id": ids, "phot_g_mean_mag": g}))[0].ra.deg[0])
    table = {
        "source_id": np.arange(50),
        "phot_g_mean_mag": g,
        "l": where.galactic.l.deg,
        "b": where.galactic.b.deg,
    }
    assert positions(read_stars(table))[0].separation(where).arcsec.max() < 1e-3
    with pytest.raises(ValueError, match="neither ra, dec nor l, b"):
        positions(read_stars({"source_id": np.arange(50), "phot_g_mean_mag": g}))


def test_reddening_of_maps_and_their_holes(mock_table):
    where, ids = gaia_like()
    stars = read_stars({"source_id": ids, "phot_g_mean_mag": np.full(50, 12.0)})

    class Holes:
        def __call__(self, at):
            return np.where(at.galactic.b.deg > 0, 0.1, np.nan)

    found = reddening(stars, Holes())
    assert (
        found.holes == np.sum(where.galactic.b.deg < 0) == np.isnan(found.ebv).sum()
        and "Holes" in found.origin
    )
    with pytest.raises(ValueError, match="knows none of 50 positions"):
        reddening(stars, lambda at: np.full(len(at), np.nan))
    mock = read_stars(mock_table)
    map_only = reddening(mock, "mock", mock.extra["true_distance"])
    np.testing.assert_allclose(np.log(map_only.ebv / mock.extra["true_ebv"]).std(), 0.08, atol=0.02)
    assert map_only.holes == 0 and reddening(mock).origin == "column true_ebv"
    np.testing.assert_array_equal(
        reddening(mock, MockDustQuery(), mock.extra["true_distance"]).ebv, map_only.ebv
    )


def test_bh_works_without_files():
    stars = read_stars(
        {"source_id": [1, 2], "phot_g_mean_mag": [9.0, 9.0], "l": [0.0, 30.0], "b": [90.0, 5.0]}
    )
    found = reddening(stars, "bh")
    assert (
        0 <= found.ebv[0] < 0.05 and np.isnan(found.ebv[1]) and found.holes == 1
    )  # nothing at |b| < 10 degrees


def test_why_a_map_cannot_be_used():
    with pytest.raises(FileNotFoundError, match="the map sfd cannot be opened: .*data_dir"):
        open_map("sfd")
    with pytest.raises(ValueError, match="unknown map 'sdf'; known are"):
        open_map("sdf")
    with pytest.raises(ValueError, match="dustmaps.bh has no map 'Query'"):
        open_map("dustmaps.bh:Query")
    with pytest.raises(ImportError, match="needs nodust: pip install"):
        open_map("nodust:Query")


def two_numbers(vectors: pa.Table, seed: int, quiet: bool) -> pa.Table:
    """Instead of UMAP, which compiles for long and has its own tests."""
    x = np.stack(vectors["embedding"].to_numpy())
    table = pa.table({"source_id": vectors["source_id"], "umap_x": x[:, 0], "umap_y": x[:, 1]})
    return table.replace_schema_metadata({"umap": "none"})


def test_the_command_writes_numbers_page_and_maps(mock_table, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("multistar.checks.physics.GENERATED_STARS", 2)
    monkeypatch.setattr("multistar.checks.physics.SAMPLES", 2)
    monkeypatch.setattr(check, "PERMUTATIONS", 10)
    monkeypatch.setattr(check, "umap_map", two_numbers)
    pq.write_table(mock_table, tmp_path / "mock.parquet")
    out = tmp_path / "out"
    command = [
        "check",
        "disentangle",
        str(tmp_path / "mock.parquet"),
        "--stars",
        "400",
        "--out",
        str(out),
    ]
    assert main(command) == 0
    assert "dust at fixed teff: R2 linear" in capsys.readouterr().out
    numbers = json.loads((out / check.JSON).read_text())
    spaces = numbers["spaces"]["embedding"], numbers["spaces"]["without dust"]
    before, after = (space["dust at fixed teff"]["linear"]["r2"] for space in spaces)
    assert before > 0.8 and after < before - 0.4
    assert numbers["spaces"]["without dust"]["teff at fixed dust"]["knn"]["r2"] > 0.6
    assert set(numbers["generated"]) == {"dteff_debv_generated", "rms_error"}
    maps = pq.read_table(out / check.MAPS)
    assert len(maps) == 400 and {"umap_x", "umap_y_without_dust", "teff", "ebv"} <= set(
        maps.column_names
    )
    assert {b"umap", b"umap_without_dust"} <= set(maps.schema.metadata)
    page = (out / check.PAGE).read_text()
    assert page.count("<img") == 3 and "http" not in page and "<script" not in page
    assert main(command) == 2 and "--overwrite" in capsys.readouterr().err


def test_too_few_stars_are_refused(star_model, mock_table):
    with pytest.raises(ValueError, match="known for 50 stars .*, expected 200"):
        check.disentangle(star_model.model, read_stars(mock_table[:50]), maps=False, quiet=True)


@pytest.mark.realdata
def test_real_stars_against_the_map_of_burstein_and_heiles(real_data):
    from multistar.api import MultiStar

    stars = read_stars(str(real_data / "xp" / "gaia_dr3_xp_continuous_field.fits"))
    found, maps = check.disentangle(
        MultiStar.from_pretrained("mini").model, stars, "bh", maps=False, quiet=True
    )
    assert maps is None and "bh" in found["ebv"] and "source_id" in found["ebv"]
    assert found["stars"] + found["holes"] + found["no_position"] == 1500
    assert found["spaces"]["embedding"]["teff at fixed dust"]["knn"]["r2"] > 0.8
