"""What the shipped weights say of 64 frozen mock stars: the numbers that no renovation may move.

`python tests/golden_outputs.py --write` freezes them anew (after new weights, never to make a test pass);
without `--write` it prints how far each verb's outputs are from the frozen ones. The stars and the adapter are
frozen, too, so that neither a change of the mock survey nor one of fine-tuning moves them.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from multistar import MultiStar, StarIndex
from multistar.mock.survey import SurveyConfig, survey

FOLDER = Path(__file__).parent / "golden"
STARS, ADAPTER, OUTPUTS = (
    FOLDER / "stars.parquet",
    FOLDER / "adapter",
    FOLDER / "outputs.safetensors",
)
GIANTS, WITH_CURVES, SEED = 48, 16, 2029
ADAPTER_LABEL = "golden"  # a mixture of two labels, which the base does not know


def numbers(name: str, table: pa.Table) -> dict[str, np.ndarray]:
    """Numeric columns of a result as arrays, lists flattened to (rows, n); text (status) as its bytes."""
    arrays = {}
    for column in table.column_names:
        values = table[column].combine_chunks()
        if pa.types.is_string(values.type):
            text = "\n".join(values.to_pylist())
            arrays[f"{name}.{column}"] = np.frombuffer(text.encode(), np.uint8)
        elif pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
            flat = values.flatten().to_numpy(zero_copy_only=False)
            arrays[f"{name}.{column}"] = flat.reshape(len(table), -1)
        else:
            arrays[f"{name}.{column}"] = values.to_numpy(zero_copy_only=False)
    return arrays


def compute(device: str = "cpu", precision: str = "float32") -> dict[str, np.ndarray]:
    """Every verb of the front door on the frozen stars; frozen are those in float32 on the CPU."""
    stars = pq.read_table(STARS)
    model = MultiStar.from_pretrained("mini", precision=precision, device=device)
    taught = MultiStar.from_pretrained("mini", ADAPTER, precision, device)
    few = stars.take(np.arange(0, len(stars), 4))
    half = few.drop_columns(
        [name for name in stars.column_names if name.startswith("rp_coefficient")]
    )
    plain = stars.drop_columns(
        [name for name in stars.column_names if name.startswith(("bp_", "rp_"))]
    )
    vectors = model.embed(stars)
    index = StarIndex.build(vectors, kind="exact")
    query = np.stack(vectors["embedding"].to_pylist()[:8]).astype(np.float32)
    found = index.neighbours_of(query, vectors["source_id"].to_numpy()[:8], 5)
    results = {
        "predict": model.predict(stars),
        "predict without XP": model.predict(plain),
        "samples": model.predict(few, samples=16, seed=3),
        "consistency": model.predict(few, consistency=True).select(["consistency"]),
        "embed": vectors,
        "embed without dust": model.embed(stars, ignore="dust"),
        "generate": model.generate(few, samples=16, seed=3, sampled=True),
        "inpaint": model.inpaint(half),
        "adapter": taught.predict(stars).select(
            [ADAPTER_LABEL + s for s in ("", "_lower", "_upper")]
        ),
        "adapter samples": taught.predict(few, samples=16, seed=3),
        "search": found,
    }
    return {
        key: array for name, table in results.items() for key, array in numbers(name, table).items()
    }


def distances(frozen: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> dict[str, float]:
    """Output -> largest difference, in units of the root mean square of the same column over the frozen stars.

    Infinite where shapes, ids, words or missing values differ. Samples and covariances are measured in the units of
    all their numbers together.
    """
    result = {}
    for key in sorted(frozen.keys() | found.keys()):
        one, other = frozen.get(key), found.get(key)
        if one is None or other is None or one.shape != other.shape:
            result[key] = np.inf
        elif not np.issubdtype(one.dtype, np.floating):
            result[key] = 0.0 if np.array_equal(one, other) else np.inf
        elif not np.array_equal(np.isfinite(one), np.isfinite(other)):
            result[key] = np.inf
        else:
            one, other = (np.where(np.isfinite(x), x, 0).astype(np.float64) for x in (one, other))
            scale = (
                np.sqrt((one**2).mean())
                if "samples" in key or "covariance" in key
                else np.sqrt((one**2).mean(0))
            )
            result[key] = float(np.max(np.abs(one - other) / np.maximum(scale, 1e-30), initial=0.0))
    return result


def freeze() -> None:
    """Write stars, adapter and outputs."""
    FOLDER.mkdir(exist_ok=True)
    giants = pa.concat_tables(survey(GIANTS, SurveyConfig(SEED)))
    curves = SurveyConfig(SEED + 1, "kepler-like", light_curves=("kepler",), views=True)
    seen = pa.concat_tables(survey(WITH_CURVES, curves))
    stars = pa.concat_tables([giants, seen], promote_options="default")
    pq.write_table(stars, STARS, compression="zstd")
    taught = pa.concat_tables(survey(300, SurveyConfig(SEED + 2)))
    label = taught["true_teff"].to_numpy() / 1000 + taught["true_m_h"].to_numpy()
    taught = taught.append_column(ADAPTER_LABEL, pa.array(label))
    model = MultiStar.from_pretrained("mini", precision="float32", device="cpu")
    model = model.finetune(taught, [ADAPTER_LABEL], mode="probe", steps=100)
    model.save_adapter(ADAPTER, overwrite=True)
    save_file(compute(), OUTPUTS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--write", action="store_true", help="freeze stars, adapter and outputs anew"
    )
    if parser.parse_args().write:
        freeze()
        return
    found = distances(load_file(OUTPUTS), compute())
    for verb in dict.fromkeys(key.split(".")[0] for key in found):
        farthest = max((d, key) for key, d in found.items() if key.split(".")[0] == verb)
        print(f"{verb:20s} at most {farthest[0]:.1e}, in {farthest[1]}")


if __name__ == "__main__":
    main()
