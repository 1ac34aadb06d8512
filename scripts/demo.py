"""`make demo`: mock giants -> labels, posteriors, spectra, neighbours -> demo/report.html.

With --train (`make demo-train`) a small model is trained first and compared with XGBoost.
"""

import argparse
import time
from pathlib import Path

from multistar.checks.demo import make_report, train_small_model, use_shipped_model

HERE = Path(__file__).parent
OUT = HERE.parent / "demo"
TRAINING_STARS, DEMO_STARS = 30_000, 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true", help="train a small model: seven minutes")
    parser.add_argument("--run", default=HERE / "demo.toml", help="TOML run file for --train")
    parser.add_argument("--stars", type=int, help="default 5,000; with --train 30,000")
    args = parser.parse_args()
    begun = time.monotonic()
    if args.train:
        demo = train_small_model(args.run, args.stars or TRAINING_STARS)
    else:
        demo = use_shipped_model(args.stars or DEMO_STARS, OUT)
    make_report(demo).write(OUT / "report.html", overwrite=True)
    minutes = (time.monotonic() - begun) / 60
    print(f"done in {minutes:.1f} minutes; open {OUT / 'report.html'}")


if __name__ == "__main__":
    main()
