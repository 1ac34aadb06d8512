"""Dust maps are fetched by dustmaps; a failure is one line that says which map and why."""

import sys
import types

import pytest

from multistar.cli.app import main
from multistar.download.dust import download_dust


@pytest.fixture
def dustmaps(monkeypatch, tmp_path):
    """A dustmaps that fetches nothing, but says that it was asked."""
    asked = []
    package = types.ModuleType("dustmaps.sfd")
    package.fetch = lambda: asked.append("sfd")  # type: ignore[attr-defined]
    paths = types.ModuleType("dustmaps.std_paths")
    paths.data_dir = lambda: str(tmp_path)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dustmaps.sfd", package)
    monkeypatch.setitem(sys.modules, "dustmaps.std_paths", paths)
    return asked, package


def test_the_map_is_fetched_into_the_folder_of_dustmaps(dustmaps, tmp_path, capsys):
    asked, _ = dustmaps
    assert main(["download", "dust", "sfd"]) == 0
    assert asked == ["sfd"]
    assert f"the map is in {tmp_path}" in capsys.readouterr().out


def test_a_failure_says_which_map_and_why(dustmaps, capsys):
    _, package = dustmaps

    def fail():
        raise ConnectionError("no route\nto dataverse")

    package.fetch = fail
    assert main(["download", "dust", "sfd"]) == 2
    assert "could not fetch the map sfd: no route to dataverse" in capsys.readouterr().err


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="bh needs no files"):
        download_dust("bh")


def test_without_dustmaps_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dustmaps.sfd", None)
    with pytest.raises(ImportError, match="multistar.maps"):
        download_dust("sfd")
