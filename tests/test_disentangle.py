"""The check of temperature and dust, end to end."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.checks import disentangle as check
from multistar.cli.app import main
from multistar.stars import read_stars


def two_numbers(vectors: pa.Table, seed: int, quiet: bool) -> pa.Table:
    """Instead of UMAP, which compiles for long and has its own tests."""
    x = np.stack(vectors["embedding"].to_numpy())
    table = pa.table({"source_id": vectors["source_id"], "umap_x": x[:, 0], "umap_y": x[:, 1]})
    return table.replace_schema_metadata({"umap": "none"})


def test_the_command_writes_numbers_page_and_maps(mock_table, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("multistar.checks.physics.GENERATED_STARS", 2)
    monkeypatch.setattr("multistar.checks.physics.SAMPLES", 2)
    monkeypatch.setattr("multistar.checks.probes.PERMUTATIONS", 10)
    monkeypatch.setattr(check, "umap_map", two_numbers)
    pq.write_table(mock_table, tmp_path / "mock.parquet")
    out = tmp_path / "out"
    command = f"check disentangle {tmp_path}/mock.parquet --stars 400 --out {out}".split()
    assert main(command) == 0
    assert "dust at fixed teff: R2 linear" in capsys.readouterr().out
    numbers = json.loads((out / check.JSON).read_text())
    spaces = numbers["spaces"]["embedding"], numbers["spaces"]["without dust"]
    before, after = (space["dust at fixed teff"]["linear"]["r2"] for space in spaces)
    assert before > 0.8
    assert after < before - 0.4
    assert numbers["spaces"]["without dust"]["teff at fixed dust"]["knn"]["r2"] > 0.6
    assert set(numbers["generated"]) == {"dteff_debv_generated", "rms_error"}
    maps = pq.read_table(out / check.MAPS)
    assert len(maps) == 400
    assert {"umap_x", "umap_y_without_dust", "teff", "ebv"} <= set(maps.column_names)
    assert {b"umap", b"umap_without_dust"} <= set(maps.schema.metadata)
    page = (out / check.PAGE).read_text()
    assert page.count("<img") == 3
    assert "://" not in page
    assert "<script" not in page
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_too_few_stars_are_refused(star_model, mock_table):
    with pytest.raises(ValueError, match="known for 50 stars .*, expected 200"):
        check.disentangle(star_model.model, read_stars(mock_table[:50]), maps=False, quiet=True)


@pytest.mark.realdata
def test_real_stars_against_the_map_of_burstein_and_heiles(real_data):
    from multistar.api import MultiStar

    stars = read_stars(str(real_data / "xp" / "gaia_dr3_xp_continuous_field.fits"))
    model = MultiStar.from_pretrained("mini").model
    found, maps = check.disentangle(model, stars, "bh", maps=False, quiet=True)
    assert maps is None
    assert "bh" in found["ebv"]
    assert "source_id" in found["ebv"]
    assert found["stars"] + found["holes"] + found["no_position"] == 1500
    assert found["spaces"]["embedding"]["teff at fixed dust"]["knn"]["r2"] > 0.8
