"""Learn the alignment of a trained model again, all else at rest -> the same folder, a minute.

    python scripts/fit_alignment.py mini/final --run scripts/mini_final.toml

The stars are those of the tables of the run file that have light curves. What belongs to the
weights by their hash (nuisance projections, populations) is to be made after this.
"""

import argparse
from pathlib import Path

from multistar.checks.benchmarks.alignment import STEPS
from multistar.checks.fitting.alignment import fit_alignment, read_pairs
from multistar.model.checkpoint import load_model, save_model
from multistar.training.run import load_run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", help="model folder")
    parser.add_argument("--run", required=True, help="run file (TOML)")
    args = parser.parse_args()
    model = load_model(args.model)
    tables = dict.fromkeys(Path(table) for table in load_run(args.run).data.train)
    stars = read_pairs(list(tables))
    fit_alignment(model, stars)
    model.provenance["alignment"] = {"stars": len(stars), "steps": STEPS}
    save_model(model, args.model, overwrite=True)
    print(f"{args.model}: SHA-256 {model.hash[:12]}")


if __name__ == "__main__":
    main()
