"""The check that kills runs: it must see what is not as it should be."""

import subprocess
import sys

import numpy as np
import pytest

from multistar.checks import kills
from multistar.checks.kills import Command, kill_often

# Writes its file in two steps, and goes on with what is there.
WRITER = """
import pathlib, random, sys, time
done, half = pathlib.Path("out"), pathlib.Path("half")
if done.exists():
    sys.exit("out exists already")
text = half.read_text() if half.exists() else ""
while len(text) < 20:
    text += "{letter}"
    half.write_text(text)
    time.sleep(0.02)
half.{finish}
"""


class Script(Command):
    """A command that is a script of Python."""

    def begin(self, out):
        words = [sys.executable, "-c", self.run]
        return subprocess.Popen(words, cwd=out.parent, stderr=subprocess.PIPE)


def writer(letter: str = "x", finish: str = "rename(done)") -> Command:
    return Script("writer", (), WRITER.replace("{letter}", letter).replace("{finish}", finish))


def test_a_run_that_goes_on_is_the_same(tmp_path):
    row = kill_often(writer(), tmp_path, 6, np.random.default_rng(0), 3)
    assert row["kills"] == 6
    assert row["differences"] == []


def test_other_bytes_are_seen(tmp_path):
    row = kill_often(
        writer('" + random.choice("abc") + "'), tmp_path, 2, np.random.default_rng(0), 2
    )
    assert set(row["differences"]) == {"out"}


def test_a_run_that_fails_by_itself_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="(?s)writer failed.*copy_"):
        kill_often(writer(finish="copy_(done)"), tmp_path, 2, np.random.default_rng(0), 2)


def test_commands_are_of_the_command_line(tmp_path):
    from multistar.cli.app import main

    for command in kills.make_commands(tmp_path, stars=8):
        with pytest.raises(SystemExit) as end:
            main([command.words[0], "--help"])
        assert end.value.code == 0
