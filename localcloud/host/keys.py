"""Access keys of a function app: the master key, host keys for all functions, and keys of single functions.

Source: "Work with access keys in Azure Functions". They live as long as the host; settings make the first ones lasting.
"""

import secrets
from enum import IntEnum

from localcloud.host.settings import AppSettings

FUNCTION_KEY_SETTING = "AzureFunctionsLocalFunctionKey"
MASTER_KEY_SETTING = "AzureFunctionsLocalMasterKey"
DEFAULT = "default"
MASTER = "_master"


class AuthLevel(IntEnum):
    """What a key opens; each level includes those below it."""

    ANONYMOUS = 0
    FUNCTION = 1
    ADMIN = 2

    @classmethod
    def of(cls, name: object) -> "AuthLevel":
        """The level that a trigger asks for; `function` unless it says otherwise."""
        return cls[str(name or "function").upper()]


class KeyRing:
    """All keys of one app, by scope: None for the host's keys, else a function's name."""

    def __init__(self, settings: AppSettings) -> None:
        self.master = settings.get(MASTER_KEY_SETTING) or _new_key()
        self._keys: dict[str | None, dict[str, str]] = {
            None: {DEFAULT: settings.get(FUNCTION_KEY_SETTING) or _new_key()}
        }

    @property
    def function_key(self) -> str:
        """The default host key."""
        return self._keys[None][DEFAULT]

    def of(self, scope: str | None) -> dict[str, str]:
        """The keys of a scope by name; a function has a default one from the start."""
        return self._keys.setdefault(scope, {DEFAULT: _new_key()})

    def put(self, scope: str | None, name: str, value: str | None) -> tuple[str, bool]:
        """Sets a key, to a new random one without `value`; returns it, and whether there was none of this name."""
        value = value or _new_key()
        if scope is None and name == MASTER:
            self.master = value
            return value, False
        keys = self.of(scope)
        is_new = name not in keys
        keys[name] = value
        return value, is_new

    def delete(self, scope: str | None, name: str) -> bool:
        """Whether there was such a key."""
        return self.of(scope).pop(name, None) is not None

    def level(self, given: str, function: str | None) -> AuthLevel:
        """What `given` opens, for a function if one is asked for."""
        if _same(given, self.master):
            return AuthLevel.ADMIN
        valid = [*self.of(None).values(), *(self.of(function).values() if function else ())]
        return AuthLevel.FUNCTION if any(_same(given, key) for key in valid) else AuthLevel.ANONYMOUS


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())


def _new_key() -> str:
    return secrets.token_urlsafe(32)
