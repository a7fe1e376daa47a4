"""Score customers with the champion: the same numbers as training computed."""

from __future__ import annotations

import datetime as dt
import warnings
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from tenure import labels, storage
from tenure.bundle import Bundle
from tenure.config import Config
from tenure.cutoffs import check_day
from tenure.errors import ConfigError, DataError, EnvironmentFault
from tenure.features.attributes import people_matrix
from tenure.features.matrix import build
from tenure.outputs import as_given, check_out, write_table
from tenure.serving import check_columns, in_force
from tenure.sources import Sources, load

__all__ = ["Scored", "score"]


@dataclass(frozen=True)
class Scored:
    """What was scored and where it stands."""

    out: Path
    as_of: dt.date | None
    counts: dict[str, int]
    unknown: int
    unknown_out: Path | None
    model_version: str
    run_id: str
    warnings: tuple[str, ...]


def score(
    config: Config,
    out: Path,
    *,
    customers: Path | None = None,
    as_of: dt.date | None = None,
) -> Scored:
    """Score a list of customers, or all of them, and write one row each.

    Parameters
    ----------
    config : Config
        The config the champion was trained with.
    out : Path
        A `.csv` or `.parquet` file; an older one survives any failure.
    customers : Path, optional
        A CSV or Parquet file with a column `customer_id`; all known customers by default.
    as_of : date, optional
        Score as known at this local midnight; the end of observation by default. Customers who
        carry a label are not dated: for them it is refused, and `as_of` is null.

    Returns
    -------
    Scored

    Raises
    ------
    DataError
        If the data end before `as_of`, or lack what the model was trained with.
    ModelError
        If there is no champion, its files were altered, or the config asks for another question.
    """
    lists = [] if customers is None else [customers]
    check_out(out, config, *lists)
    aside = out.with_name(f"{out.stem}.unknown.csv")
    check_out(aside, config, *lists)
    found, bundle, config = in_force(config)
    listed = None if customers is None else _listed(customers)
    with load(config) as sources:
        check_columns(sources, bundle)
        day, matrix, known = _people(sources, bundle, as_of)
    rows = bundle.score(matrix, known)
    unknown = pd.Series([], dtype="str")
    if listed is not None:
        # our own lists of unknown ids are disarmed for spreadsheets: =1+1 stands there as '=1+1
        listed = listed.where(listed.isin(known), listed.map(as_given)).drop_duplicates()
        unknown = listed[~listed.isin(known)]
        rows = rows[rows["customer_id"].isin(listed)]
    rows = bundle.stamped(rows, day, found.version, found.run_id)
    write_table(rows, out)
    if len(unknown):
        write_table(pd.DataFrame({"customer_id": unknown}), aside)
    else:
        aside.unlink(missing_ok=True)
    return Scored(
        out,
        day,
        {str(k): int(v) for k, v in rows["status"].value_counts().sort_index().items()},
        len(unknown),
        aside if len(unknown) else None,
        found.version,
        found.run_id,
        (*storage.library_warnings(found.folder), *labels.unpriced(matrix)),
    )


def _listed(path: Path) -> pd.Series:
    """Read the ids of a list, each once, exactly as written."""
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            with warnings.catch_warnings():
                # pandas would take a first column without a name for row labels, or cut rows off
                warnings.simplefilter("error", pd.errors.ParserWarning)
                table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        raise ConfigError(f"--customers {path}: no such file.") from None
    except PermissionError:
        raise EnvironmentFault(f"--customers {path}: may not be read.") from None
    except pd.errors.ParserWarning:
        raise DataError(
            f"--customers {path}: has rows of more fields than the first line names. Name them all."
        ) from None
    except (OSError, ValueError) as fault:
        what = "is empty; it needs at least the header `customer_id`"
        broken = not isinstance(fault, pd.errors.EmptyDataError)
        raise DataError(f"--customers {path}: {'cannot be read' if broken else what}.") from None
    if "customer_id" not in table:
        raise DataError(
            f"--customers {path}: has no column customer_id among its {len(table.columns)}. The "
            "first line must name the columns; call the one with the ids customer_id."
        )
    ids = table["customer_id"].dropna().astype("str")
    return ids[ids != ""].drop_duplicates().reset_index(drop=True)


def _people(
    sources: Sources, bundle: Bundle, as_of: dt.date | None
) -> tuple[dt.date | None, pd.DataFrame, pd.Series]:
    """Return the day asked about, the features of everybody as known then, and the known ids."""
    tables, churn, zone = sources.tables, bundle.churn, ZoneInfo(bundle.timezone)
    if churn.kind == "label":
        if as_of is not None:
            raise ConfigError("--as-of: customers who carry a label are not dated; leave it out.")
        matrix = people_matrix(tables, bundle.schema)
        return None, matrix, matrix["customer_id"]
    day = as_of or sources.observed_until
    check_day(day, sources.first_day, sources.observed_until, churn.table)
    sources.require(day)
    matrix = build(tables, [day], zone, bundle.schema)
    matrix = labels.beside(tables, matrix, [day], zone, churn)
    return day, matrix, labels.known_customers(tables, day, zone, churn.table)
