"""Put a trained model, with its card, among those that come with the package.

    python scripts/ship_model.py mini/model --name mini
        --benchmark docs/results/labels.json --data "mock giants"

Weights of more than 40 MB are refused.
"""

import argparse
import json
from pathlib import Path

from multistar.io.folders import SHIPPED, WEIGHTS
from multistar.model.card import card
from multistar.model.checkpoint import load_model, save_model

LIMIT_MB = 40


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", help="model folder")
    parser.add_argument("--name", required=True)
    parser.add_argument("--benchmark", required=True, help="result of scripts/benchmark_labels.py")
    parser.add_argument("--data", required=True, help="what the training stars are, for the card")
    parser.add_argument("--added", default="", help="the same, of what was added to a core")
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    size = (Path(args.model) / WEIGHTS).stat().st_size / 1e6
    if size > LIMIT_MB:
        raise SystemExit(
            f"{args.model}: weights have {size:.0f} MB, at most {LIMIT_MB} MB are shipped"
        )
    model = load_model(args.model)
    benchmark = json.loads(Path(args.benchmark).read_text())["figures"]
    model.card = card(model, args.name, args.data, benchmark, args.added)
    save_model(model, SHIPPED / args.name, args.overwrite)
    print(f"{SHIPPED.name}/{args.name}: {size:.1f} MB, SHA-256 {model.hash[:12]}")


if __name__ == "__main__":
    main()
