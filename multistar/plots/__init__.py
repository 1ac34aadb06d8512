"""Pictures of results: the joint posterior of a star, a Kiel diagram, a map, a spectrum, coverage."""

from multistar.plots.calibration import plot_calibration
from multistar.plots.corner import plot_corner
from multistar.plots.kiel import plot_kiel
from multistar.plots.map import coloured_map, plot_map
from multistar.plots.spectrum import plot_spectrum

__all__ = [
    "coloured_map",
    "plot_calibration",
    "plot_corner",
    "plot_kiel",
    "plot_map",
    "plot_spectrum",
]
