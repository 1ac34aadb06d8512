"""Draw the pictures of the documentation -> docs/pictures/*.png, two minutes.

MULTISTAR_REAL_DATA=FOLDER python scripts/draw_pictures.py [--model mini]
"""

import argparse
import os
from pathlib import Path

from multistar.checks.pictures import draw_pictures
from multistar.checks.results import REAL_DATA
from multistar.model.checkpoint import load_model

FOLDER = Path("docs", "pictures")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    real = os.environ.get(REAL_DATA)
    for path in draw_pictures(load_model(args.model), FOLDER, Path(real) if real else None):
        print(path)


if __name__ == "__main__":
    main()
