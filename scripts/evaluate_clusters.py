"""Ages, E(B-V) and distances of members of open clusters -> docs/results/clusters.json.

    python scripts/evaluate_clusters.py DATA --catalogue TABLE.csv [--cache DIR] [--mode lora]

TABLE has age, A_V and distance of the clusters: that of Castro-Ginard et al. 2022 (VizieR
J/A+A/661/A118) does; see multistar/checks/real/clusters.py for what is measured.
"""

import argparse
from pathlib import Path

from multistar.checks.real.clusters import evaluate_clusters
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the real tables")
    parser.add_argument("--catalogue", type=Path, help="CSV with Cluster, logAge, AV, Dist")
    parser.add_argument("--cache", type=Path, help="folder for the JSON of every fold")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--mode", default="lora")
    parser.add_argument("--stars", type=int, default=6000, help="of other clusters to learn from")
    args = parser.parse_args()
    model = load_model(args.model)
    how = args.catalogue, args.mode, args.stars, args.cache
    figures = evaluate_clusters(model, args.data, *how)
    for name, rows in figures.items():
        if isinstance(rows, list):
            print_rows(name.replace("_", " "), rows)
    n = {name: figures[name] for name in ("members", "clusters")}
    write_result("clusters", figures, n, model.hash)


if __name__ == "__main__":
    main()
