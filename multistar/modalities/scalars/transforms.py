"""Scales on which errors of a quantity are even.

Linear, logarithmic, or asinh (linear near zero).
"""

import numpy as np

from multistar.quantities import Quantity


def to_even_scale(quantity: Quantity, x: np.ndarray) -> np.ndarray:
    """Values in the quantity's unit -> its transform."""
    if quantity.transform == "log":
        return np.log(x)
    if quantity.transform == "asinh":
        return np.arcsinh(x / quantity.softening)
    return x


def from_even_scale(quantity: Quantity, y: np.ndarray) -> np.ndarray:
    """The inverse of `to_even_scale`."""
    if quantity.transform == "log":
        return np.exp(y)
    if quantity.transform == "asinh":
        return np.sinh(y) * quantity.softening
    return y


def slope_of_scale(quantity: Quantity, x: np.ndarray) -> np.ndarray:
    """d to_even_scale / d x at x, which carries errors over."""
    if quantity.transform == "log":
        return 1 / x
    if quantity.transform == "asinh":
        return 1 / np.hypot(quantity.softening, x)
    return np.ones_like(x)
