"""Light curves of mock stars: physical state and mission in, observed light curve out.

The parts know nothing of each other and nothing of the mock survey: rotation, solar-like
oscillations, eclipses and pulsation give relative fluxes or magnitudes; missions give sampling and
noise; light_curve.py puts them together.
"""
