"""Measurements -> tokens. The lower layer: torch and einops only, nothing of multistar."""

from encoders.contract import Measurement, Tokens
from encoders.lightcurve import LightCurveEncoder, LightCurveLayout
from encoders.scalars import ScalarEncoder
from encoders.xp import XPEncoder

ENCODERS = {"scalars": ScalarEncoder, "xp": XPEncoder, "lightcurve": LightCurveEncoder}

__all__ = [
    "ENCODERS", "LightCurveEncoder", "LightCurveLayout", "Measurement", "ScalarEncoder", "Tokens", "XPEncoder",
]  # fmt: skip
