"""Spectra of any wavelength range and resolution: their own room (see modality.py)."""
