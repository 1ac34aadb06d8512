"""Maps: clusters stay apart, seeds repeat, every row comes back, and files that others read."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from multistar.cli.app import main
from multistar.index.umap_map import umap_map, with_numbers
from multistar.plots import plot_map


def vectors(n: int = 300, seed: int = 0) -> tuple[pa.Table, np.ndarray]:
    """Stars of three well separated kinds, as `embed` writes them; the last two have no data."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    x = np.eye(3, 8)[kind] + 0.05 * rng.normal(size=(n, 8))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    status = ["ok"] * (n - 2) + ["no_data,no_xp"] * 2
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 8)
    table = pa.table({"source_id": np.arange(n) + 10, "status": status, "embedding": embedding})
    return table.replace_schema_metadata({"model_sha256": "cafe", "metric": "cosine"}), kind


@pytest.fixture(scope="module")
def made():
    return umap_map(vectors()[0], sample=200)


def test_kinds_stay_apart_also_where_stars_are_placed_later(made):
    _, kind = vectors()
    xy = np.stack([made["umap_x"].to_numpy(), made["umap_y"].to_numpy()], 1)
    assert made["source_id"].to_pylist() == list(range(10, 310))
    assert made["status"].to_pylist() == ["kept"] * 298 + ["dropped"] * 2
    assert np.isnan(xy[-2:]).all() and np.isfinite(xy[:-2]).all()
    centres = np.stack([np.median(xy[:-2][kind[:-2] == k], 0) for k in range(3)])
    nearest = np.argmin(np.linalg.norm(xy[:-2, None] - centres, axis=-1), 1)
    np.testing.assert_array_equal(nearest, kind[:-2])
    said = json.loads(made.schema.metadata[b"umap"])
    assert (said["fitted_stars"], said["placed_stars"], said["seed"]) == (200, 98, 0)
    assert made.schema.metadata[b"model_sha256"] == b"cafe"


def test_a_seed_gives_one_map(made):
    again = umap_map(vectors()[0], sample=200)
    np.testing.assert_array_equal(again["umap_x"], made["umap_x"])
    other = umap_map(vectors()[0], sample=200, seed=1)
    assert not np.array_equal(other["umap_x"].to_numpy()[:-2], made["umap_x"].to_numpy()[:-2])


def test_what_cannot_be_mapped_is_refused(made):
    with pytest.raises(ValueError, match="needs 30 stars, got 8"):
        umap_map(vectors(10)[0])
    table, _ = vectors(60)
    bad = table["embedding"].combine_chunks().flatten().to_numpy().copy()
    bad[17] = np.nan
    bad = table.set_column(2, "embedding", pa.FixedSizeListArray.from_arrays(pa.array(bad), 8))
    with pytest.raises(ValueError, match="NaN or infinity .first: star 12"):
        umap_map(bad)
    with pytest.raises(ValueError, match=r"no column \['teff'\] to colour by"):
        plot_map(made, ["teff"])


def test_numbers_join_the_map_and_colour_it(made):
    labels = {"source_id": np.arange(10, 300), "teff": np.linspace(4000, 5000, 290)}
    table = with_numbers(made, labels)
    np.testing.assert_array_equal(table["teff"].to_numpy()[:290], labels["teff"])
    assert np.isnan(table["teff"].to_numpy()[290:]).all()
    picture = plot_map(table, ["teff", "umap_x"])
    assert (
        sum(axis.has_data() and axis.get_visible() for axis in picture.axes) == 4
    )  # two maps, two colour bars


def test_the_command_writes_what_others_read(tmp_path, capsys):
    table, _ = vectors(120)
    pq.write_table(table, tmp_path / "v.parquet")
    pq.write_table(
        pa.table({"source_id": np.arange(10, 130), "teff": np.arange(120.0)}),
        tmp_path / "l.parquet",
    )
    base = ["umap", str(tmp_path / "v.parquet"), "--out", str(tmp_path / "map.fits")]
    more = [
        "--metadata",
        str(tmp_path / "l.parquet"),
        "--figure",
        str(tmp_path / "m.png"),
        "--colour",
        "teff",
    ]
    assert main(base + more) == 0
    assert "120 stars written to" in capsys.readouterr().out
    read = Table.read(tmp_path / "map.fits")
    assert read.colnames == ["source_id", "umap_x", "umap_y", "embedding_status", "status", "teff"]
    assert np.sum(np.isfinite(read["umap_x"])) == 118
    assert (tmp_path / "m.png").stat().st_size > 5000
    assert main(base) == 2 and "--overwrite" in capsys.readouterr().err
    assert main([*base, "--overwrite", "--figure", "x.png"]) == 2
    assert "belong together" in capsys.readouterr().err
