"""One room per kind of measurement; each owns its reading, slots, masks, encoder and words.

MODALITIES is the list of them, in the order of their slots. A new one is a room here, an encoder in `encoders/`, and an
entry in MODALITIES and in ENCODERS.
"""

from multistar.modalities.gaia_xp.modality import GaiaXP
from multistar.modalities.label_scale.modality import LabelScale
from multistar.modalities.light_curve.modality import LightCurve
from multistar.modalities.modality import Modality
from multistar.modalities.scalars.modality import Scalars
from multistar.modalities.spectrum.modality import Spectrum

EVERY: tuple[type[Modality], ...] = (Scalars, GaiaXP, LightCurve, Spectrum, LabelScale)
MODALITIES: dict[str, type[Modality]] = {own.name: own for own in EVERY}

__all__ = ["MODALITIES", "GaiaXP", "LabelScale", "LightCurve", "Modality", "Scalars", "Spectrum"]
