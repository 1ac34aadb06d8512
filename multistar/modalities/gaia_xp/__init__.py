"""Gaia XP spectra: the coefficients of BP and RP."""
