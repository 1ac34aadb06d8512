"""Measurements -> tokens. The lower layer: torch and einops only, nothing of multistar."""

from encoders.contract import FittedEncoder, Measurement, Tokens, concatenate_measurements
from encoders.light_curve import LightCurveEncoder, LightCurveLayout
from encoders.scalars import ScalarEncoder
from encoders.spectrum import SpectrumEncoder
from encoders.xp import XPEncoder
from encoders.xp_components import XPComponents

ENCODERS = {
    "scalars": ScalarEncoder,
    "xp": XPEncoder,
    "xp_components": XPComponents,
    "lightcurve": LightCurveEncoder,
    "spectrum": SpectrumEncoder,
}

__all__ = [
    "ENCODERS",
    "FittedEncoder",
    "LightCurveEncoder",
    "LightCurveLayout",
    "Measurement",
    "ScalarEncoder",
    "SpectrumEncoder",
    "Tokens",
    "XPComponents",
    "XPEncoder",
    "concatenate_measurements",
]
