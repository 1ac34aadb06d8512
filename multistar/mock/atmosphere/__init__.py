"""A small plane-parallel LTE model-atmosphere code: (Teff, logg, composition) -> spectrum.

It exists so that the mock survey rests on spectra that anyone can compute again: Saha ionisation,
molecular equilibrium, the main continua, molecular bands, strong lines, and a statistical forest of
metal lines whose strength is calibrated on the solar spectrum. It is no substitute for a library of
detailed models; `scripts/build_sed_grid.py` prints how far the solar model is from the Sun.
"""
