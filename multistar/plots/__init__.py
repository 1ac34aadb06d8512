"""Pictures of results: the joint posterior of a star, a Kiel diagram, a spectrum, coverage."""

from multistar.plots.calibration import plot_calibration
from multistar.plots.corner import plot_corner
from multistar.plots.kiel import plot_kiel
from multistar.plots.spectrum import plot_spectrum

__all__ = ["plot_calibration", "plot_corner", "plot_kiel", "plot_spectrum"]
