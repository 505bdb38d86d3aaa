"""The converter of a parameter that is annotated as plain `str` or `bytes`: the payload as it came.

The worker has it and azure-functions has not (`bindings/generic.py` of azure-functions-runtime).
"""

from typing import Any

from azure.functions.meta import Datum

_PLAIN = ("string", "bytes", "json", None)


class GenericBinding:
    """Has the methods of azure-functions' converters."""

    @staticmethod
    def check_input_type_annotation(python_type: type) -> bool:
        return issubclass(python_type, str | bytes)

    @staticmethod
    def check_output_type_annotation(python_type: type) -> bool:
        return issubclass(python_type, str | bytes | bytearray)

    @staticmethod
    def decode(datum: Datum, *, trigger_metadata: Any) -> Any:  # noqa: ARG004 - the converters' signature
        """Raises `ValueError` for a batch or an HTTP request, which have no plain form."""
        if datum.type not in _PLAIN:
            raise ValueError('unexpected type of data received for the "generic" binding ', repr(datum.type))
        return datum.value
