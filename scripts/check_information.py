"""What XGBoost learns from the mock's kepler-like giants: scatter of five labels beside published figures.

    python scripts/check_information.py [--stars 20000]

Inputs: G-normalised XP coefficients and their errors, colours; no parallax. Labels carry a survey's errors, 80 % of
the stars train, the rest are judged on the labels as surveyed and on the truth. Nothing is tuned to the outcome.
Published, for orientation: the generalist token model of XP giants (arXiv 2603.03732).
"""

import argparse

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import track
from rich.table import Table
from xgboost import XGBRegressor

from multistar.io.tables import read_columns
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.modality import G_ZERO_POINT
from multistar.modalities.gaia_xp.read import read_xp

LABELS = {"teff": "47 K", "logg": "0.11", "m_h": "0.07", "mass": "0.114", "age": "1.334"}
MAGNITUDES = ("phot_bp_mean_mag", "phot_rp_mean_mag", "j_m", "h_m", "ks_m", "w1mpro", "w2mpro")


def features(table: pa.Table) -> np.ndarray:
    xp = read_xp(read_columns(table))
    g = table["phot_g_mean_mag"].to_numpy()
    norm = 10 ** (0.4 * (G_ZERO_POINT - g))[:, None]
    coefficients = [part.value / norm for part in xp.values()] + [
        part.sigma / norm for part in xp.values()
    ]
    colours = [table[name].to_numpy() - g for name in MAGNITUDES]
    return np.hstack([*coefficients, np.stack(colours, -1)]).astype(np.float32)


def mad_std(x: np.ndarray) -> float:
    return 1.4826 * float(np.median(np.abs(x - np.median(x))))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    table = pa.concat_tables(survey(args.stars, SurveyConfig(args.seed, selection="kepler-like")))
    x = features(table)
    train = np.random.default_rng(args.seed).random(len(x)) < 0.8
    g, ebv = (np.median(table[name].to_numpy()) for name in ("phot_g_mean_mag", "true_ebv"))
    print(
        f"{len(x)} kepler-like giants, {train.sum()} to train; median G {g:.1f}, E(B-V) {ebv:.2f}"
    )
    out = Table(
        "label", "MAD-std to surveyed", "MAE", "MAD-std to truth", "published (orientation)"
    )
    for name, published in track(LABELS.items(), "XGBoost"):
        surveyed, truth = table[name].to_numpy(), table[f"true_{name}"].to_numpy()
        model = XGBRegressor(
            n_estimators=350,
            max_depth=6,
            learning_rate=0.06,
            subsample=0.8,
            tree_method="hist",
            n_jobs=2,
        )
        model.fit(x[train], surveyed[train])
        guess = model.predict(x[~train])
        error = guess - surveyed[~train]
        out.add_row(
            name,
            f"{mad_std(error):.3g}",
            f"{np.mean(abs(error)):.3g}",
            f"{mad_std(guess - truth[~train]):.3g}",
            published,
        )
    Console(width=110).print(out)


if __name__ == "__main__":
    main()
