"""What each mode of fine-tuning does to the labels that the base knew: `predict` with the adapter, and its own network.

    python scripts/evaluate_retention.py DATA [--labels 1000] [--modes probe head lora full]

The adapters learn LAMOST's Teff, log g and [M/H] of DATA (see evaluate_real.py) under names new to the base.
1,000 mock stars of a seed that no training used are asked before and after.
"""

import argparse
from pathlib import Path

from real_tables import lamost
from rich.console import Console
from rich.table import Table

from multistar.finetune.finetune import finetune
from multistar.finetune.retention import mock_stars
from multistar.finetune.tune import LEARNING_RATE
from multistar.model.checkpoint import load_model

NEW = {"teff": "lamost_teff", "logg": "lamost_logg", "mh": "lamost_m_h"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", help="folder of the real tables")
    parser.add_argument("--model", default="mini")
    parser.add_argument(
        "--labels", type=int, default=1000, help="stars that the adapters learn from"
    )
    parser.add_argument("--modes", nargs="*", default=list(LEARNING_RATE), choices=LEARNING_RATE)
    args = parser.parse_args()
    base, stars = load_model(args.model), mock_stars()
    frame = lamost(Path(args.data)).sample(args.labels, random_state=0)
    frame = frame.rename(columns=NEW | {f"{old}_err": f"{new}_error" for old, new in NEW.items()})
    shown = Table(
        "label",
        "MAD-std before",
        title=f"{len(stars)} mock stars; changes of the MAD-std in per cent",
    )
    for mode in args.modes:
        shown.add_column(f"{mode}: predict")
        shown.add_column(f"{mode}: its network")
    kept = {}
    for mode in args.modes:
        kept[mode] = finetune(
            base, frame, list(NEW.values()), mode, quiet=False, retain=stars
        ).provenance["retention"]
    for label, cell in kept[args.modes[0]].items():
        asked = [kept[mode][label][which] for mode in args.modes for which in ("after", "network")]
        shown.add_row(
            label,
            f"{cell['before']:.4g}",
            *(f"{100 * (x / cell['before'] - 1):+.1f}" for x in asked),
        )
    Console(width=150).print(shown)
    worst = max(
        abs(cell["after"] / cell["before"] - 1)
        for table in kept.values()
        for cell in table.values()
    )
    print(f"largest change in what `predict` says of the base's labels: {100 * worst:.2f} %")


if __name__ == "__main__":
    main()
