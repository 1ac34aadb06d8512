"""Evaluations on tables of the real sky, beside baselines on the same rows."""
