"""Which labels a run learns, from the names in its file."""

from collections.abc import Sequence

from multistar.quantities import LABELS, MEASUREMENTS, QUANTITIES, Quantity, declared


def parse_labels(words: Sequence[str]) -> list[Quantity]:
    """Return the quantities that words such as "teff", "mg_fe" and "vsini:log" mean.

    Raises
    ------
    ValueError
        For what is measured, other words after the colon, and names given twice.
    """
    found = []
    for word in words:
        name, _, scale = word.partition(":")
        if name in MEASUREMENTS:
            raise ValueError(f"{name} is measured, no label to be learnt")
        if scale not in ("", "log") or (scale and name in LABELS):
            known = "how it is learnt is fixed" if name in LABELS else "expected NAME or NAME:log"
            raise ValueError(f"label {word!r}: {known}")
        if name in LABELS:
            found.append(QUANTITIES[name])
        else:
            found.append(declared(name, "label", transform="log" if scale else "linear"))
    names = [quantity.name for quantity in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"labels {twice} are named twice")
    return found
