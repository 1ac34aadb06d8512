"""Checks of a model: calibration, physics, disentanglement of dust, populations, and baselines."""
