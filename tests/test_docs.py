"""README and docs: links lead somewhere, commands are understood, Python is Python."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from multistar.cli.app import parser
from multistar.cli.overview import GROUPS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# Pages of the site that docs/hooks.py makes: targets of links that are no files here.
HOOKS = (ROOT / "docs" / "hooks.py").read_text()
GENERATED = set(re.findall(r'"((?:reference|results|development)/[\w-]+\.md)"', HOOKS))
GENERATED |= {f"results/{path.stem}.md" for path in (ROOT / "docs" / "results").glob("*.json")}
GENERATED |= {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    """Page and text of all code blocks of a language."""
    found = []
    for name, page in zip(NAMES, PAGES, strict=True):
        found += [
            (name, text) for kind, text in BLOCK.findall(page.read_text()) if kind == language
        ]
    return found


def commands() -> list[str]:
    """All commands of multistar that README and docs show."""
    lines = [line for _, text in blocks("") for line in text.splitlines()]
    return [line for line in dict.fromkeys(lines) if line.startswith("multistar ")]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            place = (page.parent / target).resolve()
            made = (
                place.is_relative_to(ROOT / "docs")
                and str(place.relative_to(ROOT / "docs")) in GENERATED
            )
            assert made or place.exists(), target


def test_there_are_commands_and_python_to_look_at():
    assert len(commands()) > 30
    assert len(blocks("python")) >= 3


@pytest.mark.parametrize("line", commands())
def test_commands_are_understood(line):
    words = shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", "3"), comments=True)
    assert parser().parse_args(words[1:]).command == words[1]


@pytest.mark.parametrize(("name", "text"), blocks("python"))
def test_python_is_python(name, text):
    compile(text, name, "exec")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does: strictly, so that a link to nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*command, str(folder)], cwd=ROOT, env=quiet, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_asks_nothing_of_other_hosts(site):
    loaded = re.compile(r"""<(?:script|img|link|iframe)[^>]*?(?:src|href)="(https?://[^"]+)""")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        assert not loaded.findall(page.read_text()), page


def test_the_site_says_which_weights_a_result_belongs_to(site):
    config = json.loads((ROOT / "multistar/weights/mini/config.json").read_text())
    shipped, contained = config["sha256"][:8], config["provenance"]["contains"]
    index = (site / "results" / "index.html").read_text()
    for path in (ROOT / "docs" / "results").glob("*.json"):
        weights = json.loads(path.read_text())["weights_sha256"]
        rows = [row for row in index.split("<tr>") if f'"{path.stem}/"' in row.split("</td>")[0]]
        assert len(rows) == 1
        row = rows[0]
        is_other = bool(weights) and weights[:8] != shipped and weights not in contained
        assert ("not the shipped ones" in row) == is_other


def test_all_commands_are_in_the_reference(site):
    reference = (site / "reference" / "command-line" / "index.html").read_text()
    for names in GROUPS.values():
        for name in names:
            assert f"multistar {name}" in reference


def test_the_readme_fits_a_few_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
