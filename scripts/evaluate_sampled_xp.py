"""Labels from sampled XP spectra beside those from coefficients -> docs/results/sampled_xp.json.

    python scripts/evaluate_sampled_xp.py FIELD.fits [--stars 300] [--model mini]

The stars are those of the table that have all orders, mock stars as faint as these, and bright mock
giants.
"""

import argparse

import numpy as np
import pyarrow as pa

from multistar.checks.real.sampled_xp import compare_sampled
from multistar.checks.results import print_rows, write_result
from multistar.mock.survey import SurveyConfig, survey
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars

MOCK = {"mock stars of high latitude": "high-latitude", "mock giants": "apogee-like"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("field", help="table with XP coefficients of real stars")
    parser.add_argument("--stars", type=int, default=300)
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    model = load_model(args.model)
    field = read_stars(args.field, all_orders=True)
    whole = np.all([np.isfinite(x.value).all(1) for x in field.xp.values()], axis=0)
    samples = {"field": field.select(whole).select(slice(0, args.stars))}
    for name, selection in MOCK.items():
        table = survey(args.stars, SurveyConfig(seed=5, selection=selection))
        samples[name] = read_stars(pa.concat_tables(table), all_orders=True)
    figures = {name: compare_sampled(model, stars) for name, stars in samples.items()}
    for name, rows in figures.items():
        print_rows(f"sampled over coefficients, {name}", rows)
    n = {name: len(stars) for name, stars in samples.items()}
    write_result("sampled_xp", figures, n, model.hash)


if __name__ == "__main__":
    main()
