"""What the witnesses state, found by reading their files: nothing is run."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent

_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_BEHAVIOUR: Final = re.compile(rf"^ *behaviour\(\s*({_TEXT}),\s*({_TEXT}),", re.MULTILINE)

_CALL: Final = re.compile(r"\bbehaviour\(")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A documented behaviour that a witness checks."""

    file: Path
    name: str
    reference: str  # a page of Microsoft Learn with its section, or the whole address of another source

    @property
    def feature(self) -> str:
        return self.file.name.removesuffix(".test.mjs")


def behaviours(service: str = "*") -> Sequence[Behaviour]:
    """All behaviours of a service (the name of its folder) or of all services, in the order of the files.

    Raises ValueError as `stated_in` does, and when there are none.
    """
    found = [one for file in sorted(HERE.glob(f"{service}/*.test.mjs")) for one in stated_in(file)]
    if not found:
        raise ValueError(f"no witness of {service} states anything")
    return found


def stated_in(file: Path) -> Sequence[Behaviour]:
    """The behaviours of a file. Raises ValueError for one that is stated twice or in a way that cannot be read here."""
    text = file.read_text(encoding="utf-8")
    found = [Behaviour(file, json.loads(name), json.loads(reference)) for name, reference in _BEHAVIOUR.findall(text)]
    if len(found) != len(_CALL.findall(text)):
        raise ValueError(f"{file.name} states a behaviour whose name and reference are no plain texts")
    if len({one.name for one in found}) != len(found):
        raise ValueError(f"{file.name} states a behaviour twice")
    return found
