"""The one table of quantities: every scalar that is measured or predicted is one row here.

A new column (a passband, a label) is one new row: the readers find it by its column names, the model
gets a token for it, predictions and errors carry its unit.
"""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["magnitude", "astrometry", "label", "other"]
Transform = Literal["linear", "log", "asinh"]


@dataclass(frozen=True)
class Quantity:
    """columns and error_columns are the names that files use, ours first; the first one found is read.

    valid     values outside are treated as not observed and the star is flagged
    transform "log" and "asinh" give the model a scale on which errors are even; `softening` is the
              value (in `unit`) at which asinh turns from linear to logarithmic
    survey    magnitudes of one survey are one token, where a model groups them
    snr_columns  columns that hold flux / flux error instead of a magnitude error (Gaia archive)
    """

    name: str
    unit: str  # astropy unit string, "" if dimensionless
    kind: Kind
    columns: tuple[str, ...]
    error_columns: tuple[str, ...]
    valid: tuple[float, float]
    transform: Transform = "linear"
    softening: float = 1.0
    snr_columns: tuple[str, ...] = ()
    description: str = ""
    survey: str = ""


# mag: brighter stars saturate the detectors of Pan-STARRS (Magnier et al. 2013, rounded down).
PS1_SATURATION = {"g": 14.0, "r": 14.0, "i": 14.0, "z": 13.0, "y": 12.0}


def _gaia(name: str, band: str, description: str) -> Quantity:
    return Quantity(
        name,
        "mag",
        "magnitude",
        (f"phot_{band}_mean_mag", name.upper(), f"{name.upper()}mag"),
        (
            f"phot_{band}_mean_mag_error",
            f"{name.upper()}_err",
            f"{name.upper()}_error",
            f"e_{name.upper()}mag",
        ),
        (-2.0, 23.0),
        snr_columns=(f"phot_{band}_mean_flux_over_error",),
        description=description,
        survey="gaia",
    )


def _magnitude(
    name: str,
    columns: str,
    error_columns: str,
    description: str,
    survey: str,
    brightest: float = -5.0,
) -> Quantity:
    return Quantity(
        name,
        "mag",
        "magnitude",
        tuple(columns.split()),
        tuple(error_columns.split()),
        (brightest, 25.0),
        description=description,
        survey=survey,
    )


def _label(
    name, unit, valid, description, transform: Transform = "linear", softening=1.0
) -> Quantity:
    upper = name.upper()
    errors = (f"{name}_error", f"{name}_err", f"e_{name}", f"{upper}_ERROR", f"{upper}_ERR")
    return Quantity(
        name,
        unit,
        "label",
        (name, upper),
        errors,
        valid,
        transform,
        softening,
        description=description,
    )


_ROWS = (
    _gaia("g", "g", "Gaia G (Vega)"),
    _gaia("bp", "bp", "Gaia BP (Vega)"),
    _gaia("rp", "rp", "Gaia RP (Vega)"),
    _magnitude("j", "j_m J Jmag", "j_msigcom J_err e_Jmag", "2MASS J (Vega)", "2mass"),
    _magnitude("h", "h_m H Hmag", "h_msigcom H_err e_Hmag", "2MASS H (Vega)", "2mass"),
    _magnitude(
        "ks",
        "ks_m k_m Ks K Ksmag Kmag",
        "ks_msigcom k_msigcom Ks_err K_err e_Ksmag e_Kmag",
        "2MASS Ks (Vega)",
        "2mass",
    ),
    _magnitude(
        "w1", "w1mpro W1 W1mag", "w1mpro_error w1sigmpro W1_err e_W1mag", "WISE W1 (Vega)", "wise"
    ),
    _magnitude(
        "w2", "w2mpro W2 W2mag", "w2mpro_error w2sigmpro W2_err e_W2mag", "WISE W2 (Vega)", "wise"
    ),
    _magnitude(
        "ps1_g",
        "g_mean_psf_mag gP1 gmag",
        "g_mean_psf_mag_error gP1_err e_gmag",
        "Pan-STARRS1 g (AB)",
        "ps1",
        brightest=PS1_SATURATION["g"],
    ),
    _magnitude(
        "ps1_r",
        "r_mean_psf_mag rP1 rmag",
        "r_mean_psf_mag_error rP1_err e_rmag",
        "Pan-STARRS1 r (AB)",
        "ps1",
        brightest=PS1_SATURATION["r"],
    ),
    _magnitude(
        "ps1_i",
        "i_mean_psf_mag iP1 imag",
        "i_mean_psf_mag_error iP1_err e_imag",
        "Pan-STARRS1 i (AB)",
        "ps1",
        brightest=PS1_SATURATION["i"],
    ),
    _magnitude(
        "ps1_z",
        "z_mean_psf_mag zP1 zmag",
        "z_mean_psf_mag_error zP1_err e_zmag",
        "Pan-STARRS1 z (AB)",
        "ps1",
        brightest=PS1_SATURATION["z"],
    ),
    _magnitude(
        "ps1_y",
        "y_mean_psf_mag yP1 ymag",
        "y_mean_psf_mag_error yP1_err e_ymag",
        "Pan-STARRS1 y (AB)",
        "ps1",
        brightest=PS1_SATURATION["y"],
    ),
    Quantity(
        "parallax",
        "mas",
        "astrometry",
        ("parallax", "Plx"),
        ("parallax_error", "parallax_err", "e_Plx"),
        (-50.0, 800.0),
        "asinh",
        0.1,
        description="parallax as catalogued, zero point not removed",
    ),
    _label("teff", "K", (2000.0, 60000.0), "effective temperature"),
    _label("logg", "dex", (-1.5, 9.5), "log10 of surface gravity in cm s-2"),
    _label("m_h", "dex", (-6.0, 1.5), "metallicity [M/H]"),
    _label("alpha_m", "dex", (-1.5, 1.5), "alpha enhancement [alpha/M]"),
    _label("mass", "Msun", (0.05, 150.0), "present stellar mass", "log"),
    _label("age", "Gyr", (0.0005, 30.0), "age", "log"),
    _label("ebv", "mag", (-0.5, 20.0), "reddening E(B-V)", "asinh", 0.02),
    _label("distance", "kpc", (0.0005, 500.0), "distance from the Sun", "log"),
)


def declared(name: str, kind: Kind, unit: str = "", transform: Transform = "linear") -> Quantity:
    """A quantity that a user's table has beyond these; its column has its name, in whatever unit.

    Raises ValueError for a name that no column of a result can have.
    """
    if not name.replace("_", "").isalnum():
        raise ValueError(
            f"{name!r} must be letters, digits and underscores; give the column's own name with --columns"
        )
    errors = (f"{name}_error", f"{name}_err", f"e_{name}")
    valid = (1e-300 if transform == "log" else -1e300, 1e300)
    return Quantity(
        name, unit, kind, (name,), errors, valid, transform, description="declared by the user"
    )


def quantity_from(row: dict) -> Quantity:
    """The way back from dataclasses.asdict and JSON."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Quantity(**values)


# AB - the system of the row [mag]: Gaia DR3 zero points (Riello et al. 2021, documentation 5.4.1);
# 2MASS by Blanton & Roweis (2007, AJ 133, 734); WISE by Jarrett et al. (2011, ApJ 735, 112);
# Pan-STARRS1 is in AB already.
AB_OFFSET = {
    "g": 0.1136,
    "bp": 0.0155,
    "rp": 0.3561,
    "j": 0.91,
    "h": 1.39,
    "ks": 1.85,
    "w1": 2.699,
    "w2": 3.339,
    **dict.fromkeys(("ps1_g", "ps1_r", "ps1_i", "ps1_z", "ps1_y"), 0.0),
}
QUANTITIES: dict[str, Quantity] = {row.name: row for row in _ROWS}
MEASUREMENTS = tuple(q.name for q in _ROWS if q.kind != "label")
LABELS = tuple(q.name for q in _ROWS if q.kind == "label")
