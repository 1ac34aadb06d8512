"""Classes of real light curves, five folds by star -> docs/results/variability.json.

    python scripts/evaluate_variability.py [--model DIR] --gaia EPOCHS.parquet --labels LABELS.csv
        [--asas ASAS.parquet] [--modes head lora trees auto] [--cache DIR]

See checks/real/variability.py for what is compared. Needs the extra `variability`.
"""

import argparse
from pathlib import Path
from typing import Any

from multistar.checks.real.variability import (
    evaluate_variability,
    read_asas,
    read_gaia_epochs,
    summarise_scores,
)
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mini", help="a model that reads light curves")
    parser.add_argument("--gaia", help="Gaia epoch photometry, one transit per row")
    parser.add_argument("--labels", help="table of source_id and best_class_name")
    parser.add_argument("--asas", help="table of light curves with a column cls")
    parser.add_argument("--modes", nargs="*", default=["trees", "auto"], help="of fine-tuning")
    parser.add_argument("--cache", type=Path, help="folder for the JSON of every row and fold")
    args = parser.parse_args()
    model, figures = load_model(args.model), {}
    sets: dict[str, Any] = {}
    if args.gaia:
        sets["gaia"] = read_gaia_epochs(args.gaia, args.labels)
    if args.asas:
        sets["asas"] = read_asas(args.asas)
    for name, (curves, kinds) in sets.items():
        result = evaluate_variability(model, curves, kinds, args.modes, args.cache, name)
        figures[name] = result
        print_rows(f"{name}: {result['stars']} stars", summarise_scores(result["scores"]))
        print_rows("taught by mock stars", [result["mock"] | result["mock"]["recall"]])
        print_rows("a class that was left out, AUC", [result["left_out"]])
    write_result("variability", figures, {n: of["stars"] for n, of in figures.items()}, model.hash)


if __name__ == "__main__":
    main()
