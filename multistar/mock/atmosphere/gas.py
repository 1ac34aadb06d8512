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

LOG_ELECTRON_SHARE = (-12.0, -0.02)  # where the share of electrons among all particles lies
BISECTIONS = 40  # finds its logarithm to 1e-11
RAREST = 1e-12  # share of the carbon and oxygen nuclei that is never bound in CO


@dataclass(frozen=True)
class Element:
    """A chemical element, neutral or singly ionised."""

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
PRIMORDIAL_ELEMENTS = ("H", "He")
ALPHA_ELEMENTS = ("O", "Mg", "Si", "Ca", "Ti")
METALS = tuple(name for name in ELEMENTS if name != "H")


@dataclass(frozen=True)
class Molecule:
    """A diatomic molecule."""

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


@dataclass(frozen=True)
class Gas:
    """Densities [cm-3] of what a gas consists of; every array is (n_depth,)."""

    electrons: np.ndarray
    hydrogen: np.ndarray  # neutral atoms
    protons: np.ndarray
    atoms: dict[str, np.ndarray]  # neutral atoms of each element
    ions: dict[str, np.ndarray]  # singly ionised
    molecules: dict[str, np.ndarray]
    mass_density: np.ndarray  # g cm-3


def abundances(m_h: float, alpha_m: float = 0.0, c_n: float = 0.0) -> dict[str, float]:
    """Number of nuclei of each element per hydrogen nucleus.

    [C/N] lowers C and raises N as the dredge-up does, conserving C + N: at [C/N] = -0.4 C is down
    by 0.12 dex and N up by 0.28 dex.

    Parameters
    ----------
    m_h, alpha_m, c_n : float
        [M/H], [alpha/M] and [C/N], dex.
    """
    numbers = {}
    for name, element in ELEMENTS.items():
        enhancement = 0.0
        if name not in PRIMORDIAL_ELEMENTS:
            enhancement = m_h
        if name in ALPHA_ELEMENTS:
            enhancement += alpha_m
        numbers[name] = 10 ** (element.log_abundance - 12 + enhancement)
    numbers["C"] *= 10 ** (0.3 * c_n)
    numbers["N"] *= 10 ** (-0.7 * c_n)
    return numbers


def boltzmann_factor(energy: float, temperature: np.ndarray) -> np.ndarray:
    """exp(-E / kT) for an energy in eV, with the shape of `temperature`."""
    thermal_energy = BOLTZMANN * temperature
    return np.exp(-energy * EV / thermal_energy)


def _translation(mass: float, temperature: np.ndarray) -> np.ndarray:
    """Translational partition function per volume [cm-3] of a particle of `mass` [g]."""
    momentum_squared = 2 * np.pi * mass * BOLTZMANN * temperature
    per_wavelength_squared = momentum_squared / PLANCK**2
    return per_wavelength_squared**1.5


def equilibrium_constant(name: str, temperature: np.ndarray) -> np.ndarray:
    """Equilibrium constant n(A) n(B) / n(AB) of a diatomic molecule, cm-3."""
    molecule = MOLECULES[name]
    first = ELEMENTS[molecule.first]
    second = ELEMENTS[molecule.second]
    total_mass = first.mass + second.mass
    reduced_mass = first.mass * second.mass / total_mass * ATOMIC_MASS
    rotation_temperature = SECOND_RADIATION * molecule.rotation
    rotation = temperature / rotation_temperature / molecule.symmetry
    vibration_temperature = SECOND_RADIATION * molecule.vibration
    vibration = 1 / (1 - np.exp(-vibration_temperature / temperature))
    bound = molecule.electronic * rotation * vibration
    free = _translation(reduced_mass, temperature)
    free = free * first.neutral * second.neutral
    return free / bound * boltzmann_factor(molecule.dissociation, temperature)


def saha_factor(name: str, temperature: np.ndarray) -> np.ndarray:
    """Saha's n(ion) n(electron) / n(atom), cm-3."""
    element = ELEMENTS[name]
    states = 2 * element.ionised / element.neutral
    free = states * _translation(ELECTRON_MASS, temperature)
    return free * boltzmann_factor(element.ionisation, temperature)


def equation_of_state(
    temperature: np.ndarray, pressure: np.ndarray, abundance: dict[str, float]
) -> Gas:
    """Solve charge conservation by bisection, then the molecules in order of their binding.

    Parameters
    ----------
    temperature, pressure : (n_depth,) array
        Temperature [K] and gas pressure [dyn cm-2].
    abundance : dict of str to float
        Nuclei per hydrogen nucleus.
    """
    particles = pressure / (BOLTZMANN * temperature)
    saha = {name: saha_factor(name, temperature) for name in ELEMENTS}
    electrons, hydrogen, nuclei = _solve_ionisation(temperature, particles, abundance, saha)
    total = {name: nuclei * abundance[name] for name in ELEMENTS}
    neutral = {name: electrons / (electrons + saha[name]) for name in ELEMENTS}
    atoms = {name: total[name] * neutral[name] for name in METALS}
    ions = {name: total[name] - atoms[name] for name in METALS}
    mean_mass = sum(abundance[name] * ELEMENTS[name].mass for name in ELEMENTS)
    return Gas(
        electrons=electrons,
        hydrogen=hydrogen,
        protons=hydrogen * saha["H"] / electrons,
        atoms=atoms | {"H": hydrogen},
        ions=ions,
        molecules=_solve_molecules(temperature, hydrogen, total, neutral),
        mass_density=nuclei * (mean_mass * ATOMIC_MASS),
    )


def _solve_ionisation(
    temperature: np.ndarray,
    particles: np.ndarray,
    abundance: dict[str, float],
    saha: dict[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Electrons, neutral hydrogen atoms and hydrogen nuclei, with H2 in equilibrium."""
    h2 = equilibrium_constant("H2", temperature)
    nuclei_per_hydrogen = sum(abundance.values())
    low = np.full_like(temperature, LOG_ELECTRON_SHARE[0])
    high = np.full_like(temperature, LOG_ELECTRON_SHARE[1])
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        electrons = particles * 10**middle
        rest = particles - electrons
        # Neutral hydrogen from the number of all nuclei and molecules, a quadratic equation.
        ionised = 1 + saha["H"] / electrons
        quadratic = (2 * nuclei_per_hydrogen - 1) / h2
        linear = ionised * nuclei_per_hydrogen
        root = np.sqrt(linear**2 + 4 * quadratic * rest)
        hydrogen = 2 * rest / (linear + root)
        nuclei = ionised * hydrogen + 2 * hydrogen**2 / h2
        metal_ions = 0
        for name in METALS:
            metal_ions += nuclei * abundance[name] * saha[name] / (electrons + saha[name])
        charge = hydrogen * saha["H"] / electrons + metal_ions
        more = charge > electrons
        low = np.where(more, middle, low)
        high = np.where(more, high, middle)
    return electrons, hydrogen, nuclei


def _solve_pair(
    first: np.ndarray,
    neutral_first: np.ndarray,
    second: np.ndarray,
    neutral_second: np.ndarray,
    constant: np.ndarray,
) -> np.ndarray:
    """Density of a molecule that takes both of its elements from finite stocks."""
    constant = constant / (neutral_first * neutral_second)
    linear = first + second + constant
    discriminant = linear**2 - 4 * first * second
    root = np.sqrt(np.maximum(discriminant, 0))
    return 2 * first * second / (linear + root)


def _solve_molecules(
    temperature: np.ndarray,
    hydrogen: np.ndarray,
    total: dict[str, np.ndarray],
    neutral: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Densities of molecules, from those that bind their elements most tightly on."""
    k = {name: equilibrium_constant(name, temperature) for name in MOLECULES}
    co = _solve_pair(total["C"], neutral["C"], total["O"], neutral["O"], k["CO"])
    carbon = np.maximum(total["C"] - co, RAREST * total["C"]) * neutral["C"]
    oxygen = np.maximum(total["O"] - co, RAREST * total["O"])
    sio = _solve_pair(total["Si"], neutral["Si"], oxygen, neutral["O"], k["SiO"])
    oxygen = oxygen - sio

    hydroxyl = hydrogen / k["OH"]
    oxygen_atoms = oxygen * neutral["O"]
    free_oxygen = oxygen_atoms / (1 + hydroxyl * neutral["O"])
    nitrogen = total["N"] * neutral["N"]
    root = np.sqrt(1 + 8 * nitrogen / k["N2"])
    free_nitrogen = (root - 1) * k["N2"] / 4
    hydride = hydrogen / k["CH"]
    cyanide = free_nitrogen / k["CN"]
    free_carbon = carbon / (1 + hydride + cyanide)
    molecules = {
        "CO": co,
        "OH": hydroxyl * free_oxygen,
        "CH": hydride * free_carbon,
        "CN": free_carbon * free_nitrogen / k["CN"],
    }
    # Molecules of rare metals take nothing noticeable from the stock of their partner.
    for name, metal, partner in (
        ("TiO", "Ti", free_oxygen),
        ("MgH", "Mg", hydrogen),
        ("CaH", "Ca", hydrogen),
    ):
        bound = partner * neutral[metal] / k[name]
        molecules[name] = total[metal] * bound / (1 + bound)
    return molecules
