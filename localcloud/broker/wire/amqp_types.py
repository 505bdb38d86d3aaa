"""The AMQP 1.0 types that Python's own do not tell apart (OASIS AMQP 1.0, part 1: types)."""


class Malformed(Exception):  # noqa: N818 - reads as what the bytes are
    """Bytes that are no AMQP 1.0."""


class Symbol(str):
    """An ASCII name of a constrained domain."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970."""

    __slots__ = ()


class UByte(int):
    __slots__ = ()


class UShort(int):
    __slots__ = ()


class UInt(int):
    __slots__ = ()


class ULong(int):
    __slots__ = ()


class Int(int):
    """32 bits; a plain `int` is encoded as a long."""

    __slots__ = ()


class Encoded(bytes):
    """A value that is encoded already, constructor included."""

    __slots__ = ()


class Array(list[object]):
    """Values of one type, which is encoded once."""

    __slots__ = ()


class Described:
    """A value with the descriptor that says what it means."""

    __slots__ = ("descriptor", "value")

    def __init__(self, descriptor: object, value: object) -> None:
        self.descriptor = descriptor
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Described):
            return NotImplemented
        return self.descriptor == other.descriptor and self.value == other.value

    def __hash__(self) -> int:
        return hash((self.descriptor, self.value))

    def __repr__(self) -> str:
        return f"Described({self.descriptor!r}, {self.value!r})"
