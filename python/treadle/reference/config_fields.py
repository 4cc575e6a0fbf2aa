from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

Option = TypeVar("Option", bound=str)


class ConfigFields:
    """Typed look-ups in a config.

    A value given must equal the one that the weights' shapes imply; one that is absent or null is taken from the
    shapes, else the default holds. Keys that nobody asks for are not looked at: the compiler rejects unknown ones.
    Errors are `ValueError`s that begin with the JSON pointer of the field.
    """

    def __init__(self, config: Mapping[str, Any], inferred: Mapping[str, Any], path: str = ""):
        self._config = config
        self._inferred = inferred
        self._path = path

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive integer."""
        value = self._get(key, default)
        if type(value) is not int or value < 1:
            raise ValueError(f"/{self._path}{key}: expected a positive integer, got {value!r}")
        return value

    def count(self, key: str, default: int, most: int) -> int:
        """An integer in 0 ... most."""
        value = self._get(key, default)
        if type(value) is not int or not 0 <= value <= most:
            raise ValueError(f"/{self._path}{key}: expected an integer in 0 ... {most}, got {value!r}")
        return value

    def number(self, key: str, default: float, least: float = 0, most: float = float("inf")) -> float:
        """A positive finite number in [least, most]."""
        value = self._get(key, default)
        if type(value) not in (int, float) or not (0 < value < float("inf") and least <= value <= most):
            limits = f" in {least:g} ... {most:g}" if (least, most) != (0, float("inf")) else ""
            raise ValueError(f"/{self._path}{key}: expected a positive number{limits}, got {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if type(value) is not bool:
            raise ValueError(f"/{self._path}{key}: expected true or false, got {value!r}")
        return value

    def choice(self, key: str, *allowed: Option) -> Option:
        """One of `allowed`, whose first is the default."""
        value = self._get(key, allowed[0])
        if value not in allowed:
            raise ValueError(f"/{self._path}{key}: expected {' or '.join(allowed)}, got {value!r}")
        return value

    def choices(self, key: str, allowed: Sequence[Option], default: Sequence[Option]) -> tuple[Option, ...]:
        """A list of `allowed` ones."""
        value = self._get(key, list(default))
        if not isinstance(value, list) or not all(item in allowed for item in value):
            raise ValueError(f"/{self._path}{key}: expected a list of {' or '.join(allowed)}, got {value!r}")
        return tuple(value)

    def token(self, key: str, default: int, vocab_size: int) -> int:
        """A token id."""
        value = self._get(key, default)
        if type(value) is not int or not 0 <= value < vocab_size:
            raise ValueError(f"/{self._path}{key}: expected a token id below {vocab_size}, got {value!r}")
        return value

    def integers(self, key: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """A list of positive integers."""
        value = self._get(key, default if default is None else list(default))
        if not isinstance(value, list) or not all(type(item) is int and item > 0 for item in value):
            raise ValueError(f"/{self._path}{key}: expected a list of positive integers, got {value!r}")
        return tuple(value)

    def optional_numbers(self, key: str, count: int) -> tuple[float | None, ...]:
        """`count` positive numbers, null where one is open."""
        value = self._get(key, [None] * count)
        if not isinstance(value, list) or len(value) != count:
            raise ValueError(f"/{self._path}{key}: expected a list of {count}, got {value!r}")
        for i, item in enumerate(value):
            if item is not None and (type(item) not in (int, float) or not 0 < item < float("inf")):
                raise ValueError(f"/{self._path}{key}/{i}: expected a positive number or null, got {item!r}")
        return tuple(item if item is None else float(item) for item in value)

    def optional_objects(self, key: str, count: int) -> tuple["ConfigFields | None", ...]:
        """`count` objects, null where one is absent."""
        value = self._get(key, [None] * count)
        if not isinstance(value, list) or len(value) != count:
            raise ValueError(f"/{self._path}{key}: expected a list of {count}, got {value!r}")
        for i, item in enumerate(value):
            if item is not None and not isinstance(item, dict):
                raise ValueError(f"/{self._path}{key}/{i}: expected an object or null, got {item!r}")
        return tuple(item if item is None else ConfigFields(item, {}, f"{key}/{i}/") for i, item in enumerate(value))

    def is_inferred(self, key: str) -> bool:
        """Whether the weights settle that field."""
        return self._inferred.get(key) is not None

    def _get(self, key: str, default: Any) -> Any:
        given, found = self._config.get(key), self._inferred.get(key)
        if given is None:
            given = default if found is None else found
        if given is None:
            raise ValueError(f"/{self._path}{key}: expected a value, got none")
        if found is not None and given != found:
            raise ValueError(f"/{self._path}{key}: expected {found!r} as the weights have it, got {given!r}")
        return given
