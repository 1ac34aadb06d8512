"""A web page to explore an index of stars: map, neighbours, spectra, light curves, posteriors."""
