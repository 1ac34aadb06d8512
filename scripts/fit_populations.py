"""Learn the populations that `predict --prior` can assume -> MODEL/populations.safetensors, a minute.

    python scripts/fit_populations.py mini/joint4 --run mini/core/joint4.toml --more clusters.parquet

The tables are those of the run file that the model was trained with; --more names tables of
populations that it was not trained on, but whose kinds of stars it knows.
"""

import argparse
from pathlib import Path

from multistar.model.checkpoint import load_model
from multistar.model.populations import FILE, save_populations
from multistar.training.populations import fit_populations, read_populations
from multistar.training.run import load_run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", help="model folder")
    parser.add_argument("--run", required=True, help="run file (TOML)")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="tables of multistar mock")
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    tables = [Path(table) for table in load_run(args.run).data.train]
    labels, stars = read_populations(tables)
    for name, number in sorted(stars.items()):
        print(f"{name:16} {number:9,} stars")
    more = read_populations(args.more)[0]
    if known := sorted(labels.keys() & more.keys()):
        parser.error(f"--more: {', '.join(known)} are populations of the run file already")
    labels |= more
    populations = fit_populations(labels, stars, load_model(args.model).hash)
    save_populations(populations, Path(args.model) / FILE, args.overwrite)


if __name__ == "__main__":
    main()
