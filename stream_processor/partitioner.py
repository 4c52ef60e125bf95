"""Which partition a key belongs to. Pure.

The same answer as the Java client, aiokafka and librdkafka's `murmur2_random` give for a key, so that an edge's calls
and its record in the call graph share a partition number whoever writes them.
Source: org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey.
"""

from __future__ import annotations

import struct

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_WORD = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Hash bytes to 32 unsigned bits (MurmurHash2, Kafka's seed)."""
    length = len(data)
    whole = length & ~3
    value = _SEED ^ length
    for word in struct.unpack(f"<{whole >> 2}I", data[:whole]):
        mixed = (word * _MIX) & _WORD
        mixed = ((mixed ^ (mixed >> 24)) * _MIX) & _WORD
        value = ((value * _MIX) & _WORD) ^ mixed
    if length > whole:
        value = ((value ^ int.from_bytes(data[whole:], "little")) * _MIX) & _WORD
    value = ((value ^ (value >> 13)) * _MIX) & _WORD
    return value ^ (value >> 15)
