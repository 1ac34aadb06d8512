"""The model card: what a model is, what it was trained on, how good it is, and what it is not for."""

import json

from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES

LIMITS = """- Stars unlike the training stars are flagged `outside_training`, and their labels mean nothing. The flag is
  a test of inputs and embedding, not a guarantee.
- {mismatch}
- Masses and ages are those of one set of isochrones (PARSEC) and of the mock's age-metallicity relation, which act
  as priors.
- E(B-V) and Teff are nearly degenerate in low-resolution spectra: their errors are correlated; use joint samples."""
SOURCES = """Mock stars are made of a fit of PARSEC isochrones (Bressan et al. 2012, MNRAS 427, 127), of our own model
spectra, and of the errors of Gaia DR3 spectra; Gaia data are open and free to use, with credit to ESA/Gaia/DPAC.
Sources and terms of everything that is shipped: DATA.md of multistar."""
MISMATCH = {
    True: "The mock's spectra differ from real ones by a few per cent and by more in the blue. The model was trained "
    "for that: errors of real stars are told larger, and their intervals are wider than the tables here show.",
    False: "The mock's spectra differ from real ones by a few per cent and by more in the blue; the model was not "
    "told so. On real stars errors are larger than the intervals say.",
}

CITE = (
    "## Cite\n\n```bibtex\n@software{multistar, title = {multistar: a multimodal foundation model for "
    "stars}, year = {2026}, license = {MIT}}\n```"
)


def card(model: Model, name: str, data: str, benchmark: dict, added: str = "") -> str:
    """Write the card of a model: Markdown with the metadata block of model hubs.

    Parameters
    ----------
    model : Model
    name : str
        Behind "multistar-".
    data : str
        What the training stars are, to be read after their number.
    benchmark : dict
        What scripts/benchmark_labels.py writes.
    added : str
        The stars that taught what was added to a core that stood still.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the benchmark is of another model, and of none that this one contains.
    """
    contained = model.provenance.get("contains", [])
    measured = benchmark.get("model")
    if measured not in (model.hash, *contained):
        raise ValueError(
            f"the benchmark is of model {str(measured)[:12]}, this one is {model.hash[:12]}"
        )
    variants = [name for name in ("with parallax", "without parallax") if name in benchmark]
    gain = benchmark["joint"]["energy_ratio"]
    limits = LIMITS.format(mismatch=MISMATCH[model.config.mismatch])
    sections = [
        "---\nlicense: mit\nlibrary_name: multistar\ntags: [astronomy, stars, gaia]\n---",
        f"# multistar-{name}",
        _describe_inputs(model),
        f"SHA-256 of the weights: `{model.hash}`",
        *(_contained(old) for old in contained),
        _training(model, data),
        *_added(model, added),
        *_populations(model),
        *(_table(variant, benchmark) for variant in variants),
        f"Joint samples: energy score {gain:.4f} of that of their shuffled marginals.",
        f"## Limits\n\n{limits}",
        f"## Data\n\n{SOURCES}",
        CITE,
    ]
    return "\n\n".join(sections) + "\n"


def _added(model: Model, added: str) -> list[str]:
    """How an encoder was added to a core that stood still."""
    if "core" not in model.provenance:
        return []
    stars, run = model.provenance["training_stars"], model.provenance["run"]
    return [
        f"Then an encoder was added, while all else stood still: {stars:,} {added}. "
        f"{_length(model.provenance)}\n\n```json\n{json.dumps(run, indent=1)}\n```"
    ]


def _length(provenance: dict) -> str:
    training, start = provenance["run"]["training"], provenance.get("continues", "")
    before = f" The run went on from the weights {start[:12]}." if start else ""
    return (
        f"{provenance['steps']:,} steps of {training['batch']} stars, seed {training['seed']}; "
        f"final loss {provenance['final_loss']:.3f}.{before}"
    )


def _sky(provenance: dict) -> str:
    number = provenance.get("sky_stars", 0)
    return (
        f"{number:,} real stars of Gaia DR3, without labels" if number else "no real star was used"
    )


def _describe_inputs(model: Model) -> str:
    """Size, inputs and labels."""
    vocabulary = model.vocabulary
    parameters = sum(p.numel() for p in model.network.parameters())
    inputs = ", ".join(modality.describe() for modality in vocabulary.modalities)
    labels = ", ".join(f"{n} [{vocabulary.quantity(n).unit}]" for n in vocabulary.labels)
    return (
        f"{parameters / 1e6:.1f} million parameters, float32. Inputs: {inputs}, any part of them. "
        f"Labels: {labels}."
    )


def _contained(old: str) -> str:
    return (
        f"What it says of stars without a spectrum is, to the bit, what the weights `{old}` say; "
        "figures of those weights are its own."
    )


def _training(model: Model, data: str) -> str:
    """Stars, length and the run file."""
    origin = model.provenance.get("core", model.provenance)
    run = json.dumps(origin["run"], indent=1)
    return (
        f"## Training\n\n{origin['training_stars']:,} {data}; {_sky(origin)}. {_length(origin)}\n\n"
        f"```json\n{run}\n```"
    )


def _populations(model: Model) -> list[str]:
    """What a posterior assumes, if the model knows it."""
    populations = model.populations
    if populations is None:
        return []
    shares = dict(zip(populations.names, populations.share.tolist(), strict=True))
    listed = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items() if share)
    others = ", ".join(name for name, share in shares.items() if not share)
    more = f", or one that training had no table of: {others}" if others else ""
    return [
        "## Prior\n\nA posterior assumes that a star is drawn like the training stars, by selections of the mock "
        f"survey: {listed}. `predict --prior NAME` assumes one of them instead{more}."
    ]


def _table(variant: str, benchmark: dict) -> str:
    rows = [
        "| label | MAD-std | std | bias | XGBoost MAD-std | ratio | ratio to truth | truths in 68 % | worst bin |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, cell in benchmark[variant].items():
        if name not in QUANTITIES:
            continue
        ours, trees = cell["model"], cell["XGBoost"]
        worst, where = cell["worst_coverage"]
        rows.append(
            f"| {name} | {ours['surveyed']:.4g} | {ours['std']:.4g} | {ours['bias']:.2g} | {trees['surveyed']:.4g} | "
            f"{cell['ratios']['surveyed']:.2f} | {cell['ratios']['truth']:.2f} | {cell['coverage']:.0%} | "
            f"{worst:.0%} ({where}) |"
        )
    head = (
        f"## {benchmark['test_stars']:,} held-out mock giants, {variant}\n\nAgainst labels with a survey's errors, but "
        "for the ratio to truth and the coverage. XGBoost: 350 trees of depth 6 per label, same rows, same inputs."
    )
    return head + "\n\n" + "\n".join(rows)
