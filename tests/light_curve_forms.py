"""Points of three stars, in every form that users hold light curves in; used by several tests."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import Table

from multistar import status
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.points import from_points

IDS = np.array([6917528997577384320, 17, 4295806720], np.int64)


PARTS = ("source_id", "first", "time", "flux", "sigma", "flags")


def points(seed: int = 0, n: int = 400) -> dict[str, np.ndarray]:
    """n points of three stars in two bands, in any order."""
    rng = np.random.default_rng(seed)
    flux = 10 ** rng.uniform(2, 4, 3)[(star := rng.integers(3, size=n))] * (
        1 + 0.1 * rng.standard_normal(n)
    )
    return {
        "source_id": IDS[star],
        "time": rng.uniform(100, 200, n),
        "flux": flux,
        "flux_error": flux * rng.uniform(0.01, 0.02, n),
        "band": np.where(rng.random(n) < 0.5, "g", "rp"),
    }


def curves_of(data: dict[str, np.ndarray], unit: str = "flux") -> LightCurves:
    return from_points(
        data["source_id"], data["time"], data["flux"], data["flux_error"], data["band"], unit=unit
    )


def assert_same(one: LightCurves, other: LightCurves, rtol: float = 0) -> None:
    for name in PARTS:
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol, atol=rtol, err_msg=name
        )
    assert [one.bands[i] for i in one.band] == [other.bands[i] for i in other.band]
    for reason in set(one.dropped) | set(other.dropped):
        zero = np.zeros(len(one))
        np.testing.assert_array_equal(
            one.dropped.get(reason, zero), other.dropped.get(reason, zero), err_msg=reason
        )


def words(curves: LightCurves) -> list[str]:
    return status.words(curves.flags).tolist()


def as_csv(data, folder):
    pd.DataFrame(data).to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


def as_csv_gz(data, folder):
    pd.DataFrame(data).to_csv(folder / "a.csv.gz", index=False)
    return folder / "a.csv.gz"


def as_table_file(ending):
    def form(data, folder):
        Table(data).write(folder / f"a.{ending}", format={"vot": "votable"}.get(ending))
        return folder / f"a.{ending}"

    form.__name__ = f"as_{ending}"
    return form


def as_parquet(data, folder):
    pq.write_table(pa.table(data), folder / "a.parquet")
    return folder / "a.parquet"


def as_arrow(data, folder):
    return pa.table(data)


def as_dataframe(data, folder):
    return pd.DataFrame(data)


def as_astropy(data, folder):
    return Table(data)


def as_dict(data, folder):
    return data


FORMS = [
    as_csv,
    as_csv_gz,
    as_table_file("ecsv"),
    as_table_file("fits"),
    as_table_file("vot"),
    as_parquet,
    as_arrow,
    as_dataframe,
    as_astropy,
    as_dict,
]


def mission_file(
    path, star=11904151, mission="Kepler", flux=None, start=100.0, quality=None, **columns
):
    """A light-curve file as the pipelines of Kepler and TESS write them, with their keywords."""
    flux = np.asarray([10.0, 20, 30, 40, 50] if flux is None else flux)
    n = len(flux)
    tess = mission == "TESS"
    columns = {
        "TIME": start + 0.5 * np.arange(n),
        "SAP_FLUX": 3 * flux,
        "SAP_FLUX_ERR": np.ones(n),
        "PDCSAP_FLUX": flux,
        "PDCSAP_FLUX_ERR": 0.1 * flux,
        "QUALITY" if tess else "SAP_QUALITY": np.zeros(n, int) if quality is None else quality,
    } | columns
    units = {
        "TIME": "BJD - 2457000, days" if tess else "BJD - 2454833",
        "SAP_FLUX": "e-/s",
        "PDCSAP_FLUX": "e-/s",
    }
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name, "J" if "QUALITY" in name else "D", unit=units.get(name), array=x)
            for name, x in columns.items()
            if x is not None
        ]
    )
    table.header.update(
        {"EXTNAME": "LIGHTCURVE", "BJDREFI": 2457000 if tess else 2454833, "TIMESYS": "TDB"}
    )
    creator = "LightCurveExporterPipelineModule" if tess else "FluxExporter2PipelineModule"
    primary = fits.PrimaryHDU()
    primary.header.update(
        {"ORIGIN": "NASA/Ames", "CREATOR": creator, "TELESCOP": "TESS" if tess else "Kepler"}
    )
    primary.header["TICID" if tess else "KEPLERID"] = star
    if not tess:
        primary.header["MISSION"] = mission
    fits.HDUList([primary, table]).writeto(path)
    return path
