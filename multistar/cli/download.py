"""multistar download: parse, call, print; no logic."""

from pathlib import Path
from typing import Any

from multistar.cli.arguments import check_inputs


def add_download_command(commands) -> None:
    """Add `download` with its three kinds."""
    text = "data of stars from an archive into a folder; an interrupted run goes on"
    kinds = commands.add_parser("download", help=text, description=text).add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )

    text = "Kepler, K2 or TESS light curves from the MAST archive"
    curves = kinds.add_parser("lightcurves", help=text, description=text)
    curves.set_defaults(run_command=_light_curves)
    curves.add_argument(
        "ids", nargs="+", help="KIC, EPIC or TIC numbers, or one table with a column source_id"
    )
    curves.add_argument("--mission", required=True, choices=("kepler", "k2", "tess"))
    curves.add_argument("--author", help="pipeline (default: the mission's own)")
    curves.add_argument(
        "--exptime", type=float, help="exposure time in s (default: 1800, for TESS 120)"
    )
    curves.add_argument("--out", required=True, help="folder for the FITS files")

    text = "Gaia photometry, parallaxes and XP spectra from ESA's archive"
    gaia = kinds.add_parser("gaia", help=text, description=text)
    gaia.set_defaults(run_command=_gaia)
    gaia.add_argument("ids", nargs="*", help="source_ids, or one table with a column source_id")
    gaia.add_argument(
        "--cone", nargs=3, type=float, metavar=("RA", "DEC", "RADIUS"), help="ICRS, degrees"
    )
    gaia.add_argument(
        "--adql",
        metavar="FILE|TEXT",
        help="a query that gives source_id; its other columns are kept",
    )
    gaia.add_argument(
        "--release",
        default="dr3",
        choices=("dr3", "dr4"),
        help="default: dr3; dr4 has not been tried",
    )
    gaia.add_argument(
        "--chunk", type=int, help="stars per file and request (default: 2000, at most 5000)"
    )
    gaia.add_argument("--archive", metavar="URL", help="another server of the same kind")
    gaia.add_argument("--out", required=True, help="folder for the Parquet files")

    text = "files of a dust map, by dustmaps and into its own folder"
    dust = kinds.add_parser("dust", help=text, description=text)
    dust.set_defaults(run_command=_dust)
    dust.add_argument("map", choices=("sfd", "planck", "bayestar"))


def _targets(words: list[str]) -> Any:
    """Numbers or the name of one table."""
    if all(word.isdigit() for word in words):
        return [int(word) for word in words]
    if len(words) > 1:
        raise ValueError(f"give ids as numbers, or one table; got {' '.join(words[:5])}")
    check_inputs(words[0])
    return words[0]


def _dust(args) -> None:
    from multistar.download.dust import DOWNLOADABLE, download_dust

    print(f"dustmaps fetches about {DOWNLOADABLE[args.map]:,} MB", flush=True)
    folder = download_dust(args.map)
    print(f"the map is in {folder}; use it with: multistar predict TABLE --dust {args.map}")


def _light_curves(args) -> None:
    targets = _targets(args.ids)
    from multistar.download.light_curves import NOT_FOUND, download_light_curves

    files = download_light_curves(
        targets, args.out, args.mission, author=args.author, exptime=args.exptime, quiet=False
    )
    print(
        f"{sum(map(len, files.values()))} light curves of {len(files)} stars in {args.out}; the others: {NOT_FOUND}"
    )


def _gaia(args) -> None:
    if sum(map(bool, (args.ids, args.cone, args.adql))) != 1:
        raise ValueError(
            "say which stars: source_ids or a table, or --cone, or --adql (one of them)"
        )
    query = _adql(args.adql) if args.adql else None
    targets = _targets(args.ids) if args.ids else None
    import pyarrow.parquet as pq

    from multistar.download.gaia import WITHOUT_SPECTRA, Cone, Query, download_gaia

    stars = Cone(*args.cone) if args.cone else Query(query) if query else targets
    options = {
        name: value for name in ("chunk", "archive") if (value := getattr(args, name)) is not None
    }
    files = download_gaia(stars, args.out, release=args.release, quiet=False, **options)
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    listed = (Path(args.out) / WITHOUT_SPECTRA).read_text().count("\n") - 1
    print(
        f"{rows} stars in {len(files)} files in {args.out}; {listed} without spectra are listed in {WITHOUT_SPECTRA}"
    )


def _adql(text: str) -> str:
    if text.lstrip()[:6].upper() in ("SELECT", "WITH"):
        return text
    if not Path(text).is_file():
        raise ValueError(f"--adql: no file {text!r}, and no query, for that begins with SELECT")
    return Path(text).read_text()
