"""What `multistar --help` shows: the commands by what one wants, and an example of each."""

import argparse
import textwrap
from typing import Any

GROUPS = {
    "stars and models": ("predict", "embed", "generate", "inpaint", "finetune"),
    "similar stars": ("index", "update", "search", "explore", "umap", "erase"),
    "is it right?": ("check", "plot"),
    "data": ("mock", "download", "view", "spectra"),
    "models of your own": ("pretrain",),
}
EXAMPLES = {
    "predict": "multistar predict stars.fits --given teff,logg=0.1 --dust sfd --out labels.parquet",
    "embed": "multistar embed stars.fits --out vectors.parquet",
    "generate": "multistar generate labels.csv --sampled --out spectra.parquet",
    "inpaint": "multistar inpaint stars.fits --bands bp --out spectra.parquet",
    "finetune": "multistar finetune apogee.parquet --labels mg_fe --out mg_fe",
    "index": "multistar index vectors.parquet --out stars.index",
    "update": "multistar update stars.index --add more.parquet --out all.index",
    "search": "multistar search stars.index --source-id 1234567890 -k 10",
    "explore": "multistar explore stars.index --data stars.fits",
    "umap": "multistar umap vectors.parquet --out map.parquet",
    "erase": "multistar erase stars.parquet --quantity dust --out erase_dust.safetensors",
    "check": "multistar check calibration mock.parquet --out report",
    "plot": "multistar plot corner labels.parquet --source-id 1234567890 --out corner.png",
    "mock": "multistar mock --stars 10000 --selection all-sky --out mock.parquet",
    "download": "multistar download gaia --cone 56.75 24.12 1 --out pleiades",
    "view": "multistar view kepler_files --out views.parquet",
    "spectra": "multistar spectra lamost_dr10/ --ids gaia_ids.csv --out spectra.parquet",
    "pretrain": "multistar pretrain --table mine.parquet --labels teff,mg_fe --out mymodel",
}
WIDTH = 78


def list_commands(commands: Any) -> str:
    """Return all commands by group with what they do; `commands` is what add_subparsers gave."""
    lines = []
    for title, names in GROUPS.items():
        lines.append(f"{title}:")
        for name in names:
            text = commands.choices[name].description
            wrapped = textwrap.wrap(text, WIDTH - 13)
            lines.append(f"  {name:<10} {wrapped[0]}")
            lines += [" " * 13 + line for line in wrapped[1:]]
        lines.append("")
    lines.append("multistar COMMAND --help shows the options of a command and an example")
    return "\n".join(lines)


def add_examples(commands: Any) -> None:
    """Put its example at the end of the help of each command."""
    for name, example in EXAMPLES.items():
        sub: argparse.ArgumentParser = commands.choices[name]
        sub.epilog = f"example: {example}"
