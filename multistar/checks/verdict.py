"""What the numbers of `check disentangle` mean, in sentences."""

FLAT = 0.1  # mag; a sample whose E(B-V) spans less cannot tell dust from the scatter of the map
SIGMAS = 3.0
SMALL = 0.05  # R2, or rank correlation, that is of no consequence even where it is real


def judge(result: dict) -> list[str]:
    """Say what was found, or that these stars cannot tell.

    Parameters
    ----------
    result : dict
        What `disentangle` gave.

    Returns
    -------
    list of str
        Sentences, the most important first.
    """
    low, middle, high = result["ebv_percentiles"]
    span = f"E(B-V) of these stars is {low:.2f}-{high:.2f} mag (90 % of them; median {middle:.2f})"
    if high - low < FLAT:
        return [
            f"These stars cannot tell: {span}, which is too even to see whether dust is in the vectors. "
            "R2 near or below 0 is no success here."
        ]
    found = [f"{span}: enough to tell."]
    for space, part in result["spaces"].items():
        found.append(_judge_space(space, part["dust at fixed teff"]))
    teff = result["residuals"].get("teff")
    if teff is not None:
        found.append(_judge_residual(teff))
    return found


def _judge_space(space: str, probes: dict) -> str:
    """How much of the dust the vectors hold; the better of the two probes counts."""
    best = max(probes.values(), key=lambda probe: probe["r2"])
    r2 = f"R2 {best['r2']:.2f}"
    is_found = best["r2"] > best["chance"] + SIGMAS * best["error"] and best["r2"] > SMALL
    without = space != "embedding"
    if not is_found:
        meaning = "dust was erased" if without else "the vectors do not hold the dust"
        return f"{space}: no dust at fixed Teff ({r2}): {meaning}."
    if without:
        return f"{space}: some dust is left at fixed Teff ({r2})."
    return (
        f"{space}: dust is in the vectors ({r2} at fixed Teff), as it must be for E(B-V) to be "
        "predicted; embed --ignore dust leaves it out."
    )


def _judge_residual(teff: dict) -> str:
    size, error = teff["spearman"], teff["error"]
    number = f"rank correlation {size:+.2f} +- {error:.2f}"
    if abs(size) < max(SIGMAS * error, SMALL):
        return f"Errors of Teff do not follow dust ({number}): the two are told apart."
    direction = "hot" if size > 0 else "cool"
    return (
        f"Errors of Teff follow dust ({number}): stars behind more of it come out too {direction}."
    )
