"""Damage files for the fuzz tests: at random, and as well-formed nonsense."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from hypothesis import strategies as st

from nalm.original.event_records import framed

__all__ = [
    "Reader",
    "damaged",
    "nonsense_cells",
    "nonsense_checkpoint",
    "nonsense_events",
    "nonsense_idx",
    "nonsense_json",
    "nonsense_parquet",
    "nonsense_yaml",
]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 10**400]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["x", "\0", "\x1b]0;x\a", "../../x", "=1", "1e400", "nan", "-inf", "$\\foo{$", "𝟙", "<<", "!!x"]),
)
NONSENSE = st.recursive(
    SCALARS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=8), values, max_size=4),
    max_leaves=8,
)


class Reader(NamedTuple):
    """A reader of a file.

    Arguments:
        path: the file, within a directory with valid files.
        read: reads it.
        seal: returns the file's content with the right checksum, and writes it to the path that it then must have.
        nonsense: draws well-formed nonsense, from the valid content.
    """

    path: Callable[[Path], Path]
    read: Callable[[Path], object]
    nonsense: Callable[[st.DataObject, bytes], bytes]
    seal: Callable[[bytes], bytes] = lambda content: content
    named_by_hash: bool = False


def damaged(data: st.DataObject, reader: Reader, content: bytes) -> bytes:
    kind = data.draw(st.sampled_from(["nonsense", "bits", "bytes", "truncated", "random", "spliced"]), "kind")
    if kind == "nonsense":
        return reader.seal(reader.nonsense(data, content))
    if kind == "random":
        return data.draw(st.binary(max_size=200))
    place = data.draw(st.integers(0, max(0, len(content) - 1)), "place")
    changed = bytearray(content)
    if kind == "bits":
        changed[place] ^= 1 << data.draw(st.integers(0, 7), "bit")
    elif kind == "bytes":
        other = data.draw(st.binary(min_size=1, max_size=8), "bytes")
        changed[place : place + len(other)] = other
    elif kind == "truncated":
        del changed[place:]
    else:
        start = data.draw(st.integers(0, len(content)), "start")
        changed[place:place] = content[start : start + 100]
    sealed = data.draw(st.booleans(), "sealed")
    return reader.seal(bytes(changed)) if sealed else bytes(changed)


def nonsense_in(data: st.DataObject, value: Any) -> Any:
    """Replace one part of a value, or all of it, by nonsense."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(value)))
        return {**value, name: nonsense_in(data, value[name])}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], nonsense_in(data, value[index]), *value[index + 1 :]]
    return data.draw(NONSENSE, "nonsense")


def nonsense_json(data: st.DataObject, content: bytes) -> bytes:
    return json.dumps(nonsense_in(data, json.loads(content))).encode()


def nonsense_yaml(data: st.DataObject, content: bytes) -> bytes:
    return yaml.safe_dump(nonsense_in(data, yaml.safe_load(content)), allow_unicode=True).encode()


def nonsense_cells(data: st.DataObject, content: bytes) -> bytes:
    lines = [line.split(",") for line in content.decode().splitlines()]
    row = data.draw(st.integers(0, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[row]) - 1))
    lines[row][column] = str(data.draw(SCALARS)).encode("utf-8", "replace").decode()
    return "\n".join(map(",".join, lines)).encode()


def nonsense_parquet(data: st.DataObject, content: bytes) -> bytes:
    table = pq.read_table(pa.BufferReader(content))
    metadata = dict(table.schema.metadata or {})
    kind = data.draw(
        st.sampled_from(["metadata", "no metadata", "missing", "type", "rows", "values", "column"]), "kind"
    )
    index = data.draw(st.integers(0, table.num_columns - 1), "column")
    name = table.column_names[index]
    if kind == "metadata":
        metadata[b"nalm"] = json.dumps(nonsense_in(data, json.loads(metadata[b"nalm"]))).encode()
    elif kind == "no metadata":
        metadata = {}
    elif kind == "missing":
        table = table.drop_columns([name])
    elif kind == "rows":
        table = table.slice(0, data.draw(st.sampled_from([0, 1])))
    elif kind == "type":
        table = table.set_column(index, name, pa.array(["x"] * table.num_rows))
    elif kind == "values":
        nothing = pa.nulls(table.num_rows, table.schema.field(name).type)
        table = table.set_column(index, name, nothing)
    else:
        table = table.append_column("more", pa.array([1] * table.num_rows))
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def nonsense_checkpoint(data: st.DataObject, content: bytes) -> bytes:
    saved = torch.load(io.BytesIO(content.partition(b"\n")[2]), weights_only=True)
    buffer = io.BytesIO()
    torch.save(_nonsense_state(data, saved), buffer)
    return b"\n" + buffer.getvalue()


def _nonsense_state(data: st.DataObject, value: Any) -> Any:
    if isinstance(value, dict) and value and data.draw(st.integers(0, 3)):
        name = data.draw(st.sampled_from(sorted(value, key=str)))
        return {**value, name: _nonsense_state(data, value[name])}
    if isinstance(value, torch.Tensor) and data.draw(st.booleans()):
        return data.draw(
            st.sampled_from([value.to(torch.float64), value[..., :0], torch.full_like(value, 2**30), value[None]])
        )
    return data.draw(NONSENSE, "nonsense")


def nonsense_idx(data: st.DataObject, content: bytes) -> bytes:
    sizes = st.sampled_from([-1, 0, 1, 2, 28, 2**16, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)
    head = bytearray(content)
    struct.pack_into(">i", head, 4 * data.draw(st.integers(0, 3)), data.draw(sizes))
    return bytes(head)


def nonsense_events(data: st.DataObject, content: bytes) -> bytes:
    records = [bytearray(record) for record in _records(content)]
    if data.draw(st.booleans()):
        return b"".join(framed(data.draw(st.lists(st.binary(max_size=60), max_size=20))))
    record = records[data.draw(st.integers(0, len(records) - 1))]
    if record:
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    return b"".join(framed([bytes(record) for record in records]))


def _records(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        yield content[start + 12 : start + 12 + length]
        start += length + 16
