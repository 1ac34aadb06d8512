"""Pages of the site that are made when it is built: from the code, the results and the notebooks.

MkDocs calls `on_files` (see `hooks` in mkdocs.yml).
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
WEIGHTS = ROOT / "multistar" / "weights" / "mini" / "config.json"
# Files of the repository that are pages of the site.
COPIED = {
    "development/changelog.md": "CHANGELOG.md",
    "development/contributing.md": "CONTRIBUTING.md",
    "development/data.md": "DATA.md",
    "development/security.md": "SECURITY.md",
}
COMMANDS, COLUMNS, INDEX = "reference/command-line.md", "reference/columns.md", "results/index.md"
SHIPPED = "{shipped weights}"  # stands in pages for the hash
WIDTH_OF_HELP = "80"  # characters


@event_priority(100)  # before the plugin that makes pages of notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add all generated pages to those that are written by hand."""
    pages = {COMMANDS: write_commands(), COLUMNS: write_columns(), INDEX: write_index()}
    for path in sorted(RESULTS.glob("*.json")):
        pages[f"results/{path.stem}.md"] = write_result(path)
    for target, source in COPIED.items():
        pages[target] = read_copied(ROOT / source)
    for target, text in pages.items():
        files.append(File.generated(config, target, content=text))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name = str(notebook.relative_to(ROOT))
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Name the shipped weights where a page speaks of them."""
    return markdown.replace(SHIPPED, f"`{shipped()[:8]}`")


def read_copied(path: Path) -> str:
    """The text of a file above docs/, its links as seen from docs/development/."""
    text = path.read_text()
    names = {source: Path(target).name for target, source in COPIED.items()}
    for name, target in names.items():
        text = text.replace(f"]({name})", f"]({target})")
    text = text.replace("](README.md)", "](../index.md)")
    return re.sub(r"\]\(docs/", "](../", text)


def write_commands() -> str:
    """The help of all commands, by what one wants."""
    os.environ["COLUMNS"] = WIDTH_OF_HELP
    from multistar.cli.app import parser
    from multistar.cli.overview import GROUPS

    parts = ["# Command line", "What `--help` says of each command.", ""]
    commands = subcommands(parser())
    for group, names in GROUPS.items():
        parts += [f"## {group.capitalize()}", ""]
        for name in names:
            parts += [f"### multistar {name}", ""]
            inside = subcommands(commands[name])
            for command in inside.values() or [commands[name]]:
                parts += ["```text", command.format_help().rstrip(), "```", ""]
    return "\n".join(parts)


def subcommands(parser: Any) -> dict[str, Any]:
    """Name -> parser of the commands of a parser, in order."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            return action.choices
    return {}


def write_columns() -> str:
    """Which columns are read, and which words `status` holds."""
    from multistar.quantities import QUANTITIES
    from multistar.status import FLAGS

    parts = ["# Columns, units and status words", ""]
    parts += [
        "Columns are found by these names; others are named by `--columns QUANTITY=COLUMN`.",
        "",
    ]
    rows = []
    for name, q in QUANTITIES.items():
        columns = ", ".join(f"`{column}`" for column in q.columns)
        errors = ", ".join(f"`{column}`" for column in (*q.error_columns, *q.snr_columns))
        low, high = q.valid
        rows.append([f"`{name}`", q.kind, q.unit, f"{low:g} to {high:g}", columns, errors])
    header = ["quantity", "kind", "unit", "valid", "columns", "columns of errors"]
    parts += [table(header, rows), "", "## Status", ""]
    parts.append(table(["word", "meaning"], [[f"`{word}`", text] for word, text in FLAGS.items()]))
    return "\n".join(parts)


def write_index() -> str:
    """All results, with what they were measured on."""
    parts = [
        "# Results",
        "",
        f"The shipped weights are `{shipped()[:8]}`. Each row was written by the command in it, and is "
        "a JSON file in `docs/results/`. In words: [labels](../measured/labels.md), "
        "[the sky](../measured/sky.md), [fine-tuning](../measured/fine-tuning.md), "
        "[own surveys](../measured/own-survey.md), [speed](../measured/speed.md).",
        "",
    ]
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text())
        name = f"[{path.stem.replace('_', ' ')}]({path.stem}.md)"
        rows.append([name, weights_of(record), record["date"][:10], f"`{record['command']}`"])
    parts.append(table(["result", "weights", "date", "command"], rows))
    return "\n".join(parts)


def shipped() -> str:
    """SHA-256 of the weights that come with the package."""
    return json.loads(WEIGHTS.read_text())["sha256"]


def contained() -> list[str]:
    """Weights whose figures the shipped ones share, for stars without what was added to them."""
    return json.loads(WEIGHTS.read_text())["provenance"].get("contains", [])


def weights_of(record: dict) -> str:
    """Which weights a result belongs to, and whether they are the shipped ones."""
    weights = record["weights_sha256"]
    if not weights:
        return "none took part"
    if weights in contained():
        return f"`{weights[:8]}`, which the shipped ones contain"
    return f"`{weights[:8]}`" + ("" if weights == shipped() else ", **not the shipped ones**")


def write_result(path: Path) -> str:
    """One result: where it is from, and all of its figures."""
    record = json.loads(path.read_text())
    machine = record["machine"]
    origin = [
        ["weights", weights_of(record)],
        ["command", f"`{record['command']}`"],
        ["commit", f"`{record['commit']}`"],
        ["date", record["date"]],
        ["stars", describe_number(record["n"])],
        [
            "machine",
            f"{machine['cpu']}, {machine['cores']} cores, {machine['isa']}, torch {machine['torch']}",
        ],
    ]
    title = path.stem.replace("_", " ").capitalize()
    parts = [f"# {title}", "", table(["", ""], origin), "", "## Figures", ""]
    parts += write_figures(record["figures"], 3)
    return "\n".join(parts)


def describe_number(n: int | dict) -> str:
    """Number of stars, in all or by part."""
    if isinstance(n, dict):
        return ", ".join(f"{part}: {number:,}" for part, number in n.items())
    return f"{n:,}"


def write_figures(figures: dict, level: int) -> list[str]:
    """Tables of plain numbers, rows of records, and what is nested under a heading."""
    plain = {name: value for name, value in figures.items() if not isinstance(value, (dict, list))}
    parts = []
    if plain:
        parts += [table(["", "value"], [[name, cell(value)] for name, value in plain.items()]), ""]
    for name, value in figures.items():
        if name in plain:
            continue
        records = as_records(value)
        if records:
            header = list(dict.fromkeys(key for record in records for key in record))
            rows = [[cell(record.get(key, "")) for key in header] for record in records]
            parts += [f"{'#' * level} {name}", "", table(header, rows), ""]
        elif isinstance(value, dict):
            parts += [f"{'#' * level} {name}", "", *write_figures(value, min(level + 1, 6))]
        else:
            parts += [f"{name}: {', '.join(cell(item) for item in value)}", ""]
    return parts


def as_records(value: Any) -> list[dict]:
    """Rows of a table: of a list of dictionaries, or of dictionaries within dictionaries."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return value
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        return []
    records = []
    for name, item in value.items():
        inner = {key: x for key, x in item.items() if isinstance(x, dict)}
        if any(is_nested(x) for part in inner.values() for x in part.values()):
            return []
        plain = {key: x for key, x in item.items() if key not in inner}
        if plain:
            records.append({"of": name, **plain})
        records += [{"of": name, "by": key, **part} for key, part in inner.items()]
    return records


def is_nested(value: Any) -> bool:
    return isinstance(value, (dict, list))


def cell(value: Any) -> str:
    """A value as it stands in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {cell(item)}" for name, item in value.items())
    return str(value).replace("|", "\\|")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
