"""A model on real Gaia XP spectra -> docs/results/real_xp.json.

    python scripts/evaluate_real_xp.py FIELD.fits [--known CALSPEC.csv] [--odd EXOTIC.parquet]

FIELD    ordinary stars: one band of held-out ones from the other, beside a conditional Gaussian
--known  a table that holds the XP of some stars whose labels are known from elsewhere
--odd    stars unlike any mock star; how many are flagged
"""

import argparse

from multistar.checks.real.xp_spectra import (
    evaluate_inpainting,
    evaluate_known_stars,
    measure_flagged,
)
from multistar.checks.results import print_rows, write_result
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("field", help="table of ordinary stars with XP coefficients and errors")
    parser.add_argument("--known", help="table with XP of stars of known labels")
    parser.add_argument("--odd", help="table of stars unlike the mock's")
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    model, figures = load_model(args.model), {}
    figures["inpainting"] = evaluate_inpainting(model, args.field)
    if args.known:
        figures["known_stars"] = evaluate_known_stars(model, args.known)
    figures["flagged"], n = [], {}
    for name, table in (("field", args.field), ("odd", args.odd)):
        if table:
            stars = read_stars(table)
            n[name] = len(stars)
            figures["flagged"].append({"stars": name, "share": measure_flagged(model, stars)})
    for name, rows in figures.items():
        print_rows(name.replace("_", " "), rows, digits=4)
    write_result("real_xp", figures, n, model.hash)


if __name__ == "__main__":
    main()
