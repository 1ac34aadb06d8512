"""Tables of README and documentation are those of docs/results/*.json."""

import json
from pathlib import Path

import pytest

from multistar.checks.result_tables import MARKED, TABLES, fill_document

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_tables_are_what_the_results_say():
    stale = []
    for path in DOCUMENTS:
        text = path.read_text()
        if fill_document(text, RESULTS) != text:
            stale.append(path.name)
    assert not stale, f"run python scripts/write_tables.py: {stale}"


def test_every_table_is_shown_somewhere():
    shown = {match[2] for path in DOCUMENTS for match in MARKED.finditer(path.read_text())}
    assert shown == set(TABLES)


def test_a_document_gets_figures_and_keeps_the_rest(tmp_path):
    figures = {
        "sun": [
            {"bands": "G", "parsec": 10.0, "teff": 5772.4, "logg": 4.438, "mass": 1.0},
            {"bands": "G", "parsec": 1000.0, "teff": 6000.0, "logg": 4.3, "mass": 1.1},
        ]
    }
    record = {
        "name": "sky",
        "figures": figures,
        "weights_sha256": "0123456789abcdef",
        "date": "2026-11-28T20:08:23+00:00",
        "machine": {"cores": 2, "isa": "AVX2"},
    }
    (tmp_path / "sky.json").write_text(json.dumps(record))
    text = "before\n\n<!-- table sun -->\nold\n<!-- end -->\nafter"
    filled = fill_document(text, tmp_path)
    assert filled.startswith("before\n\n<!-- table sun -->\n") and filled.endswith(
        "<!-- end -->\nafter"
    )
    assert "|  | 10 pc | 1000 pc |\n| --- | --- | --- |\n" in filled
    assert "| G | 5,772 K, 4.44, 1.00 | 6,000 K, 4.30, 1.10 |" in filled
    assert "Weights 01234567, docs/results/sky.json, 2026-11-28, 2 cores with AVX2." in filled
    assert "old" not in filled
    assert fill_document(filled, tmp_path) == filled


def test_an_unknown_table_is_named(tmp_path):
    with pytest.raises(ValueError, match="no table is called moon; there are headline"):
        fill_document("<!-- table moon -->\n<!-- end -->", tmp_path)
