"""Light curves of contact and semi-detached binaries by PHOEBE -> the table that the mock reads.

The surfaces are equipotentials of Roche's model with linear limb darkening, gravity darkening and
mutual irradiation: PHOEBE 2 (Prsa et al. 2016, ApJS 227, 29; Conroy et al. 2020, ApJS 250, 34),
with black bodies seen in Johnson V, as models of atmospheres need a download. PHOEBE (GPL) makes
the table and is no part of the package.
"""

import itertools
import os
from typing import Any

import numpy as np
from rich.progress import track

PHASES = np.linspace(0, 0.5, 41)  # of the orbit, 0 where star 2 is in front
LIMB_DARKENING = 0.6  # linear, in V
# Close to the lobe, not in it: at its tip, gravity is zero and so would be the temperature.
LOBE = 0.99
CONTACT_TEFF, SEMIDETACHED_TEFF = 6000.0, 9000.0  # K, of star 1

# Star 1 is the more massive one.
CONTACT = {
    "mass_ratio": [0.1, 0.2, 0.4, 0.7, 1.0],
    "fill": [0.15, 0.4, 0.9],  # fill-out factor, from the inner (0) to the outer lobe (1)
    "teff_ratio": [0.92, 1.06],
    "inclination": [20.0, 40.0, 55.0, 67.0, 76.0, 83.0, 90.0],
}
SEMIDETACHED = {
    "mass_ratio": [0.1, 0.25, 0.5, 0.9],
    "fill": [0.3, 0.55, 0.8, 0.98],  # of star 1: its radius over that of its lobe
    "teff_ratio": [0.4, 0.6, 0.8, 1.0],
    "inclination": [20.0, 45.0, 60.0, 70.0, 77.0, 83.0, 90.0],
}


def tabulate_close_binaries() -> dict[str, np.ndarray]:
    """Compute both tables of fluxes, each with its axes, half an hour.

    Returns
    -------
    dict
        `phase` (41,), and for contact and semidetached the fluxes of median 1, as (mass ratio,
        fill, teff ratio, inclination, phase), and the values of each axis, `contact_fill` (3,);
        `contact_radii` (mass ratio, fill, 2), the radii of both stars in units of the orbit's axis.
    """
    phoebe = _import_phoebe()
    contact = ContactBinary(phoebe)
    arrays = {"phase": PHASES, "contact_radii": np.array(_measure_radii(contact))}
    for name, axes, compute in (
        ("contact", CONTACT, contact),
        ("semidetached", SEMIDETACHED, SemidetachedBinary(phoebe)),
    ):
        points = list(itertools.product(*axes.values()))
        curves = [compute(*point) for point in track(points, name)]
        shape = [len(values) for values in axes.values()]
        arrays[name] = np.array(curves, np.float32).reshape(*shape, len(PHASES))
        for axis, values in axes.items():
            arrays[f"{name}_{axis}"] = np.array(values)
    return arrays


class ContactBinary:
    """Two stars in one envelope."""

    def __init__(self, phoebe: Any):
        self.bundle = phoebe.default_contact_binary()
        self.bundle.flip_constraint("pot", component="contact_envelope", solve_for="requiv@primary")
        self.bundle.flip_constraint("fillout_factor", component="contact_envelope", solve_for="pot")
        _observe(self.bundle)

    def radii(self, mass_ratio: float, fill: float) -> list[float]:
        """Return the radii of spheres as large as the stars, in units of the orbit's axis."""
        self._set_shape(mass_ratio, fill)
        axis = self.bundle.get_value("sma@binary@component")
        stars = ("primary", "secondary")
        return [self.bundle.get_value(f"requiv@{star}@component") / axis for star in stars]

    def __call__(
        self, mass_ratio: float, fill: float, teff_ratio: float, inclination: float
    ) -> np.ndarray:
        """Compute the flux at PHASES, of median 1."""
        self._set_shape(mass_ratio, fill)
        values = {
            "teff@primary@component": CONTACT_TEFF,
            "teff@secondary@component": CONTACT_TEFF * teff_ratio,
            "incl@binary@component": inclination,
        }
        return _compute(self.bundle, values)

    def _set_shape(self, mass_ratio: float, fill: float) -> None:
        self.bundle.set_value("q@binary@component", mass_ratio)
        self.bundle.set_value("fillout_factor@contact_envelope@component", fill)


class SemidetachedBinary:
    """Star 2, the less massive one, fills its lobe."""

    def __init__(self, phoebe: Any):
        self.bundle = phoebe.default_binary()
        _observe(self.bundle)

    def __call__(
        self, mass_ratio: float, fill: float, teff_ratio: float, inclination: float
    ) -> np.ndarray:
        """Compute the flux at PHASES, of median 1."""
        bundle = self.bundle
        bundle.set_value("q@binary@component", mass_ratio)
        radii = {}
        for star, share in (("primary", fill), ("secondary", LOBE)):
            largest = bundle.get_value(f"requiv_max@{star}@component")
            radii[f"requiv@{star}@component"] = share * largest
        values = radii | {
            "teff@primary@component": SEMIDETACHED_TEFF,
            "teff@secondary@component": SEMIDETACHED_TEFF * teff_ratio,
            "gravb_bol@primary@component": 1.0,  # radiative, von Zeipel (1924)
            "irrad_frac_refl_bol@primary@component": 1.0,
            "incl@binary@component": inclination,
        }
        return _compute(bundle, values)


def _measure_radii(contact: ContactBinary) -> list[list[list[float]]]:
    return [[contact.radii(q, fill) for fill in CONTACT["fill"]] for q in CONTACT["mass_ratio"]]


def _observe(bundle: Any) -> None:
    bundle.add_dataset("lc", compute_phases=PHASES, passband="Johnson:V")
    bundle.set_value_all("atm", "blackbody")
    for setting, value in (
        ("ld_mode", "manual"),
        ("ld_func", "linear"),
        ("ld_coeffs", [LIMB_DARKENING]),
    ):
        bundle.set_value_all(setting, value)


def _compute(bundle: Any, values: dict[str, float]) -> np.ndarray:
    for twig, value in values.items():
        bundle.set_value(twig, value)
    bundle.run_compute(irrad_method="wilson", overwrite=True)
    flux = np.array(bundle.get_value("fluxes@model"))
    if not np.isfinite(flux).all():
        raise RuntimeError(f"PHOEBE gave no flux for {values}")
    return flux / np.median(flux)


def _import_phoebe() -> Any:
    # Both are read when it is imported: it would ask the network for passbands.
    os.environ["PHOEBE_ENABLE_ONLINE_PASSBANDS"] = "FALSE"
    os.environ["PHOEBE_ENABLE_PLOTTING"] = "FALSE"
    import phoebe  # pyright: ignore[reportMissingImports]

    phoebe.progressbars_off()
    phoebe.logger(clevel="CRITICAL")
    return phoebe
