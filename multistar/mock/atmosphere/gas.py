"""Equation of state: (temperature, pressure, abundances) -> number densities.

Saha ionisation of 14 elements and the chemical equilibrium of ten diatomic molecules, with constant
electronic partition functions. Densities in cm-3, temperature in K, pressure in dyn cm-2.
"""

from dataclasses import dataclass

import numpy as np
from scipy import constants

BOLTZMANN = constants.k * 1e7  # erg K-1
PLANCK = constants.h * 1e7  # erg s
LIGHT = constants.c * 1e2  # cm s-1
ELECTRON_MASS = constants.m_e * 1e3  # g
STEFAN_BOLTZMANN = constants.Stefan_Boltzmann * 1e3  # erg s-1 cm-2 K-4
ATOMIC_MASS = constants.atomic_mass * 1e3  # g
EV = constants.eV * 1e7  # erg
SECOND_RADIATION = PLANCK * LIGHT / BOLTZMANN  # hc/k, cm K


@dataclass(frozen=True)
class Element:
    log_abundance: float  # Asplund et al. 2009, log N(H) = 12
    ionisation: float  # eV
    neutral: float  # partition function of the atom
    ionised: float  # and of the ion
    mass: float  # atomic mass units


ELEMENTS = {
    "H": Element(12.0, 13.598, 2, 1, 1.008),
    "He": Element(10.93, 24.587, 1, 2, 4.003),
    "C": Element(8.43, 11.260, 9.3, 5.9, 12.01),
    "N": Element(7.83, 14.534, 4.0, 9, 14.0),
    "O": Element(8.69, 13.618, 8.9, 4, 16.0),
    "Na": Element(6.24, 5.139, 2.0, 1, 22.99),
    "Mg": Element(7.60, 7.646, 1.0, 2, 24.3),
    "Al": Element(6.45, 5.986, 5.8, 1, 26.98),
    "Si": Element(7.51, 8.152, 9.5, 5.7, 28.09),
    "K": Element(5.03, 4.341, 2.1, 1, 39.1),
    "Ca": Element(6.34, 6.113, 1.2, 2.3, 40.1),
    "Ti": Element(4.95, 6.828, 30.0, 55.0, 47.9),
    "Cr": Element(5.64, 6.766, 10.0, 7.0, 52.0),
    "Fe": Element(7.50, 7.902, 27.0, 43.0, 55.85),
}
ALPHA_ELEMENTS = ("O", "Mg", "Si", "Ca", "Ti")
METALS = tuple(name for name in ELEMENTS if name != "H")


@dataclass(frozen=True)
class Molecule:
    first: str
    second: str
    dissociation: float  # eV
    rotation: float  # B_e, cm-1
    vibration: float  # omega_e, cm-1
    electronic: int  # statistical weight of the ground state
    symmetry: int  # 2 if the nuclei are alike


MOLECULES = {  # Huber & Herzberg 1979
    "H2": Molecule("H", "H", 4.478, 60.85, 4401, 1, 2),
    "CO": Molecule("C", "O", 11.09, 1.931, 2170, 1, 1),
    "N2": Molecule("N", "N", 9.76, 1.998, 2359, 1, 2),
    "SiO": Molecule("Si", "O", 8.26, 0.727, 1242, 1, 1),
    "CN": Molecule("C", "N", 7.72, 1.9, 2069, 2, 1),
    "CH": Molecule("C", "H", 3.465, 14.46, 2859, 4, 1),
    "OH": Molecule("O", "H", 4.39, 18.91, 3738, 4, 1),
    "TiO": Molecule("Ti", "O", 6.87, 0.535, 1009, 6, 1),
    "MgH": Molecule("Mg", "H", 1.27, 5.826, 1495, 2, 1),
    "CaH": Molecule("Ca", "H", 1.70, 4.277, 1298, 2, 1),
}


def abundances(m_h: float, alpha_m: float = 0.0, c_n: float = 0.0) -> dict[str, float]:
    """Number of nuclei per hydrogen nucleus. [C/N] lowers C and raises N as the dredge-up does, conserving C + N."""
    out = {}
    for name, element in ELEMENTS.items():
        metal = 0.0 if name in ("H", "He") else m_h + (alpha_m if name in ALPHA_ELEMENTS else 0.0)
        out[name] = 10 ** (element.log_abundance - 12 + metal)
    out["C"] *= 10 ** (0.3 * c_n)  # at [C/N] = -0.4: C down by 0.12 dex, N up by 0.28 dex
    out["N"] *= 10 ** (-0.7 * c_n)
    return out


@dataclass(frozen=True)
class Gas:
    """Every density is (n_depth,)."""

    electrons: np.ndarray
    hydrogen: np.ndarray  # neutral atoms
    protons: np.ndarray
    atoms: dict[str, np.ndarray]  # neutral atoms of each element
    ions: dict[str, np.ndarray]  # singly ionised
    molecules: dict[str, np.ndarray]
    mass_density: np.ndarray  # g cm-3


def equilibrium_constant(name: str, temperature: np.ndarray) -> np.ndarray:
    """n(A) n(B) / n(AB) of a diatomic molecule, cm-3."""
    m = MOLECULES[name]
    a, b = ELEMENTS[m.first], ELEMENTS[m.second]
    reduced = a.mass * b.mass / (a.mass + b.mass) * ATOMIC_MASS
    rotation = temperature / (SECOND_RADIATION * m.rotation) / m.symmetry
    vibration = 1 / (1 - np.exp(-SECOND_RADIATION * m.vibration / temperature))
    translation = (2 * np.pi * reduced * BOLTZMANN * temperature / PLANCK**2) ** 1.5
    bound = np.exp(-m.dissociation * EV / (BOLTZMANN * temperature))
    return translation * a.neutral * b.neutral / (m.electronic * rotation * vibration) * bound


def saha_factor(name: str, temperature: np.ndarray) -> np.ndarray:
    """n(ion) n(electron) / n(atom), cm-3."""
    e = ELEMENTS[name]
    free = (2 * np.pi * ELECTRON_MASS * BOLTZMANN * temperature / PLANCK**2) ** 1.5
    return 2 * e.ionised / e.neutral * free * np.exp(-e.ionisation * EV / (BOLTZMANN * temperature))


def equation_of_state(
    temperature: np.ndarray, pressure: np.ndarray, abundance: dict[str, float]
) -> Gas:
    """Solve charge conservation by bisection, then the molecules in order of their binding."""
    particles = pressure / (BOLTZMANN * temperature)
    saha = {name: saha_factor(name, temperature) for name in ELEMENTS}
    electrons, hydrogen, nuclei = _ionisation(temperature, particles, abundance, saha)
    neutral = {name: electrons / (electrons + saha[name]) for name in ELEMENTS}
    total = {name: nuclei * abundance[name] for name in ELEMENTS}
    atoms = {name: total[name] * neutral[name] for name in METALS} | {"H": hydrogen}
    mean_mass = sum(abundance[n] * ELEMENTS[n].mass for n in ELEMENTS) * ATOMIC_MASS
    return Gas(
        electrons,
        hydrogen,
        hydrogen * saha["H"] / electrons,
        atoms,
        {name: total[name] - atoms[name] for name in METALS},
        _molecules(temperature, hydrogen, total, neutral),
        nuclei * mean_mass,
    )


def _ionisation(temperature, particles, abundance, saha):
    """Electrons, neutral hydrogen atoms and hydrogen nuclei, with H2 in equilibrium."""
    h2 = equilibrium_constant("H2", temperature)
    everything = sum(abundance.values())
    low, high = np.full_like(temperature, -12.0), np.full_like(temperature, -0.02)
    for _ in range(40):  # log10 of the electron share, to 1e-11
        middle = (low + high) / 2
        electrons = particles * 10**middle
        ionised = 1 + saha["H"] / electrons
        a, b = (2 * everything - 1) / h2, ionised * everything
        rest = particles - electrons
        hydrogen = 2 * rest / (b + np.sqrt(b**2 + 4 * a * rest))
        nuclei = ionised * hydrogen + 2 * hydrogen**2 / h2
        charge = hydrogen * saha["H"] / electrons
        charge = charge + sum(
            nuclei * abundance[n] * saha[n] / (electrons + saha[n]) for n in METALS
        )
        more = charge > electrons
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return electrons, hydrogen, nuclei


def _pair(first, neutral_first, second, neutral_second, constant) -> np.ndarray:
    """Density of a molecule that takes both of its elements from finite stocks."""
    constant = constant / (neutral_first * neutral_second)
    sum_ = first + second + constant
    return 2 * first * second / (sum_ + np.sqrt(np.maximum(sum_**2 - 4 * first * second, 0)))


def _molecules(temperature, hydrogen, total, neutral) -> dict[str, np.ndarray]:
    k = {name: equilibrium_constant(name, temperature) for name in MOLECULES}
    co = _pair(total["C"], neutral["C"], total["O"], neutral["O"], k["CO"])
    carbon = np.maximum(total["C"] - co, 1e-12 * total["C"]) * neutral["C"]
    oxygen = np.maximum(total["O"] - co, 1e-12 * total["O"])
    oxygen = oxygen - _pair(total["Si"], neutral["Si"], oxygen, neutral["O"], k["SiO"])
    hydroxyl = hydrogen / k["OH"]
    free_oxygen = oxygen * neutral["O"] / (1 + hydroxyl * neutral["O"])
    nitrogen = total["N"] * neutral["N"]
    free_nitrogen = (np.sqrt(1 + 8 * nitrogen / k["N2"]) - 1) * k["N2"] / 4
    hydride = hydrogen / k["CH"]
    free_carbon = carbon / (1 + hydride + free_nitrogen / k["CN"])
    titanium = free_oxygen * neutral["Ti"] / k["TiO"]
    out = {
        "CO": co,
        "OH": hydroxyl * free_oxygen,
        "CH": hydride * free_carbon,
        "CN": free_carbon * free_nitrogen / k["CN"],
        "TiO": total["Ti"] * titanium / (1 + titanium),
    }
    for name, metal in (("MgH", "Mg"), ("CaH", "Ca")):
        bound = neutral[metal] * hydrogen / k[name]
        out[name] = total[metal] * bound / (1 + bound)
    return out
