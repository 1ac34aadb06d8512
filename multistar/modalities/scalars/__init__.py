"""Catalogue numbers: photometry, parallax, labels."""
