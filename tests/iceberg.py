"""Reads all tables of a namespace in an Iceberg catalog with PyIceberg and DuckDB, which must agree.

What to read is JSON on standard input: uri, warehouse, namespace, id, secret, endpoint, region. Prints {"<table>":
{"rows": [row, ...], "snapshots": [summary, ...], "files": [path, ...], "recent": number, "manifests": number}} as JSON.

With the name of another function as argument it does that instead."""

import datetime
import importlib
import json
import pathlib
import sys

import duckdb
import pyarrow
import pyarrow.parquet
import pyiceberg.catalog

from tables import rows

TODAY = datetime.datetime.now(datetime.timezone.utc).date()


def extension(name):
    """Path of a DuckDB extension in its Python package."""
    package = pathlib.Path(importlib.import_module(f"duckdb_extension_{name}").__file__).parent
    return next(package.rglob(f"{name}.duckdb_extension"))


def with_duckdb(where):
    """Asks DuckDB about each table."""
    database = duckdb.connect()
    for name in ("httpfs", "avro", "iceberg"):
        database.execute(f"load '{extension(name)}'")
    host = where["endpoint"].removeprefix("http://")
    database.execute(f"""
        set timezone = 'UTC';
        create secret store (type s3, key_id '{where["id"]}', secret '{where["secret"]}', endpoint '{host}',
            url_style 'path', use_ssl false, region '{where["region"]}');
        create secret catalog (type iceberg, client_id '{where["id"]}', client_secret '{where["secret"]}',
            oauth2_server_uri '{where["uri"]}/v1/oauth/tokens');
        attach '{where["warehouse"]}' as lake (type iceberg, endpoint '{where["uri"]}', secret catalog,
            access_delegation_mode 'none');
    """)
    return lambda table: database.sql(f"select * from lake.{where['namespace']}.{table}").to_arrow_table()


def with_pyiceberg(where):
    """A function that loads each table."""
    catalog = pyiceberg.catalog.load_catalog(
        "lake", type="rest", uri=where["uri"], warehouse=where["warehouse"], credential=f"{where['id']}:{where['secret']}",
        **{"s3.endpoint": where["endpoint"], "s3.access-key-id": where["id"],
           "s3.secret-access-key": where["secret"], "s3.region": where["region"]},
    )
    names = [name for _, name in catalog.list_tables(where["namespace"])]
    return names, lambda table: catalog.load_table((where["namespace"], table))


def intrude(names, load):
    """Adds all rows again, as some other tool might."""
    for name in names:
        table = load(name)
        table.append(table.scan().to_arrow())
    return {name: {"rows": load(name).scan().to_arrow().num_rows} for name in names}


def tag(names, load):
    """Gives the current snapshots a name."""
    for name in names:
        table = load(name)
        table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "kept").commit()
    return {}


def forget_ids(names, load):
    """Writes all files again without field ids, as older versions wrote them."""
    for name in names:
        table = load(name)
        for task in table.scan().plan_files():
            with table.io.new_input(task.file.file_path).open() as file:
                content = pyarrow.parquet.read_table(file)
            about = {key: value for key, value in content.schema.metadata.items() if key != b"ARROW:schema"}
            fields = [field.remove_metadata() for field in content.schema]
            content = content.cast(pyarrow.schema(fields)).replace_schema_metadata(about)
            with table.io.new_output(task.file.file_path).create(overwrite=True) as file:
                pyarrow.parquet.write_table(content, file)
            with table.io.new_input(task.file.file_path).open() as file:
                if any(field.metadata for field in pyarrow.parquet.read_schema(file)):
                    sys.exit(f"{task.file.file_path} has field ids still")
    return {}


def main():
    where = json.load(sys.stdin)
    names, load = with_pyiceberg(where)
    for done in (intrude, tag, forget_ids):
        if sys.argv[1] == done.__name__:
            json.dump(done(names, load), sys.stdout)
            return
    ask = with_duckdb(where)
    answer = {}
    for name in sorted(names):
        table = load(name)
        scan = table.scan()
        found = rows(scan.to_arrow())
        other = rows(ask(name))
        if found != other:
            sys.exit(f"{name}: PyIceberg found {found}, DuckDB found {other}")
        snapshot = table.current_snapshot()
        total = int(snapshot.summary["total-records"]) if snapshot else 0
        if total != len(found):
            sys.exit(f"{name}: {len(found)} rows, the snapshot's summary says {total}")
        recent = table.scan(row_filter=f"date >= '{TODAY - datetime.timedelta(days=1)}'")
        answer[name] = {
            "rows": found,
            "snapshots": [each.summary.model_dump() | {"operation": each.summary.operation.value}
                          for each in table.snapshots()],
            "files": sorted(task.file.file_path for task in scan.plan_files()),
            "recent": len(list(recent.plan_files())),
            "manifests": len(snapshot.manifests(table.io)) if snapshot else 0,
            "metadata": table.metadata_location,
            "former": len(table.metadata.metadata_log),
        }
    json.dump(answer, sys.stdout, default=str)


if __name__ == "__main__":
    main()
