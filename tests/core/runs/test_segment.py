"""Segments of the index of a store's runs: rows by run, the latest of each, and nothing but rows."""

import contextlib
import gzip
import sqlite3

import pytest

from trainstack.core.runs import segment
from trainstack.errors import TrainstackError


def row(run_id, version="v1", name="net", record="{}"):
    return [run_id, version, name, "completed", "1.5", record]


def segment_of(*rows):
    with contextlib.closing(segment.merged([], rows)) as database:
        return segment.packed(database)


def ids(database):
    return dict(database.execute("SELECT id, version FROM runs"))


def test_later_rows_count():
    segments = [segment_of(row("a"), row("b")), segment_of(row("b", "v2"), row("c"))]
    with contextlib.closing(segment.merged(segments, [row("c", "v3")])) as database:
        assert ids(database) == {"a": "v1", "b": "v2", "c": "v3"}


def test_a_packed_segment_has_its_indexes():
    with contextlib.closing(segment.merged([segment_of(row("a"))])) as database:
        plan = database.execute(
            "EXPLAIN QUERY PLAN SELECT record FROM runs WHERE name = 'net' AND status IN ('failed') "
            "ORDER BY created DESC LIMIT 5"
        ).fetchall()
    assert "named" in plan[0][3]


@pytest.mark.parametrize("damaged", [b"", b"no gzip", segment_of(row("a"))[:-9], gzip.compress(b"no database" * 99)])
def test_a_damaged_segment_is_named(damaged):
    with pytest.raises(TrainstackError, match="segment of the index of runs is damaged"):
        segment.merged([damaged])


def test_a_segment_with_a_program_is_refused():
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        for statement in (segment.TABLE, *segment.INDEXES.values()):
            database.execute(statement)
        database.execute("CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END")
        strange = segment.packed(database)
    for segments in ([strange], [segment_of(row("a")), strange]):
        with pytest.raises(TrainstackError, match="another layout"):
            segment.merged(segments)
