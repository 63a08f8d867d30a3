"""Frame and read the records of TensorBoard's event files, with their lengths and checksums.

TensorBoard's own code computes one checksum at a time, byte by byte in Python, and its reader takes a damaged record
for the end of the file. Here many checksums are computed at once, and damage is named.

References: TFRecord, https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

import functools
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from nalm.errors import NalmError

__all__ = ["DamagedFileError", "framed", "read_records"]

Checksums = npt.NDArray[np.uint32]

POLYNOMIAL = 0x82F63B78
"""Polynomial of CRC-32C, with its bits reversed."""
MASK = 0xA282EAD8
"""Number that the format adds to a checksum."""
HEAD, CHECKSUM = 12, 4
"""Bytes before a record, its length and the checksum of that, and after it, its own checksum."""
CHECKED_AT_ONCE = 1 << 22
"""Bytes of records whose checksums are computed together, as a table of records by bytes."""
FEW = 16
"""Number of records below which numpy's calls take longer than loops in Python."""
LONGEST = 1 << 28
"""Bytes of a record. The original's have about a hundred."""


class DamagedFileError(NalmError):
    """A file whose checksums show that its content has changed, or that its end is missing."""


def framed(records: Sequence[bytes]) -> list[bytes]:
    """Return each record as it is written to a file: its length, the length's checksum, the record, its checksum."""
    lengths = [struct.pack("<Q", len(record)) for record in records]
    checked = zip(lengths, _masked_checksums(lengths), records, _masked_checksums(records), strict=True)
    return [b"".join(parts) for parts in checked]


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file after checking them.

    Raises:
        DamagedFileError: a checksum is wrong or the file ends within a record.
        NalmError: it is no regular file, or has a record that is too long.
        OSError: the file cannot be read.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise NalmError(f"cannot read {path}: found no regular file, expected an event file of TensorBoard")
        for batch in _batches(_unchecked(file, path, about.st_size)):
            checksums = _masked_checksums([record for _, record, _ in batch])
            for (offset, _, found), expected in zip(batch, checksums, strict=True):
                if found != expected:
                    raise DamagedFileError(f"{path}: found a wrong checksum at byte {offset}: the file is damaged")
            yield from (record for _, record, _ in batch)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would wait for a writer


Unchecked = tuple[int, bytes, bytes]
"""Offset of a record in its file, the record, and its checksum."""


def _unchecked(file: BinaryIO, path: Path, size: int) -> Iterator[Unchecked]:
    """Yield records after checking their lengths."""
    offset = 0
    while head := file.read(HEAD):
        if len(head) == HEAD and _masked_checksum(head[:8]) != head[8:]:
            raise DamagedFileError(f"{path}: found a wrong checksum at byte {offset}: the file is damaged")
        length = int.from_bytes(head[:8], "little")
        if len(head) < HEAD or offset + HEAD + length + CHECKSUM > size:
            raise DamagedFileError(
                f"{path}: found {size - offset} bytes of a longer record at byte {offset}: the end is missing"
            )
        if length > LONGEST:
            raise NalmError(
                f"{path}: found a record of {length:,} bytes at byte {offset}, expected {LONGEST:,} at most"
            )
        yield offset, file.read(length), file.read(CHECKSUM)
        offset += HEAD + length + CHECKSUM


def _batches(records: Iterator[Unchecked]) -> Iterator[list[Unchecked]]:
    """Gather records whose checksums are computed together."""
    batch: list[Unchecked] = []
    longest = 0
    for record in records:
        longest = max(longest, len(record[1]))
        if batch and longest * (len(batch) + 1) > CHECKED_AT_ONCE:
            yield batch
            batch, longest = [], len(record[1])
        batch.append(record)
    if batch:
        yield batch


@functools.lru_cache(maxsize=4096)
def _masked_checksum(text: bytes) -> bytes:
    (checksum,) = _masked_checksums([text])
    return checksum


def _masked_checksums(texts: Sequence[bytes]) -> list[bytes]:
    """Return the CRC-32C of each text, rotated and shifted as the format demands."""
    sums = _checksums(texts) if len(texts) >= FEW else np.array([_checksum(text) for text in texts], np.uint32)
    masked = ((sums >> 15) | (sums << 17)) + np.uint32(MASK)
    return [struct.pack("<I", checksum) for checksum in masked.tolist()]


def _checksums(texts: Sequence[bytes]) -> Checksums:
    """Return the CRC-32C of many texts, byte by byte of all of them."""
    sizes = np.array([len(text) for text in texts])
    order = np.argsort(-sizes, kind="stable")
    letters = np.zeros((len(texts), int(sizes.max(initial=0))), np.uint8)
    for row, index in zip(letters, order, strict=True):
        row[: sizes[index]] = np.frombuffer(texts[index], np.uint8)
    sums = np.full(len(texts), 0xFFFFFFFF, np.uint32)
    longer = np.searchsorted(-sizes[order], -np.arange(letters.shape[1]))
    for count, column in zip(longer, np.ascontiguousarray(letters.T), strict=True):
        left = sums[:count]  # the texts that are longer come first
        sums[:count] = TABLE[(left ^ column[:count]) & 255] ^ (left >> 8)
    unsorted = np.empty_like(sums)
    unsorted[order] = ~sums
    return unsorted


def _checksum(text: bytes) -> int:
    """Return the CRC-32C of a text, which may be long."""
    found = 0xFFFFFFFF
    for byte in text:
        found = ENTRIES[(found ^ byte) & 255] ^ (found >> 8)
    return found ^ 0xFFFFFFFF


def _table() -> Checksums:
    """Return what a checksum changes by, for each byte."""
    table: Checksums = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ (table & np.uint32(1)) * np.uint32(POLYNOMIAL)
    return table


TABLE = _table()
ENTRIES: list[int] = TABLE.tolist()
