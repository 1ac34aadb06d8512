"""The page to explore an index, in a browser."""

import http.client
import re
import shutil
import subprocess
import sys
import time
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest
from explore_example import HOSTILE, load_explorer, write_example

from multistar import _compat


@pytest.fixture(scope="module")
def table(mock_table):
    return mock_table[:250]


@pytest.fixture(scope="module")
def folder(star_model, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("explore")
    write_example(star_model, table, out, hostile=True)
    return out


@pytest.fixture(scope="module")
def explorer(folder):
    return load_explorer(folder)


@pytest.fixture(scope="module")
def address(folder, model_folder):
    """Of the page, served by the command as users run it."""
    for name in ("panel", "datashader", "playwright"):
        pytest.importorskip(name)
    places = folder / f"{HOSTILE}.parquet"
    files = [folder / "idx", "--map", places, "--data", folder / "stars.parquet"]
    options = ["--model", model_folder, "--dust-free", folder / "dust_free", "--no-browser"]
    command = [sys.executable, "-m", "multistar.cli", "explore", *map(str, [*files, *options])]
    log = folder / "server.log"
    with log.open("w") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    while not (found := re.search(r"http://\S+", log.read_text())):
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    yield found[0]
    server.terminate()
    server.wait(10)
    # no fault of the page's own
    text = log.read_text()
    assert f'File "{Path(_compat.__file__).parent}' not in text, text


@pytest.fixture
def page(address):
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        faults: list[str] = []

        def note_message(message) -> None:
            if message.type in ("error", "warning"):
                faults.append(message.text)

        def note_request(request) -> None:
            """The page asks nothing of any other machine."""
            own = (address, address.replace("http", "ws"), "data:", "blob:")
            if not request.url.startswith(own):
                faults.append(request.url)

        page.on("console", note_message)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", note_request)
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
    script = "name => Array.from(Bokeh.documents[0].get_model_by_name(name).get('x'))"
    return page.evaluate(script, f"marked {what}")


def ask(address: str, path: str = "/", **headers: str) -> tuple[int, str]:
    """Status and body of what the server answers."""
    server = urlsplit(address)
    assert server.hostname and server.port
    connection = http.client.HTTPConnection(server.hostname, server.port, timeout=30)
    connection.putrequest("GET", path, skip_host=True)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in ({"Host": server.netloc} | named).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
UPGRADE |= {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}


def test_only_its_own_names_are_answered(address):
    """A page whose name was made to mean 127.0.0.1 could drive the session."""
    port = urlsplit(address).port
    for name in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil", ""):
        assert ask(address, Host=name)[0] == 403
        assert ask(address, "/ws", Host=name, Origin=f"http://{name}", **UPGRADE)[0] == 403
    for origin in (f"http://evil.example:{port}", "null", "http://127.0.0.1:1", "file://"):
        assert ask(address, "/ws", Origin=origin, **UPGRADE)[0] == 403
    for name in ("127.0.0.1", "localhost", "LOCALHOST"):
        status, body = ask(address, Host=f"{name}:{port}", Origin=f"http://{name}:{port}")
        assert status == 200 and "multistar explore" in body


@pytest.mark.parametrize(
    "path",
    [
        f"/?id={'9' * 60_000}",
        f"/?id={'9' * 100}",
        "/?id=<script>alert(1)</script>",
        "/?id=%3Cscript%3E",
        "/?id=%C2%B2",
        f"/?x={'[' * 300}",
        "/?" + "&".join(f"a{i}=1" for i in range(50)),
        f"/{'a' * 3000}",
    ],
)
def test_addresses_that_no_one_means_are_bad_requests(path, address):
    status, body = ask(address, path)
    assert status == 400 and "script" not in body and "Traceback" not in body
    assert ask(address, "/?id=17")[0] == ask(address, "/?id=Gaia%20DR3%2017")[0] == 200


def test_file_names_are_escaped(address):
    _, body = ask(address)
    assert HOSTILE not in body and escape(HOSTILE) in body


def test_a_host_that_stands_for_all_is_refused():
    page_module = pytest.importorskip("multistar.explore.page")
    for host in ("0.0.0.0", "::", ""):
        with pytest.raises(ValueError, match="by which browsers reach this machine"):
            page_module.serve(None, None, 0, False, host)


@pytest.mark.browser
def test_nothing_that_files_are_called_is_run(page, table):
    """Names of files and columns are shown as they are; no script of theirs runs."""
    page.get_by_text("map: ").filter(has_text=HOSTILE).wait_for()
    page.get_by_label("Colour").select_option(HOSTILE)
    box = page.get_by_label("Star (source_id)")
    for text in (HOSTILE, str(table["source_id"][1])):
        box.fill(text)
        box.press("Enter")
        page.get_by_text(HOSTILE[:39]).first.wait_for()
    page.locator("th").filter(has_text=HOSTILE).wait_for()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


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
    assert shown(page) == [str(i) for i in want]
    assert page.url.endswith(f"?id={ids[1]}")
    x, _ = explorer.places.of_stars(want)
    np.testing.assert_allclose(marked(page, "star"), x[:1], rtol=1e-6)
    np.testing.assert_allclose(marked(page, "neighbours"), x[1:], rtol=1e-6)
    assert page.locator("section.spectra canvas").count()
    assert page.locator("section.curve canvas").count()
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
    # the middle of a normal distribution
    assert np.hypot(*place) < 1.5
    with page.expect_download() as download:
        page.get_by_text("Download Parquet").click()
    assert pq.read_table(download.value.path())["query_id"].to_pylist() == [clicked] * 11
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
