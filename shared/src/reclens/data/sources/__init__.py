"""Raw files to columns and texts: what a reader of any format is written with."""

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import SourceTable, clean_tags
from reclens.data.sources.dates import Times
from reclens.data.sources.delimited import read_delimited
from reclens.data.sources.encodings import read_bytes
from reclens.data.sources.files import (
    SourceFiles,
    beside,
    folder_of,
    read_parquet,
)
from reclens.data.sources.findings import Reading
from reclens.data.sources.raw import (
    ItemText,
    RawData,
    article_first,
    most_given,
    rows_as_time,
    take_year,
    titled,
    with_taggers,
)
from reclens.data.sources.times import concat_times, read_times

__all__ = [
    "ColumnNames",
    "ItemText",
    "RawData",
    "Reading",
    "SourceFiles",
    "SourceTable",
    "Times",
    "article_first",
    "beside",
    "clean_tags",
    "concat_times",
    "folder_of",
    "most_given",
    "read_bytes",
    "read_delimited",
    "read_parquet",
    "read_times",
    "rows_as_time",
    "take_year",
    "titled",
    "with_taggers",
]
