"""The words of the SQL in which rules are written.

Source: "Subscription rule SQL filter syntax" and "Subscription rule SQL action syntax" of Azure Service Bus.
"""

import math
import re
from typing import Final

from localcloud.expressions import ExpressionError, Tokens

KEYWORDS: Final = frozenset(
    {"AND", "OR", "NOT", "IN", "LIKE", "ESCAPE", "IS", "NULL", "EXISTS", "TRUE", "FALSE", "SET", "REMOVE"}
)
_MAX_INTEGER: Final = 2**63 - 1


class SqlTokens(Tokens):
    pattern = re.compile(
        r"""(?P<space>\s+)
          | (?P<text>'(?:[^']|'')*')
          | (?P<name>[^\W\d_]\w*|\[(?:[^\]]|\]\])+\]|"(?:[^"]|"")+")
          | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w))
          | (?P<symbol><>|!=|<=|>=|[=<>+\-*/%(),.;])
        """,
        re.VERBOSE,
    )
    max_length = 1024  # the service's quota

    def value_of(self, kind: str, word: str, position: int) -> tuple[str, str | int | float]:
        match kind:
            case "text":
                return kind, word[1:-1].replace("''", "'")
            case "number":
                return kind, self._number(word, position)
            case "name" if word[0] in '["':
                return kind, word[1:-1].replace(word[-1] * 2, word[-1])
            case "name" if word.upper() in KEYWORDS:
                return "keyword", word.upper()
            case _:
                return kind, word

    def _number(self, word: str, position: int) -> int | float:
        number = int(word) if word.isdigit() else float(word)
        if math.isinf(number) or (isinstance(number, int) and number > _MAX_INTEGER):
            raise ExpressionError(self.text, position, f"{word} is out of range")
        return number
