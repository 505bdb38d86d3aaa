"""The words of the query language of IoT Hub.

Source: "IoT Hub query language" (expressions and conditions) and "IoT Hub message routing query syntax" (limitations).
"""

import math
import re
from typing import Final

from localcloud.expressions import ExpressionError, Tokens

KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "TRUE", "FALSE", "NULL", "UNDEFINED", "IN", "NIN"})
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


class QueryTokens(Tokens):
    pattern = re.compile(
        r"""(?P<space>\s+)
          | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
          | (?P<number>0[xX][0-9a-fA-F]+(?!\w)|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
          | (?P<name>\$?[^\W\d](?:[\w.\-$]|\[\d+\])*)
          | (?P<symbol>!=|<>|<=|>=|[=<>()+\-*/%,\[\]])
        """,
        re.VERBOSE,
    )
    max_length = 4096  # nothing is documented, but a bound there must be

    def value_of(self, kind: str, word: str, position: int) -> tuple[str, str | float]:
        match kind:
            case "text":
                return kind, self._unescape(word[1:-1], position)
            case "number":
                return kind, self._number(word, position)
            case "name" if word.upper() in KEYWORDS:
                return "keyword", word.upper()
            case _:
                return kind, word

    def _unescape(self, text: str, position: int) -> str:
        def character(match: re.Match[str]) -> str:
            escape = match[1]
            if len(escape) == 5:
                return chr(int(escape[1:], 16))
            if escape not in "'\"\\":
                raise ExpressionError(self.text, position, f"the escape \\{escape} is not supported")
            return escape

        return _ESCAPE.sub(character, text)

    def _number(self, word: str, position: int) -> float:
        number = float(int(word, 16)) if word[:2].lower() == "0x" and len(word) < 64 else float(word)
        if math.isinf(number):
            raise ExpressionError(self.text, position, f"{word} is out of range")
        return number
