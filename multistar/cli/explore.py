"""multistar explore: parse, call, print; no logic."""

import argparse
from typing import Any

from multistar.cli.arguments import check_indices, check_inputs, check_model


def add_explore_command(commands: Any) -> None:
    """`commands` is what add_subparsers gave."""
    text = "a web page of the stars of an index: map, neighbours, spectra, light curves, joint posteriors"
    explore = commands.add_parser("explore", help=text, description=text)
    explore.set_defaults(run_command=_explore)
    explore.add_argument("index", help="index folder")
    explore.add_argument(
        "--map",
        metavar="UMAP",
        help="source_id, umap_x, umap_y (default: a UMAP of a sample, made now)",
    )
    explore.add_argument(
        "--data", metavar="STARS", help="measurements, for spectra, light curves and posteriors"
    )
    explore.add_argument(
        "--lightcurves", metavar="SOURCE", help="FITS files, tables or a folder, by source_id"
    )
    explore.add_argument(
        "--unit",
        choices=("flux", "mag", "relative"),
        help="of the light curves, where they do not tell",
    )
    explore.add_argument(
        "--model", default="mini", help="for --data: that of the index (default: mini)"
    )
    explore.add_argument(
        "--dust-free",
        metavar="INDEX",
        help="index of the same stars that ignores dust: adds a switch",
    )
    explore.add_argument("--port", type=int, default=0, help="default: any that is free")
    explore.add_argument(
        "--host",
        default="127.0.0.1",
        help="name or address by which browsers reach this machine; anyone who does sees the page, "
        "without a password (default: 127.0.0.1, this machine alone)",
    )
    explore.add_argument("--no-browser", action="store_true", help="print the address only")


def _explore(args: argparse.Namespace) -> None:
    from multistar._compat import check_explore

    check_explore()
    check_indices(args.index, args.dust_free)
    check_inputs(args.map, args.data, args.lightcurves)
    if args.data:
        check_model(args.model)
    print(f"opening {args.index}, which takes some seconds", flush=True)
    from multistar.explore.data import Explorer, read_places, umap_places
    from multistar.explore.page import serve
    from multistar.explore.star import Measured, model_of
    from multistar.index.star_index import StarIndex
    from multistar.io.lookup import Lookup
    from multistar.modalities.light_curve.read import read_light_curves

    index = StarIndex.load(args.index, mapped=True)
    dust_free = StarIndex.load(args.dust_free, mapped=True) if args.dust_free else None
    data = Lookup(args.data) if args.data else None
    model = model_of(index, args.model) if args.data else None
    curves = read_light_curves(args.lightcurves, unit=args.unit) if args.lightcurves else None
    if args.map:
        places = read_places(index, args.map)
    else:
        print("no --map: making a UMAP, which takes up to a minute", flush=True)
        places = umap_places(index)
    explorer = Explorer(index, places, dust_free)
    serve(explorer, Measured(data, model, curves), args.port, not args.no_browser, args.host)
