"""Speed and accuracy on mock stars, beside ceilings and baselines."""
