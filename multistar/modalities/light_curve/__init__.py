"""Light curves of Kepler, K2, TESS, Gaia and others."""
