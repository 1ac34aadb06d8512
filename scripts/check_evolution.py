"""The mock's stellar evolution against figures of the isochrones it was fitted to and against the sky.

    python scripts/check_evolution.py [--isochrones PARSEC.npz]

Printed: the age at which a star of given mass reaches the base of the giant branch; the red clump's
luminosity, Teff and absolute magnitudes; with the isochrones (the input of fit_evolution.py) the errors
of Teff at given (logg, mass, [M/H]) along the giant branch and of the clump's luminosity.
"""

import argparse

import numpy as np
from scipy.optimize import brentq

from multistar.mock.evolution import PHASES, load_evolution
from multistar.mock.observe import surface_to_earth
from multistar.mock.phases import SOLAR_TEFF, Evolved, state
from multistar.mock.sed import BANDS, load_sed_table

# Age [Gyr] at the base of the giant branch by (mass, [M/H]): rounded figures of an earlier fit to PARSEC v1
# (Bressan et al. 2012) that is good to 2 %, 7 % at worst.
BASE_AGES = {(1.0, 0.0): 10.2, (1.2, 0.0): 5.5, (1.5, 0.0): 2.7, (1.0, -0.5): 7.5}
AGE_SLOPE = 3.3  # -d ln t / d ln M at the base of the giant branch
CLUMP_SKY = {
    "ks": -1.61,
    "h": -1.46,
    "g": 0.5,
}  # mag: Hawkins et al. 2017 (2MASS, Gaia), from memory


def track(age: float, m_h: float, phase: str) -> np.ndarray:
    evolution = load_evolution()
    return evolution.isochrone(np.array([age]), np.array([m_h]))[0][
        evolution.phase == PHASES.index(phase)
    ]


def points(age: float, m_h: float, phase: str) -> Evolved:
    return state(track(age, m_h, phase))


def clump_mean(age: float, m_h: float) -> Evolved:
    """The clump's mean star, weighted by time; logarithms are averaged."""
    rows = track(age, m_h, "clump")
    return state(np.average(rows, axis=0, weights=np.exp(rows[:, -1]))[None])


def age_at_base(mass: float, m_h: float) -> float:
    """Gyr; on the isochrone of that age the first red giant has this initial mass."""
    return float(brentq(lambda age: points(age, m_h, "rgb").initial_mass[0] - mass, 0.4, 14.0))  # type: ignore[arg-type]


def show_lifetimes() -> None:
    print("age at the base of the giant branch [Gyr]: fitted, earlier fit")
    for (mass, m_h), known in BASE_AGES.items():
        fitted = age_at_base(mass, m_h)
        print(
            f"  {mass:.1f} Msun, [M/H] {m_h:+.1f}: {fitted:5.2f}  {known:5.2f}  ({100 * (fitted / known - 1):+.1f} %)"
        )
    slope = np.log(age_at_base(1.5, 0.0) / age_at_base(1.0, 0.0)) / np.log(1.5)
    print(f"  d ln t / d ln M = {slope:.2f} (-3.3 between 1.0 and 1.5 Msun)")


def clump_magnitudes(clump: Evolved) -> dict[str, float]:
    n = len(clump.teff)
    flux = surface_to_earth(clump, np.zeros(n), np.zeros(n), np.full(n, -0.35), np.full(n, 0.01))
    table = load_sed_table()
    magnitudes = table.zero_point - 2.5 * np.log10(flux @ table.passband.T)
    return dict(zip(BANDS, magnitudes.mean(0), strict=True))


def show_clump() -> None:
    for age in (2.0, 5.0, 9.0):
        clump = clump_mean(age, 0.0)
        print(f"clump at {age:.0f} Gyr, solar: log L {np.log10(clump.luminosity[0]):.3f}, Teff {clump.teff[0]:.0f} K, "
              f"logg {clump.logg[0]:.2f}, mass {clump.mass[0]:.2f} Msun")  # fmt: skip
    magnitudes = clump_magnitudes(clump_mean(5.0, 0.0))
    print(
        "clump at 5 Gyr, absolute magnitudes: "
        + ", ".join(f"{b} {magnitudes[b]:+.2f} (sky {CLUMP_SKY[b]:+.2f})" for b in CLUMP_SKY)
    )


def show_residuals(path: str) -> None:
    source = np.load(path, allow_pickle=False)
    names = [name for name in source.files if name != "MH"]
    teff, clump, dwarfs, ages = [], [], [], []
    for m_h, name in zip(source["MH"], names, strict=True):
        rows = source[name].astype(float)
        for age in np.round(np.arange(9.0, 10.101, 0.05), 2):
            isochrone = rows[np.abs(rows[:, 0] - age) < 0.004]
            gyr = 10 ** (age - 9)
            teff += _giant_residuals(isochrone, points(gyr, m_h, "rgb"))
            if len(giants := isochrone[isochrone[:, 7] == 2]) and 0.9 < giants[0, 1] < 2.0:
                ages.append(
                    AGE_SLOPE * np.log(points(gyr, m_h, "rgb").initial_mass[0] / giants[0, 1])
                )
            burning = isochrone[isochrone[:, 7] == 3]
            if len(burning) > 3:
                time = np.gradient(burning[:, 1])
                clump.append(
                    np.log10(clump_mean(gyr, m_h).luminosity[0])
                    - np.average(burning[:, 3], weights=time)
                )
            dwarfs += _dwarf_residuals(isochrone, points(gyr, m_h, "main_sequence"))
    for label, x, unit in (("RGB Teff at given logg", teff, "K"), ("dwarfs' Teff at given mass", dwarfs, "K"),
                           ("clump log L", clump, "dex"), ("ln age at the base", ages, "")):  # fmt: skip
        rms, wide = np.sqrt(np.mean(np.square(x))), np.percentile(np.abs(x), 95)
        print(f"{label}, ages 1-12.6 Gyr: rms {rms:.3g} {unit}, 95 % {wide:.3g}, n {len(x)}")


def _giant_residuals(isochrone, fitted: Evolved) -> list[float]:
    """At the logg of the table's red giants: mass hardly varies along the branch of one isochrone."""
    giants = isochrone[(isochrone[:, 7] == 2) & (isochrone[:, 5] > 0.3) & (isochrone[:, 5] < 3.3)]
    order = np.argsort(fitted.logg)
    return list(
        np.interp(giants[:, 5], fitted.logg[order], fitted.teff[order]) - 10 ** giants[:, 4]
    )


def _dwarf_residuals(isochrone, fitted: Evolved) -> list[float]:
    dwarfs = isochrone[
        (isochrone[:, 7] == 0)
        & (isochrone[:, 1] > 0.5)
        & (isochrone[:, 1] < fitted.initial_mass[-1])
    ]
    inside = (10 ** dwarfs[:, 4] > 3800) & (10 ** dwarfs[:, 4] < 8000)
    return list(
        np.interp(dwarfs[inside, 1], fitted.initial_mass, fitted.teff) - 10 ** dwarfs[inside, 4]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--isochrones", help="the .npz that fit_evolution.py reads")
    args = parser.parse_args()
    show_lifetimes()
    show_clump()
    sun = points(
        4.57, 0.07, "main_sequence"
    )  # the Sun's composition at birth: metals have settled since
    print(f"1 Msun, [M/H] +0.07 at 4.57 Gyr: {np.interp(1, sun.initial_mass, sun.teff):.0f} K ({SOLAR_TEFF:.0f}), "
          f"{np.interp(1, sun.initial_mass, sun.luminosity):.2f} Lsun")  # fmt: skip
    if args.isochrones:
        show_residuals(args.isochrones)


if __name__ == "__main__":
    main()
