"""What light curves tell of mock giants beside XP, photometry and parallax: one model per row, the same test stars.

    python scripts/benchmark_modalities.py --train MOCK --test MOCK --light-curves DIR [--core mini] [--fused DIR]

MOCK are tables with light-curve views (multistar mock --light-curves kepler --views), TEST of another seed. Scatter is
the MAD-std against the truth. Boosted trees (350 of depth 6, XGBoost) on the slots of the view are the baseline.
"""

import argparse

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from multistar.api import MultiStar
from multistar.checks.baselines import trees
from multistar.checks.metrics import coverage, scatter
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars

LABELS = ("teff", "logg", "m_h", "mass", "age")


def row(
    model: MultiStar, stars: Stars, truth: dict[str, np.ndarray]
) -> tuple[dict[str, float], dict[str, float]]:
    """MAD-std and the share of truths in the 68 % interval, by label."""
    table = model.predict(stars)
    spread, inside = {}, {}
    for name in LABELS:
        guess, low, high = (table[name + s].to_numpy() for s in ("", "_lower", "_upper"))
        spread[name] = scatter(guess, truth[name])["mad_std"]
        inside[name] = coverage(low, high, truth[name])
    return spread, inside


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--light-curves", required=True, help="model of light curves alone")
    parser.add_argument("--core", default="mini", help="model without light curves")
    parser.add_argument("--fused", help="model of all modalities")
    parser.add_argument(
        "--trees", type=int, default=20000, help="training stars of the baseline; 0 for none"
    )
    args = parser.parse_args()
    test_table = pq.read_table(args.test)
    test = read_stars(test_table)
    truth = {name: test_table[f"true_{name}"].to_numpy() for name in LABELS}
    bare = test.with_blocks(light_curve=None)
    curve = test.with_blocks(scalars=None, xp=None)
    magnitudes = {
        name: s for name, s in test.scalars.items() if QUANTITIES[name].kind == "magnitude"
    }
    photometry = bare.with_blocks(xp=None, scalars=magnitudes)
    alone, core = MultiStar.from_pretrained(args.light_curves), MultiStar.from_pretrained(args.core)
    rows = {
        "light curve": row(alone, curve, truth),
        "XP, photometry, parallax": row(core, bare, truth),
        "photometry": row(core, photometry, truth),
    }
    if args.fused:
        fused = MultiStar.from_pretrained(args.fused)
        for name, stars in (
            ("light curve", curve), ("without light curve", bare), ("photometry", photometry), ("all", test),
        ):  # fmt: skip
            rows[f"fused model: {name}"] = row(fused, stars, truth)
    if args.trees:
        train = read_stars(pq.read_table(args.train).slice(0, args.trees))
        guess = trees(alone.model, train.with_blocks(xp=None), curve, LABELS)
        rows["light curve, XGBoost"] = (
            {n: scatter(guess[n], truth[n])["mad_std"] for n in LABELS},
            {},
        )
    table = Table(title=f"{len(test)} mock stars: MAD-std to the truth (share of truths in 68 %)")
    for name in ("", *LABELS):
        table.add_column(name, justify="left" if not name else "right")
    for name, (spread, inside) in rows.items():
        cells = (f"{spread[n]:.4g}" + (f" ({inside[n]:.0%})" if inside else "") for n in LABELS)
        table.add_row(name, *cells)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
