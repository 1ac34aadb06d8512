"""The page to explore an index: what it shows against the index and the table, and the page itself in a browser."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar import _compat
from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.explore.data import Explorer, file_of, number, read_places, umap_places
from multistar.explore.star import CONTEXTS, Measured, model_of
from multistar.index.star_index import StarIndex
from multistar.io.lookup import Lookup
from multistar.modalities.gaia_xp.synthesis import flux_matrix
from multistar.modalities.light_curve.curves import LightCurves
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars


def folder_of(star_model, table: pa.Table, folder) -> None:
    """An index, a map whose first star has no place, and the measurements with light curves of the first two stars."""
    StarIndex.build(star_model.embed(table), metadata=star_model.predict(table)).save(
        folder / "idx"
    )
    StarIndex.build(star_model.embed(table.slice(20)), metadata=table).save(folder / "dust_free")
    rng = np.random.default_rng(0)
    place = rng.normal(size=(2, len(table) - 1))
    ids = table["source_id"].to_numpy()
    pq.write_table(
        pa.table({"source_id": ids[1:], "umap_x": place[0], "umap_y": place[1]}),
        folder / "map.parquet",
    )
    lists = [np.arange(5.0) * (i < 2) if i < 2 else np.empty(0) for i in range(len(table))]
    curves = table.append_column("gaia_time", pa.array(lists))
    curves = curves.append_column("gaia_flux", pa.array([1 + 0.01 * np.sin(x) for x in lists]))
    pq.write_table(curves, folder / "stars.parquet", row_group_size=100)


@pytest.fixture(scope="module")
def table(mock_table):
    return mock_table[:250]


@pytest.fixture(scope="module")
def folder(star_model, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("explore")
    folder_of(star_model, table, out)
    return out


@pytest.fixture(scope="module")
def explorer(folder):
    index, dust_free = (StarIndex.load(folder / name, mapped=True) for name in ("idx", "dust_free"))
    return Explorer(index, read_places(index, folder / "map.parquet"), dust_free)


@pytest.fixture(scope="module")
def measured(folder, star_model):
    return Measured(Lookup(folder / "stars.parquet"), star_model.model)


def test_lookup_gives_the_rows_of_the_table_in_the_order_asked(folder, table):
    ids = table["source_id"].to_numpy()
    asked = ids[[240, 3, 120, 99, 100]]
    for source in (folder / "stars.parquet", table):
        lookup = Lookup(source)
        found = lookup.rows([*asked[:2], 7, *asked[2:]])
        np.testing.assert_array_equal(found["source_id"], asked)
        want = np.stack(table["bp_coefficients"].to_pylist())[[240, 3, 120, 99, 100]]
        np.testing.assert_array_equal(np.stack(found["bp_coefficients"]), want)
        assert (
            len(lookup) == 250 and int(asked[0]) in lookup and 7 not in lookup and -1 not in lookup
        )
        with pytest.raises(KeyError, match="Star 7 is not among the 250 rows"):
            lookup.rows([7])
    with pytest.raises(ValueError, match="no column source_id"):
        Lookup({"teff": [1.0]})
    shards = folder / "shards"
    shards.mkdir()
    for i in range(2):
        pq.write_table(table[125 * i : 125 * (i + 1)], shards / f"{i}.parquet")
    np.testing.assert_array_equal(Lookup(shards).rows(asked)["source_id"], asked)


def test_places_are_those_of_the_map(explorer, folder, table):
    written = pq.read_table(folder / "map.parquet").to_pandas().set_index("source_id")
    ids = table["source_id"].to_numpy()
    x, y = explorer.places.of_stars(np.append(ids, 3))
    assert np.isnan(x[0]) and np.isnan(x[-1]) and len(explorer.places) == 249
    np.testing.assert_allclose(x[1:-1], written.loc[ids[1:], "umap_x"], rtol=1e-6)
    np.testing.assert_allclose(y[1:-1], written.loc[ids[1:], "umap_y"], rtol=1e-6)
    for row in (1, 77, 249):
        assert explorer.places.nearest(x[row] + 1e-4, y[row], 6, 6) == ids[row]
    assert explorer.places.nearest(50, 50, 6, 6) is None
    np.testing.assert_allclose(
        explorer.colour("teff"), explorer.index.numbers(explorer.places.source_id)["teff"]
    )
    low, high = explorer.limits("teff")
    assert np.isclose(np.mean(explorer.colour("teff") < low), 0.02, atol=0.01) and low < high


def test_a_map_of_other_stars_or_columns_is_refused(explorer, folder):
    other = pa.table({"source_id": [1, 2], "umap_x": [0.0, 1.0], "umap_y": [0.0, 1.0]})
    with pytest.raises(ValueError, match="none of its stars is in the index of 250 stars"):
        read_places(explorer.index, other)
    with pytest.raises(ValueError, match="no numeric column.*umap_y"):
        read_places(explorer.index, other.drop_columns(["umap_y"]))


def test_without_a_map_a_sample_is_mapped(explorer, monkeypatch):
    class FirstTwo:
        def __init__(self, **settings):
            assert settings["metric"] == "cosine" and settings["random_state"] == 0

        def fit_transform(self, vectors):
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=FirstTwo))
    for most, number_of_stars in ((60, 60), (1000, 250)):
        places = umap_places(explorer.index, most)
        assert len(places) == number_of_stars == len(np.unique(places.source_id))
        vectors = explorer.index.vectors(places.source_id)
        np.testing.assert_array_equal(np.stack([places.x, places.y], 1), vectors[:, :2])
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"pip install 'multistar\[maps\]', or give --map"):
        umap_places(explorer.index)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Type a source_id"), ("abc", "“abc” is no source_id: expected a whole number such as [0-9]+"),
        ("1.5", "is no source_id"), ("-3", "is no source_id"), ("²", "is no source_id"),
        ("9" * 19, "is no source_id"), ("12", "There is no star 12 among the 250"),
    ],
)  # fmt: skip
def test_what_is_typed_is_a_star_or_a_clear_message(explorer, text, message):
    with pytest.raises(ValueError, match=message):
        explorer.star(text)
    star = explorer.any_star(1)
    assert explorer.star(f" Gaia DR3 {star} ") == star


def test_neighbours_are_those_of_the_index_after_the_star_itself(explorer, table):
    star = int(table["source_id"][30].as_py())
    found, want = (
        explorer.neighbours(star, 7),
        explorer.index.neighbours([star], 7, ["teff", "distance"]),
    )
    assert found["neighbour_id"].to_pylist() == [star, *want["neighbour_id"].to_pylist()]
    assert found["distance"].to_pylist() == [0, *want["distance"].to_pylist()]
    assert found["teff"].to_pylist()[1:] == want["teff"].to_pylist()
    assert found["neighbour_distance"].to_pylist()[1:] == want["neighbour_distance"].to_pylist()
    assert found.schema.field("teff").metadata == {b"unit": b"K"}
    free = explorer.neighbours(star, 7, True)
    want = explorer.dust_free.neighbours([star], 7)["neighbour_id"].to_pylist()
    assert (
        free["neighbour_id"].to_pylist()[1:] == want and np.isfinite(free["teff"].to_numpy()).all()
    )
    with pytest.raises(KeyError):
        explorer.neighbours(int(table["source_id"][0].as_py()), 7, True)
    assert pq.read_table(file_of(found, "parquet")).equals(found)
    lines = file_of(found, "csv").read().decode().splitlines()
    assert len(lines) == 9 and str(star) in lines[1] and lines[0].startswith('"query_id","rank"')


def test_columns_labels_first(explorer):
    assert explorer.columns[:3] == ("teff", "logg", "m_h") and explorer.columns[-1].endswith(
        "_upper"
    )
    assert explorer.shown_columns("teff") == ["teff", "logg", "m_h", "mass", "age", "ebv"]
    assert explorer.shown_columns("teff_upper")[-1] == "teff_upper"
    assert (number("teff", 4712.4), number("m_h", np.nan), number("chi2", 12345.6)) == (
        "4712",
        "–",
        "1.235e+04",
    )


def test_spectra_are_gaiaxpys_of_the_coefficients(measured, table):
    ids = table["source_id"].to_pylist()
    stars = read_stars(table[:3])
    want = np.hstack([np.nan_to_num(stars.xp[band].value) for band in ("bp", "rp")]) @ flux_matrix()
    found = measured.spectra((ids[2], 5, ids[0]))
    np.testing.assert_allclose(found[[0, 2]], want[[2, 0]])
    assert np.isnan(found[1]).all()


def test_what_the_model_says_of_a_star(folder, table):
    measured = Measured(Lookup(folder / "stars.parquet"), load_model("mini"))
    star = table["source_id"][4].as_py()
    posterior = measured.posterior(star)
    row = MultiStar.from_pretrained("mini").predict(table[4:5]).to_pylist()[0]
    assert posterior.interval["mass"] == (row["mass_lower"], row["mass"], row["mass_upper"])
    assert np.isclose(np.median(posterior.samples["mass"]), row["mass"], rtol=0.1)
    assert measured.posterior(star) is posterior  # kept
    own = measured.spectra((star,))[0]
    hidden = {context: measured.drawn(star, context) for context in CONTEXTS}
    assert {x.shape for x in hidden.values()} == {(24, 343)}
    blue, red = slice(40, 130), slice(200, 300)  # 416-596 nm, 736-936 nm
    spread = {context: x.std(0) / np.abs(own) for context, x in hidden.items()}
    for context, drawn, given in (("bp", blue, red), ("rp", red, blue)):
        assert spread[context][given].max() < 1e-3 < spread[context][drawn].mean()
        np.testing.assert_allclose(hidden[context].mean(0)[given], own[given], rtol=1e-3)
    for context in CONTEXTS:  # a mock giant is no surprise
        off = np.abs(hidden[context].mean(0) / own - 1)
        assert np.median(off[40:]) < 0.05 and np.median(spread[context][40:]) < 0.1


def test_light_curves_of_the_table_or_of_their_own(measured, table, folder):
    ids = table["source_id"].to_pylist()
    assert measured.has_light_curves
    curve = measured.light_curve(ids[1])
    assert isinstance(curve, LightCurves) and curve.bands == ("gaia",)
    np.testing.assert_allclose(np.diff(curve.time), 1)
    with pytest.raises(KeyError, match="no light curve"):
        measured.light_curve(ids[5])
    apart = Measured(None, None, curve)
    np.testing.assert_array_equal(apart.light_curve(ids[1]).flux, curve.flux)
    for ask in (apart.posterior, lambda star: apart.spectra((star,))):
        with pytest.raises(ValueError, match="start with --data"):
            ask(ids[1])


def test_a_model_of_other_vectors_is_refused(explorer, model_folder):
    assert model_of(explorer.index, model_folder).hash == explorer.index.model_sha256
    with pytest.raises(ValueError, match="give --model its own"):
        model_of(explorer.index, "mini")


def test_a_missing_extra_is_named(monkeypatch, capsys, folder):
    find = _compat.importlib.util.find_spec
    monkeypatch.setattr(
        _compat.importlib.util, "find_spec", lambda name: None if name == "panel" else find(name)
    )
    assert main(["explore", str(folder / "idx")]) == 2
    assert "panel not installed: pip install 'multistar[explore]'" in capsys.readouterr().err


def test_the_image_is_the_mean_by_pixel(explorer):
    pytest.importorskip("datashader")
    from multistar.explore.data import Places
    from multistar.explore.map import View, around, dot_radius, image, whole, zoomed

    rng = np.random.default_rng(1)
    n = 200_000  # so many that each paints one pixel
    x, y = rng.uniform(0, 10, (2, n)).astype(np.float32)
    values = np.where(rng.random(n) < 0.1, np.nan, x + y).astype(np.float32)
    places = Places(np.arange(n), np.arange(n), x, y, "random")
    view = View((0, 10), (2, 7), 20, 10)
    known = np.isfinite(values) & (y >= 2) & (y < 7)
    sums = [
        np.histogram2d(y, x, (10, 20), ((2, 7), (0, 10)), weights=w)[0]
        for w in (known, np.where(known, values, 0))
    ]
    np.testing.assert_allclose(image(places, values, view), sums[1] / sums[0], rtol=1e-3)
    count = image(places, None, view)
    inside = (y >= 2) & (y < 7)
    assert abs(int(count.sum()) - inside.sum()) <= 2  # but for the upper edge
    assert dot_radius(n) == 0 and dot_radius(100) == 3
    few = Places(np.arange(1), np.arange(1), np.array([5.0]), np.array([5.0]), "one")
    dot = image(few, np.array([3.0], np.float32), View((0, 10), (0, 10), 100, 100))
    assert (
        set(dot[np.isfinite(dot)]) == {3} and 25 < np.isfinite(dot).sum() < 50 and dot[50, 50] == 3
    )
    home = whole(places, 200, 100)
    assert home.x[0] < x.min() and home.y[1] > y.max()
    assert np.isclose((home.x[1] - home.x[0]) / (home.y[1] - home.y[0]), 2)
    assert zoomed(zoomed(home, 0.5), 2).x == pytest.approx(home.x)
    near = around(np.array([1.0, 2, np.nan]), np.array([3.0, 3, np.nan]), home, 0.1)
    assert near.x[0] < 1 and near.x[1] > 2 and np.isclose(np.diff(near.x), 2 * np.diff(near.y))


@pytest.fixture(scope="module")
def address(folder, model_folder):
    """Of the page, served by the command as users run it."""
    for name in ("panel", "datashader", "playwright"):
        pytest.importorskip(name)
    command = [
        sys.executable,
        "-m",
        "multistar.cli",
        "explore",
        folder / "idx",
        "--map",
        folder / "map.parquet",
    ]
    command += [
        "--data",
        folder / "stars.parquet",
        "--model",
        model_folder,
        "--dust-free",
        folder / "dust_free",
    ]
    log = folder / "server.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [*map(str, command), "--no-browser"], stdout=stream, stderr=subprocess.STDOUT
        )
    while not (found := re.search(r"http://\S+", log.read_text())):
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    yield found[0]
    server.terminate()
    server.wait(10)
    assert f'File "{Path(_compat.__file__).parent}' not in log.read_text(), (
        log.read_text()
    )  # no fault of the page's own


@pytest.fixture
def page(address):
    from playwright.sync_api import sync_playwright

    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if chromium is None:
        pytest.skip("no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        faults: list[str] = []
        page.on(
            "console",
            lambda message: message.type in ("error", "warning") and faults.append(message.text),
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda r: r.url.startswith((address, address.replace("http", "ws"), "data:", "blob:")) or faults.append(r.url))  # fmt: skip # noqa: E501
        page.goto(address)
        page.get_by_label("Star (source_id)").wait_for()
        yield page
        browser.close()
    assert not faults


def shown(page) -> list[str]:
    """The source_ids in the table."""
    return [button.inner_text() for button in page.locator("td button").all()]


def marked(page, what: str) -> list[float]:
    """x of what is marked on the map, as the browser has it."""
    return page.evaluate(
        "name => Array.from(Bokeh.documents[0].get_model_by_name(name).get('x'))", f"marked {what}"
    )


@pytest.mark.browser
def test_the_page(page, explorer, table):
    ids = table["source_id"].to_pylist()
    box = page.get_by_label("Star (source_id)")
    page.get_by_text("Click on a star of the map").wait_for()
    for text, answer in (
        ("star", "“star” is no source_id"),
        ("12", "There is no star 12 among the 250"),
    ):
        box.fill(text)
        box.press("Enter")
        page.get_by_text(answer).wait_for()
    # a typed star: table, marks, spectra, posterior, light curve, address
    box.fill(str(ids[1]))
    box.press("Enter")
    page.locator("img.corner").wait_for()
    want = explorer.neighbours(ids[1], 10)["neighbour_id"].to_numpy()
    assert shown(page) == [str(i) for i in want] and page.url.endswith(f"?id={ids[1]}")
    x, _ = explorer.places.of_stars(want)
    np.testing.assert_allclose(marked(page, "star"), x[:1], rtol=1e-6)
    np.testing.assert_allclose(marked(page, "neighbours"), x[1:], rtol=1e-6)
    assert (
        page.locator("section.spectra canvas").count()
        and page.locator("section.curve canvas").count()
    )
    assert "teff" in page.locator("img.corner").get_attribute("alt")
    # without dust, without the mouse
    page.get_by_role("button", name="Ignore dust").focus()
    page.keyboard.press("Space")
    page.get_by_text("is not in the dust-free index").wait_for()
    page.keyboard.press("Space")
    page.locator("td button").nth(3).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**?id={want[3]}")
    # a click on the middle of the map finds a star; other colours; fits
    page.get_by_label("Colour").select_option("density of stars")
    page.get_by_text("To neighbours").click()
    page.get_by_text("Whole map").click()
    box.fill("")
    map_box = page.locator("section.map .bk-Figure").bounding_box()
    page.mouse.click(map_box["x"] + 0.45 * map_box["width"], map_box["y"] + 0.5 * map_box["height"])
    page.wait_for_function("id => !location.search.endsWith(id)", arg=str(want[3]))
    clicked = int(page.url.split("=")[1])
    page.get_by_text(str(clicked)).first.wait_for()
    place = [float(v[0]) for v in explorer.places.of_stars(np.array([clicked]))]
    assert np.hypot(*place) < 1.5  # of a normal distribution, the middle
    with page.expect_download() as download:
        page.get_by_text("Download Parquet").click()
    assert pq.read_table(download.value.path())["query_id"].to_pylist() == [clicked] * 11
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
