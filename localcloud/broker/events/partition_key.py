"""Which partition the events of a key go to: the Event Hubs service's own hash.

Source: the buffered producers of Microsoft's SDKs, which map keys themselves and say of their `PartitionResolver` (.NET
and Java; `partitionKeyToIdMapper` in JavaScript) that it is a port of the service's code. The hash is lookup3 by Bob
Jenkins (his `hashlittle2`, both seeds zero) of the key in UTF-8; its two words become one signed number of 16 bits.

The Python SDK's resolver has the same hash for keys of ASCII, but takes the remainder of a negative one as Python does:
its buffered producer alone sends such keys elsewhere, here as in Azure.
"""

_WORD = 0xFFFFFFFF
_BLOCK_BYTES = 12


def partition_index(key: str, partition_count: int) -> int:
    """The number of the partition from 0: the size of the remainder, which takes the sign of the hash."""
    return abs(hash_code(key)) % partition_count


def hash_code(key: str) -> int:
    """From -32768 to 32767."""
    data = key.encode()
    a = b = c = (0xDEADBEEF + len(data)) & _WORD
    # The last block, even a whole one, is not mixed but finished with; there is none only if there are no bytes.
    last = (len(data) - 1) // _BLOCK_BYTES * _BLOCK_BYTES if data else 0
    for start in range(0, last, _BLOCK_BYTES):
        a, b, c = _mixed(*_plus_block(a, b, c, data[start : start + _BLOCK_BYTES]))
    if data:
        a, b, c = _finished(*_plus_block(a, b, c, data[last:]))
    combined = (b ^ c) & 0xFFFF
    return combined - 0x10000 if combined & 0x8000 else combined


def _plus_block(a: int, b: int, c: int, block: bytes) -> tuple[int, int, int]:
    """Adds three words of 32 bits in little-endian order; missing bytes are zero."""
    first, second, third = (int.from_bytes(block[start : start + 4], "little") for start in (0, 4, 8))
    return (a + first) & _WORD, (b + second) & _WORD, (c + third) & _WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        # Each round changes two of the words; then they change places.
        a, c = ((a - c) & _WORD) ^ _rotated(c, bits), (c + b) & _WORD
        a, b, c = b, c, a
    return a, b, c


def _finished(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotated(b, bits)) & _WORD
        a, b, c = b, c, a
    return c, a, b


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _WORD
