"""Frame records of TensorBoard's event files with their lengths and checksums.

TensorBoard's own writer computes one checksum at a time, byte by byte in Python; here many are computed at once.
"""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["framed"]

Checksums = npt.NDArray[np.uint32]

POLYNOMIAL = 0x82F63B78
"""Polynomial of CRC-32C, with its bits reversed."""
MASK = 0xA282EAD8
"""Number that the format adds to a checksum."""


def framed(records: Sequence[bytes]) -> list[bytes]:
    """Return each record as it is written to a file: its length, the length's checksum, the record, its checksum.

    References: TFRecord, https://www.tensorflow.org/tutorials/load_data/tfrecord
    """
    lengths = [struct.pack("<Q", len(record)) for record in records]
    checked = zip(lengths, _masked_checksums(lengths), records, _masked_checksums(records), strict=True)
    return [b"".join(parts) for parts in checked]


def _masked_checksums(texts: Sequence[bytes]) -> list[bytes]:
    """Return the CRC-32C of each text, rotated and shifted as the format demands."""
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
    found = ~sums
    masked = ((found >> 15) | (found << 17)) + np.uint32(MASK)
    unsorted = np.empty_like(masked)
    unsorted[order] = masked
    return [struct.pack("<I", checksum) for checksum in unsorted.tolist()]


def _table() -> Checksums:
    """Return what a checksum changes by, for each byte."""
    table: Checksums = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ (table & np.uint32(1)) * np.uint32(POLYNOMIAL)
    return table


TABLE = _table()
