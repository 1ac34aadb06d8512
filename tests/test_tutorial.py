"""The tutorial runs as it stands, at small size: what a newcomer copies first."""

import re
import shlex
from pathlib import Path

import pandas as pd

from multistar.cli.app import main

PAGE = Path(__file__).parents[1] / "docs" / "tutorials" / "first-labels.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALLER = {
    "--stars 1000": "--stars 80",
    "--samples 256": "--samples 16",
    "samples=256": "samples=4",
}


def test_every_line_of_the_tutorial_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    for size, smaller in SMALLER.items():
        assert size in text
        text = text.replace(size, smaller)
    scope: dict = {}
    for language, block in BLOCK.findall(text):
        if language == "python":
            exec(compile(block, PAGE.name, "exec"), scope)
            continue
        for line in block.splitlines():
            assert main(shlex.split(line)[1:]) == 0, line
    printed = capsys.readouterr().out
    assert printed.count("ok") > 2  # of the status words, in the first table
    assert len(pd.read_parquet("labels.parquet")) == 80
    assert len(scope["labels"]) == len(scope["vectors"]) == 80
    assert scope["index"].neighbours(scope["first"], k=10).num_rows == 10
    assert Path("kiel.png").stat().st_size > 10_000 and Path("corner.png").exists()
