"""Raw files to columns and texts: what a reader of any format is written with."""

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import SourceTable, clean_tags
from reclens.data.sources.files import (
    SourceFiles,
    beside,
    folder_of,
    header_line,
    read_bytes,
    read_delimited,
    read_parquet,
)
from reclens.data.sources.raw import (
    ItemText,
    RawData,
    article_first,
    most_given,
    rows_as_time,
    take_year,
)

__all__ = [
    "ColumnNames",
    "ItemText",
    "RawData",
    "SourceFiles",
    "SourceTable",
    "article_first",
    "beside",
    "clean_tags",
    "folder_of",
    "header_line",
    "most_given",
    "read_bytes",
    "read_delimited",
    "read_parquet",
    "rows_as_time",
    "take_year",
]
