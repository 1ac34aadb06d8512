"""How the data that ship with the mock survey are made: isochrones, model spectra, XP noise."""
