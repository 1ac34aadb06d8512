"""multistar erase: parse, call, print; no logic."""

import argparse
from collections.abc import Callable


def add_population_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """`command(name, function, text)` makes a subparser."""
    _add_erase_options(command("erase", _erase, "fit what makes vectors ignore a quantity, on stars of known labels"))


def _erase(args) -> None:
    from multistar.data.stars import concatenate, read_stars
    from multistar.files import refuse_existing
    from multistar.model.checkpoint import load_model
    from multistar.model.erasure import save_eraser
    from multistar.tasks.erase import eraser_of

    refuse_existing(args.out, args.overwrite)
    if not args.out.endswith(".safetensors"):
        raise ValueError(f"--out {args.out}: the name must end in .safetensors")
    stars = concatenate([read_stars(table) for table in args.tables])
    eraser = eraser_of(load_model(args.model), stars, args.quantity)
    save_eraser(eraser, args.out, args.overwrite)
    print(f"{eraser.name} at fixed {', '.join(eraser.intrinsic)}: vectors of {eraser.dimension} numbers; in {args.out}")


def _add_erase_options(erase: argparse.ArgumentParser) -> None:
    erase.add_argument("tables", nargs="+", metavar="STARS", help="with labels; mock stars of all kinds are best")
    erase.add_argument("--quantity", default="dust", help="dust, or another label (default: dust)")
    erase.add_argument("--model", default="mini", help="model folder, or the name of a shipped one (default: mini)")
    erase.add_argument(
        "--out", required=True, help="FILE.safetensors; erase_ebv.safetensors in the model's folder is used by default"
    )
