"""Spectra as surveys publish them: one file of a survey -> spectra of its stars."""

from multistar.modalities.spectrum.surveys.read import SURVEYS, read_files, read_specutils

__all__ = ["SURVEYS", "read_files", "read_specutils"]
