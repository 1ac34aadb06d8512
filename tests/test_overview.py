"""The help of the command line: every command is listed once, and its example is right."""

import argparse
import shlex

import pytest

from multistar.cli.app import parser
from multistar.cli.overview import EXAMPLES, GROUPS


def commands() -> dict[str, argparse.ArgumentParser]:
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the parser has no commands")


def test_every_command_is_in_one_group_and_has_an_example():
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(commands()) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_understood(name):
    program, command, *words = shlex.split(EXAMPLES[name])
    assert (program, command) == ("multistar", name)
    assert parser().parse_args([command, *words]).command == name


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_help_of_a_command_ends_with_its_example(name):
    last = " ".join(commands()[name].format_help().split())
    assert last.endswith(f"example: {EXAMPLES[name]}")


def test_the_overview_names_groups_and_what_commands_do():
    text = parser().format_help()
    assert "similar stars:\n" in text
    assert "  predict    labels with errors for the stars of a table\n" in text
    assert max(map(len, text.splitlines())) <= 80
