"""Summaries of tables, with Polars."""

import math
from datetime import date, datetime
from io import BytesIO
from typing import Any

import polars as pl

from taskyard import Permanent, current, files, task

_MOST_GROUPS = 100


@task("table.summarize")
def summarize(
    source: str, columns: list[str] | None = None, group_by: str | None = None
) -> dict[str, Any]:
    """Tell rows, and for each column its type, nulls, distinct values, least, largest and mean.

    `source` is a CSV or Parquet file. With `group_by`, the rows of each of its values are counted,
    most frequent first.
    """
    table = _read(source)
    current.progress(0.4, f"{table.height} rows read")
    chosen = columns or table.columns
    _require(table, [*chosen, *([group_by] if group_by else [])])
    summary: dict[str, Any] = {
        "rows": table.height,
        "columns": {name: _column(table[name]) for name in chosen},
    }
    current.progress(0.8, "columns summarised")
    if group_by:
        counted = table.group_by(group_by).len().sort(["len", group_by], descending=[True, False])
        summary["groups"] = {
            str(value): count for value, count in counted.head(_MOST_GROUPS).rows()
        }
    return summary


def _read(source: str) -> pl.DataFrame:
    data = BytesIO(files.read(source))
    try:
        if source.endswith(".parquet"):
            return pl.read_parquet(data)
        return pl.read_csv(data, try_parse_dates=True, infer_schema_length=10_000)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Permanent(f"{source!r} cannot be read as a table: {error}") from error


def _require(table: pl.DataFrame, wanted: list[str]) -> None:
    if missing := [name for name in wanted if name not in table.columns]:
        raise Permanent(
            f"the table has no column {', '.join(map(repr, missing))}; there are "
            + ", ".join(table.columns)
        )


def _column(column: pl.Series) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "type": str(column.dtype),
        "nulls": column.null_count(),
        "distinct": column.n_unique(),
        "min": _json(column.min()),
        "max": _json(column.max()),
    }
    if column.dtype.is_numeric():
        summary["mean"] = _json(column.mean())
    return summary


def _json(value: Any) -> Any:
    """JSON has neither dates nor NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value if isinstance(value, int | float | str | bool) else None
