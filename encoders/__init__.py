"""Measurements -> tokens. The lower layer: torch and einops only, nothing of multistar."""

from encoders.contract import Measurement, Tokens
from encoders.scalars import ScalarEncoder
from encoders.xp import XPEncoder

ENCODERS = {"scalars": ScalarEncoder, "xp": XPEncoder}

__all__ = ["ENCODERS", "Measurement", "ScalarEncoder", "Tokens", "XPEncoder"]
