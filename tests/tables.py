"""Reads all tables below a folder (first argument) with DuckDB, Polars and PyArrow, which must agree.

Prints {"<table>": [row, …]} as JSON, in the order of the keys; times are milliseconds since 1970."""

import datetime
import json
import pathlib
import sys

import duckdb
import polars
import pyarrow.dataset
import pyarrow.parquet


def plain(value):
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1000)
    return str(value) if isinstance(value, datetime.date) else value


def rows(table):
    """Rows of an Arrow table as dictionaries, in an order that does not depend on the reader."""
    found = [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True))


def with_duckdb(folder):
    return duckdb.sql(f"select * from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)").to_arrow_table()


def with_polars(folder):
    return polars.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).collect().to_arrow()


def with_pyarrow(folder):
    return pyarrow.dataset.dataset(folder, format="parquet", partitioning="hive").to_table()


def main():
    tables = pathlib.Path(sys.argv[1])
    answer = {}
    for folder in sorted(path for path in tables.iterdir() if path.is_dir()):
        found = {read.__name__: rows(read(str(folder))) for read in (with_duckdb, with_polars, with_pyarrow)}
        first = found["with_duckdb"]
        for name, other in found.items():
            if other != first:
                sys.exit(f"{folder.name}: {name} found {other}, DuckDB found {first}")
        for file in folder.rglob("*.parquet"):
            about = pyarrow.parquet.read_metadata(file).metadata
            if about[b"crownest.schema_version"] != b"1":
                sys.exit(f"{file}: {about}")
        answer[folder.name] = first
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
