"""Real data of stars from archives: Gaia, Kepler, K2, TESS."""
