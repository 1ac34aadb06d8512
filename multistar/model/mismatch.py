"""How far real stars are from mock ones, and how a model is told of it.

Each modality knows its own mismatch (`Modality.state_mismatch`, `Modality.draw_mismatch`): spectra in
`modalities/gaia_xp/mismatch.py`, photometry in `modalities/scalars/mismatch.py`.
"""

import torch
from torch import Tensor

from encoders import Measurement, concatenate_measurements
from multistar.model.standardise import Standardiser


class Mismatch:
    """Acts on standardised measurements (B, n_slots) of all modalities.

    `size` (B, 1) is the mismatch in units of the measured one: 0 leaves a star as it is.
    """

    def __init__(self, standardiser: Standardiser):
        self.standardiser = standardiser

    def state(self, m: Measurement, size: Tensor) -> Measurement:
        """Real stars, on the mock's zero points, with errors that hold the mismatch."""
        parts = []
        for modality, part, center, scale in self._parts(m):
            parts.append(modality.state_mismatch(part, center, scale, size))
        return concatenate_measurements(parts, dim=1)

    def draw(self, m: Measurement, size: Tensor, generator: torch.Generator) -> Measurement:
        """Mock stars made as unlike the mock as real ones, with errors that hold it."""
        parts = []
        for modality, part, center, scale in self._parts(m):
            parts.append(modality.draw_mismatch(part, center, scale, size, generator))
        return concatenate_measurements(parts, dim=1)

    def _parts(self, m: Measurement):
        """Each modality with its measurements, centers and scales."""
        vocabulary = self.standardiser.vocabulary
        for modality in vocabulary.modalities:
            here = vocabulary.places[modality.name]
            part = m.slots(here.start, here.stop)
            yield modality, part, self.standardiser.center[here], self.standardiser.scale[here]
