from collections.abc import Mapping
from typing import Any, TypeVar

Option = TypeVar("Option", bound=str)


class ConfigFields:
    """Typed look-ups in a config.

    A value given must equal the one that the weights' shapes imply; one that is absent or null is taken from the
    shapes, else the default holds. Keys that nobody asks for are not looked at: the compiler rejects unknown ones.
    Errors are `ValueError`s that begin with the JSON pointer of the field.
    """

    def __init__(self, config: Mapping[str, Any], inferred: Mapping[str, Any]):
        self._config = config
        self._inferred = inferred

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive integer."""
        value = self._get(key, default)
        if type(value) is not int or value < 1:
            raise ValueError(f"/{key}: expected a positive integer, got {value!r}")
        return value

    def number(self, key: str, default: float) -> float:
        """A positive finite number."""
        value = self._get(key, default)
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise ValueError(f"/{key}: expected a positive number, got {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if type(value) is not bool:
            raise ValueError(f"/{key}: expected true or false, got {value!r}")
        return value

    def choice(self, key: str, *allowed: Option) -> Option:
        """One of `allowed`, whose first is the default."""
        value = self._get(key, allowed[0])
        if value not in allowed:
            raise ValueError(f"/{key}: expected {' or '.join(allowed)}, got {value!r}")
        return value

    def _get(self, key: str, default: Any) -> Any:
        given, found = self._config.get(key), self._inferred.get(key)
        if given is None:
            given = default if found is None else found
        if given is None:
            raise ValueError(f"/{key}: expected a value, got none")
        if found is not None and given != found:
            raise ValueError(f"/{key}: expected {found!r} as the weights have it, got {given!r}")
        return given
