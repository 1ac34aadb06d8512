"""README and docs: links lead somewhere, commands are understood, Python is Python."""

import re
import shlex
from pathlib import Path

import pytest

from multistar.cli.app import parser

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
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
            assert (page.parent / target).exists(), target


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


def test_the_readme_fits_a_few_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
