"""What is wrong with a JSON body, in words for the person who reads the list of parked messages."""

BODY_ERRORS = (ValueError, RecursionError)
"""What msgspec raises for a body that does not fit: its own errors, no UTF-8, nesting without end."""


def fault(error: Exception) -> str:
    """The reason for a decoder's refusal; msgspec's own words name the field."""
    match error:
        case RecursionError():
            return "the JSON is nested too deeply"
        case UnicodeDecodeError():
            return "the text is not UTF-8"
        case _:
            return str(error)
