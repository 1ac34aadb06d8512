"""The real tables that the evaluations share, with their faults put right.

`folder` is the one that holds photometry/, giants/, clusters/ and xp/.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from multistar.mock.noise import noisy_parallax
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.quantities import AB_OFFSET
from multistar.stars import Scalar, Stars, read_stars

LAMOST_FILE = Path("photometry", "lamost_13band.parquet")
GIANTS_FILE = Path("giants", "kepler_giants.parquet")
MEMBERS_FILE = Path("clusters", "open_cluster_members_2mass.fits")
CATALOGUE_FILE = Path("clusters", "cantat_gaudin2020_clusters.csv")
FIELD_FILE = Path("xp", "gaia_dr3_xp_continuous_field.fits")

SWAPPED = -1.0  # J - H of stars below it is no colour of a star
LAMOST_COLUMNS = {"m_h": "mh", "m_h_error": "mh_err"}
OLDEST = 14.0  # Gyr
R_V = 3.1
# How the columns are called by Cantat-Gaudin et al. 2020 (A&A 640, A1) and Castro-Ginard et al.
# 2022 (A&A 661, A118).
CATALOGUE_COLUMNS = {
    "Name": "name",
    "Cluster": "name",
    "Age": "log_age",
    "logAge": "log_age",
    "A": "a_v",
    "AV": "a_v",
    "D_pc": "parsec",
    "Dist": "parsec",
}
# Degree of G - RP as a polynomial in BP - RP, and where stars fix it [mag].
LOCUS_DEGREE, LOCUS_COLOURS = 5, (0.3, 2.2)
LOCUS_ERROR = 0.01  # mag
LARGEST_ERROR = 1.0  # mag; larger ones (9.998) are placeholders
GAIA_ERROR = 0.003  # mag, of G
UNKNOWN_ERROR = 0.03  # mag, of 2MASS magnitudes of giants
SYNTHETIC_ERROR = 0.005  # mag, of magnitudes that follow from XP


def read_lamost(folder: Path) -> pd.DataFrame:
    """Read stars of LAMOST with 13 magnitudes, a parallax and spectroscopic labels.

    In a third of the rows H and Ks hold W1 and W2 (their colours say so), which are put back; W1
    and W2 are AB and made Vega. The table has no ids and gets the numbers of its rows, from 1.
    """
    frame = pd.read_parquet(folder / LAMOST_FILE)
    wrong = frame["W1"].isna() & (frame["J"] - frame["H"] < SWAPPED)
    for wise, other in (("W1", "H"), ("W2", "Ks")):
        for suffix in ("", "_err"):
            frame.loc[wrong, wise + suffix] = frame.loc[wrong, other + suffix]
            frame.loc[wrong, other + suffix] = np.nan
        frame[wise] -= AB_OFFSET[wise.lower()]
    return frame.assign(source_id=np.arange(1, len(frame) + 1))


def read_giants(folder: Path) -> pd.DataFrame:
    """Read all Kepler giants: their columns as they are, and those that quantities.py knows.

    Positions are there where known. 2MASS errors of -999999999 and the like are unknown.
    """
    frame: Any = pd.read_parquet(folder / GIANTS_FILE)
    measured = {
        "source_id": frame["KIC"],
        "ra": frame["L23_ra"].fillna(frame["M21_RA"]),
        "dec": frame["L23_dec"].fillna(frame["M21_DE"]),
        "phot_g_mean_mag": frame["L23_phot_g_mean_mag"],
        "phot_bp_mean_mag": frame["L23_phot_bp_mean_mag"],
        "phot_rp_mean_mag": frame["L23_phot_rp_mean_mag"],
        "parallax": frame["L23_parallax"],
        "parallax_error": frame["L23_parallax_error"],
    }
    for ours, theirs in (("j", "j"), ("h", "h"), ("ks", "k")):
        magnitude = frame[f"M21_{theirs.upper()}"].fillna(frame[f"L23_{theirs}_m"])
        if theirs == "k":
            magnitude = magnitude.fillna(frame["K"])
        error = frame[f"L23_{theirs}_msigcom"]
        measured[f"{ours}_m"] = magnitude
        measured[f"{ours}_msigcom"] = error.where(error.between(0, 1)).fillna(UNKNOWN_ERROR)
    return frame.assign(**measured)


def read_seismic_giants(folder: Path) -> pd.DataFrame:
    """Read the giants of known seismic mass and age, with spectroscopic labels.

    Ages above 14 Gyr are left out, and so are age errors (absurd ones are among them).
    """
    frame = read_giants(folder)
    known = frame["Mcorr"].notna() & (frame["Age"] <= OLDEST) & frame["TEFF"].notna()
    frame = frame[known].reset_index(drop=True)
    measured = ("source_id", "phot_", "parallax", "j_m", "h_m", "ks_m")
    selected: Any = frame[[name for name in frame.columns if name.startswith(measured)]]
    return selected.assign(
        teff=frame["TEFF"],
        teff_error=frame["TEFF_ERR"],
        logg=frame["LOGG"],
        logg_error=frame["LOGG_ERR"],
        m_h=frame["FE_H"],
        m_h_error=frame["FE_H_ERR"],
        alpha_m=frame["MG_H"] - frame["FE_H"],
        alpha_m_error=frame["MG_H_ERR"],
        c_n=frame["A3_[C/N]"],
        c_n_error=frame["A3_S_[C/N]"],
        mass=frame["Mcorr"],
        mass_error=frame["Mcorr_err"],
        age=frame["Age"],
    )


def read_field(folder: Path) -> Stars:
    """Read field stars with XP spectra; BP and RP are synthesised from these."""
    stars = read_stars(folder / FIELD_FILE)
    magnitudes = synthetic_magnitudes(dict(stars.xp))
    error = np.full(len(stars), SYNTHETIC_ERROR)
    scalars = dict(stars.scalars)
    for band in ("bp", "rp"):
        scalars[band] = Scalar(magnitudes[band], error)
    return stars.with_blocks(scalars=scalars)


def read_cluster_members(folder: Path) -> pd.DataFrame:
    """Read members of open clusters: columns of quantities.py, `cluster`, ra and dec.

    2MASS magnitudes without an error are limits, and left out. BP and RP follow from G and BP - RP
    by the locus of real stars, to LOCUS_ERROR; bluer and redder stars have none. The parallax
    errors are not in the table: they are those of the mock, a function of G.
    """
    table: Any = Table.read(folder / MEMBERS_FILE)
    names = ["Cluster", "GaiaEDR3", "RAdeg", "DEdeg", "plx", "Gmag", "BP-RP"]
    names += ["Jmag", "Hmag", "Kmag", "e_Jmag", "e_Hmag", "e_Kmag"]
    frame = table[names].to_pandas()
    g, colour = (frame[name].to_numpy(float) for name in ("Gmag", "BP-RP"))
    rp = g - estimate_red_colour(folder, colour)
    parallax_error = noisy_parallax(np.ones(len(g)), g, np.random.default_rng(0))[1]
    out = {
        "source_id": frame["GaiaEDR3"],
        "cluster": frame["Cluster"].str.decode("ascii").str.strip(),
        "ra": frame["RAdeg"].astype(float),
        "dec": frame["DEdeg"].astype(float),
        "phot_g_mean_mag": g,
        "phot_g_mean_mag_error": GAIA_ERROR,
        "phot_bp_mean_mag": rp + colour,
        "phot_bp_mean_mag_error": LOCUS_ERROR,
        "phot_rp_mean_mag": rp,
        "phot_rp_mean_mag_error": LOCUS_ERROR,
        "parallax": frame["plx"].astype(float),
        "parallax_error": parallax_error,
    }
    for ours, theirs in (("j", "J"), ("h", "H"), ("ks", "K")):
        error = frame[f"e_{theirs}mag"].to_numpy(float)
        known = (error > 0) & (error < LARGEST_ERROR)
        out[f"{ours}_m"] = np.where(known, frame[f"{theirs}mag"], np.nan)
        out[f"{ours}_msigcom"] = np.where(known, error, np.nan)
    return pd.DataFrame(out)


def estimate_red_colour(folder: Path, colour: np.ndarray) -> np.ndarray:
    """Estimate G - RP (n,) from BP - RP (n,) by stars of LAMOST; NaN where they do not fix it."""
    low, high = LOCUS_COLOURS
    stars = pd.read_parquet(folder / LAMOST_FILE, columns=["G", "BP", "RP"])
    x, y = stars["BP"] - stars["RP"], stars["G"] - stars["RP"]
    used = x.between(low - 0.1, high + 0.3)
    locus = np.polynomial.Polynomial.fit(x[used], y[used], LOCUS_DEGREE)
    for _ in range(2):  # G, BP and RP of blends do not fit together
        used &= np.abs(y - locus(x)) < 3 * LOCUS_ERROR
        locus = np.polynomial.Polynomial.fit(x[used], y[used], LOCUS_DEGREE)
    return np.where((colour > low) & (colour < high), locus(colour), np.nan)


def read_cluster_catalogue(path: Path) -> pd.DataFrame:
    """Read age [Gyr], ebv [mag] (A_V / 3.1) and distance [kpc] of clusters, by their plain name.

    Clusters without one of them are left out.
    """
    frame = pd.read_csv(path, na_values="---").rename(columns=CATALOGUE_COLUMNS)
    out = {
        "age": 10 ** (frame["log_age"] - 9),
        "ebv": frame["a_v"] / R_V,
        "distance": frame["parsec"] / 1000,
    }
    return pd.DataFrame(out).set_index(frame["name"].map(simplify_name)).dropna()


def simplify_name(name: str) -> str:
    """Write a cluster's name as catalogues agree on it: NGC_188 and ngc 188 are one."""
    return name.lower().replace("_", "").replace(" ", "")


def attach_catalogue(stars: pd.DataFrame, catalogue: pd.DataFrame) -> pd.DataFrame:
    """Select the members whose cluster is known, and give them its age, ebv and distance.

    Raises
    ------
    ValueError
        If no cluster is in the catalogue.
    """
    name: Any = stars["cluster"].map(simplify_name)
    here = name.isin(set(catalogue.index))
    if not here.any():
        raise ValueError(
            f"none of {name.nunique()} clusters ({stars['cluster'].iloc[0]}, ...) is among the "
            f"{len(catalogue)} of the catalogue ({catalogue.index[0]}, ...): give the one that "
            "belongs to these members"
        )
    values = catalogue.loc[name[here]].set_index(stars.index[here])
    return pd.concat([stars[here], values], axis=1).reset_index(drop=True)
