"""The real tables that the evaluations share, their faults put right; and results that are kept.

`folder` is the one that holds photometry/, giants/ and clusters/.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from multistar.io.files import atomic_write
from multistar.mock.noise import noisy_parallax

VEGA = {"W1": 2.699, "W2": 3.339}  # AB - Vega (Jarrett et al. 2011)
SWAPPED = -1.0  # J - H of stars below it is no colour of a star
LAMOST = {"m_h": "mh", "m_h_error": "mh_err"}
OLDEST = 14.0  # Gyr
R_V = 3.1
MEMBERS = Path("clusters", "open_cluster_members_2mass.fits")
CATALOGUE = Path("clusters", "cantat_gaudin2020_clusters.csv")
# what the columns are called in Cantat-Gaudin et al. 2020 (A&A 640, A1) and Castro-Ginard et al. 2022 (A&A 661, A118)
CATALOGUE_COLUMNS = {
    "Name": "name", "Cluster": "name", "Age": "log_age", "logAge": "log_age", "A": "a_v", "AV": "a_v",
    "D_pc": "parsec", "Dist": "parsec",
}  # fmt: skip
LOCUS = 5, (0.3, 2.2)  # degree of G - RP as a polynomial in BP - RP, and where stars fix it
LOCUS_ERROR = 0.01  # mag
LARGEST_ERROR = 1.0  # mag; larger ones (9.998) are placeholders
GAIA_ERROR = 0.003  # mag, of G


def kept(path: Path, make: Callable[[], dict]) -> dict:
    """The result from `path`, or made and kept there."""
    if not path.exists():
        made = make()
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(made))
    return json.loads(path.read_text())


def lamost(folder: Path) -> pd.DataFrame:
    """In a third of the rows H and Ks hold W1 and W2 (their colours say so), put back; W1, W2 are AB and made Vega."""
    frame = pd.read_parquet(folder / "photometry" / "lamost_13band.parquet")
    wrong = frame["W1"].isna() & (frame["J"] - frame["H"] < SWAPPED)
    for wise, other in (("W1", "H"), ("W2", "Ks")):
        for suffix in ("", "_err"):
            frame.loc[wrong, wise + suffix] = frame.loc[wrong, other + suffix]
            frame.loc[wrong, other + suffix] = np.nan
        frame[wise] -= VEGA[wise]
    return frame.assign(source_id=np.arange(1, len(frame) + 1))  # the table has no ids


def giants(folder: Path) -> pd.DataFrame:
    """All Kepler giants as they are, and the columns of quantities.py that are measured, with ra, dec where known.

    2MASS errors of -999999999 and the like are unknown.
    """
    frame: Any = pd.read_parquet(folder / "giants" / "kepler_giants.parquet")
    two_mass = {
        b: frame[f"M21_{x}"].fillna(frame[f"L23_{b}_m"])
        for b, x in (("j", "J"), ("h", "H"), ("k", "K"))
    }
    errors = {
        b: frame[f"L23_{b}_msigcom"].where(frame[f"L23_{b}_msigcom"].between(0, 1)).fillna(0.03)
        for b in "jhk"
    }
    measured = {
        "source_id": frame["KIC"],
        "ra": frame["L23_ra"].fillna(frame["M21_RA"]), "dec": frame["L23_dec"].fillna(frame["M21_DE"]),
        "phot_g_mean_mag": frame["L23_phot_g_mean_mag"], "phot_bp_mean_mag": frame["L23_phot_bp_mean_mag"],
        "phot_rp_mean_mag": frame["L23_phot_rp_mean_mag"],
        "parallax": frame["L23_parallax"], "parallax_error": frame["L23_parallax_error"],
        "j_m": two_mass["j"], "j_msigcom": errors["j"], "h_m": two_mass["h"], "h_msigcom": errors["h"],
        "ks_m": two_mass["k"].fillna(frame["K"]), "ks_msigcom": errors["k"],
    }  # fmt: skip
    return frame.assign(**measured)


def kepler(folder: Path) -> pd.DataFrame:
    """The giants of known seismic mass and age, with the columns of quantities.py; ages above 14 Gyr are left out."""
    frame = giants(folder)
    known = frame["Mcorr"].notna() & (frame["Age"] <= OLDEST) & frame["TEFF"].notna()
    frame = frame[known].reset_index(drop=True)
    measured = [
        name
        for name in frame.columns
        if name.startswith(("source_id", "phot_", "parallax", "j_m", "h_m", "ks_m"))
    ]
    labels = {
        "teff": frame["TEFF"], "teff_error": frame["TEFF_ERR"], "logg": frame["LOGG"], "logg_error": frame["LOGG_ERR"],
        "m_h": frame["FE_H"], "m_h_error": frame["FE_H_ERR"],
        "alpha_m": frame["MG_H"] - frame["FE_H"], "alpha_m_error": frame["MG_H_ERR"],
        "c_n": frame["A3_[C/N]"], "c_n_error": frame["A3_S_[C/N]"],
        "mass": frame["Mcorr"], "mass_error": frame["Mcorr_err"], "age": frame["Age"],
    }  # fmt: skip
    selected: Any = frame[measured]
    return selected.assign(**labels)


def members(folder: Path) -> pd.DataFrame:
    """Members of open clusters with the columns of quantities.py that are measured, `cluster`, ra and dec.

    2MASS magnitudes without an error are limits, and left out. BP and RP follow from G and BP - RP by the locus of real
    stars, to LOCUS_ERROR; bluer and redder stars have none. The parallax errors are not in the table: they are those of
    the mock, a function of G.
    """
    table: Any = Table.read(folder / MEMBERS)
    frame = table["Cluster", "GaiaEDR3", "RAdeg", "DEdeg", "plx", "Gmag", "BP-RP", "Jmag", "Hmag", "Kmag", "e_Jmag",
                  "e_Hmag", "e_Kmag"].to_pandas()  # fmt: skip
    g, colour = (frame[name].to_numpy(float) for name in ("Gmag", "BP-RP"))
    rp = g - red_colour(folder, colour)
    out = {
        "source_id": frame["GaiaEDR3"], "cluster": frame["Cluster"].str.decode("ascii").str.strip(),
        "ra": frame["RAdeg"].astype(float), "dec": frame["DEdeg"].astype(float),
        "phot_g_mean_mag": g, "phot_g_mean_mag_error": GAIA_ERROR,
        "phot_bp_mean_mag": rp + colour, "phot_bp_mean_mag_error": LOCUS_ERROR,
        "phot_rp_mean_mag": rp, "phot_rp_mean_mag_error": LOCUS_ERROR,
        "parallax": frame["plx"].astype(float),
        "parallax_error": noisy_parallax(np.ones(len(g)), g, np.random.default_rng(0))[1],
    }  # fmt: skip
    for ours, theirs in (("j", "J"), ("h", "H"), ("ks", "K")):
        error = frame[f"e_{theirs}mag"].to_numpy(float)
        known = (error > 0) & (error < LARGEST_ERROR)
        out[f"{ours}_m"] = np.where(known, frame[f"{theirs}mag"], np.nan)
        out[f"{ours}_msigcom"] = np.where(known, error, np.nan)
    return pd.DataFrame(out)


def red_colour(folder: Path, colour: np.ndarray) -> np.ndarray:
    """(n,) G - RP of stars of a given BP - RP (n,), after the stars of LAMOST; NaN where these do not fix it."""
    degree, (low, high) = LOCUS
    stars = pd.read_parquet(
        folder / "photometry" / "lamost_13band.parquet", columns=["G", "BP", "RP"]
    )
    x, y = stars["BP"] - stars["RP"], stars["G"] - stars["RP"]
    used = x.between(low - 0.1, high + 0.3)
    for _ in range(3):  # G, BP, RP of blends do not fit together
        locus = np.polynomial.Polynomial.fit(x[used], y[used], degree)
        used &= np.abs(y - locus(x)) < 3 * LOCUS_ERROR
    return np.where((colour > low) & (colour < high), locus(colour), np.nan)


def catalogue(path: Path) -> pd.DataFrame:
    """By name of the cluster: age [Gyr], ebv [mag] (A_V / 3.1) and distance [kpc]; clusters without are left out."""
    frame = pd.read_csv(path, na_values="---").rename(columns=CATALOGUE_COLUMNS)
    out = {
        "age": 10 ** (frame["log_age"] - 9),
        "ebv": frame["a_v"] / R_V,
        "distance": frame["parsec"] / 1000,
    }
    return pd.DataFrame(out).set_index(frame["name"].map(plain)).dropna()


def plain(name: str) -> str:
    """A cluster's name as catalogues agree on it: NGC_188 and ngc 188 are one."""
    return name.lower().replace("_", "").replace(" ", "")


def in_catalogue(stars: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """The members whose cluster is known, with its age, ebv and distance. ValueError if it is none of them."""
    name: Any = stars["cluster"].map(plain)
    here = name.isin(set(known.index))
    if not here.any():
        raise ValueError(
            f"none of {name.nunique()} clusters ({stars['cluster'].iloc[0]}, ...) is among the {len(known)} of the "
            f"catalogue ({known.index[0]}, ...): give the one that belongs to these members"
        )
    return pd.concat(
        [stars[here], known.loc[name[here]].set_index(stars.index[here])], axis=1
    ).reset_index(drop=True)
