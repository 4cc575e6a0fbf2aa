from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .limits import LIMITS, MAX_CHOICES, MAX_ITEMS

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
        """An integer within the key's limits."""
        value = self._get(key, default)
        if not self._fits(key, value, int):
            raise ValueError(f"/{self._path}{key}: expected an integer{self._range(key)}, got {value!r}")
        return int(value)

    def number(self, key: str, default: float | None = None) -> float:
        """A number within the key's limits."""
        value = self._get(key, default)
        if not self._fits(key, value, int, float):
            raise ValueError(f"/{self._path}{key}: expected a number{self._range(key)}, got {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if type(value) is not bool:
            raise ValueError(f"/{self._path}{key}: expected true or false, got {value!r}")
        return value

    def choice(self, key: str, *allowed: Option, required: bool = False) -> Option:
        """One of `allowed`, whose first is the default unless one is `required`."""
        value = self._get(key, None if required else allowed[0])
        if value not in allowed:
            raise ValueError(f"/{self._path}{key}: expected {' or '.join(allowed)}, got {value!r}")
        return value

    def choices(self, key: str, allowed: Sequence[Option], default: Sequence[Option]) -> tuple[Option, ...]:
        """A list of `allowed` ones."""
        value = self._get(key, list(default))
        for place in self._items(key, value, MAX_CHOICES):
            if value[place] not in allowed:
                raise ValueError(f"/{self._path}{key}/{place}: expected {' or '.join(allowed)}, got {value[place]!r}")
        return tuple(value)

    def token(self, key: str, default: int, vocab_size: int) -> int:
        """A token id."""
        value = self._get(key, default)
        if type(value) is not int or not 0 <= value < vocab_size:
            raise ValueError(f"/{self._path}{key}: expected a token id below {vocab_size}, got {value!r}")
        return value

    def tokens(self, key: str, vocab_size: int) -> tuple[int, ...]:
        """A token id or a list of them; none where nothing is said."""
        value = self._get(key, [])
        if not isinstance(value, list):
            return (self.token(key, 0, vocab_size),)
        for place in self._items(key, value, MAX_ITEMS):
            if type(value[place]) is not int or not 0 <= value[place] < vocab_size:
                raise ValueError(
                    f"/{self._path}{key}/{place}: expected a token id below {vocab_size}, got {value[place]!r}"
                )
        return tuple(value)

    def integers(self, key: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """A list of integers within the key's limits."""
        value = self._get(key, default if default is None else list(default))
        for place in self._items(key, value, MAX_ITEMS):
            if not self._fits(key, value[place], int):
                raise ValueError(
                    f"/{self._path}{key}/{place}: expected an integer{self._range(key)}, got {value[place]!r}"
                )
        return tuple(value)

    def optional_numbers(self, key: str, count: int) -> tuple[float | None, ...]:
        """`count` numbers within the key's limits, null where one is open."""
        value = self._get(key, [None] * count)
        if not isinstance(value, list) or len(value) != count:
            raise ValueError(f"/{self._path}{key}: expected a list of {count}, got {value!r}")
        for place, item in enumerate(value):
            if item is not None and not self._fits(key, item, int, float):
                raise ValueError(
                    f"/{self._path}{key}/{place}: expected a number{self._range(key)} or null, got {item!r}"
                )
        return tuple(item if item is None else float(item) for item in value)

    def object(self, key: str) -> "ConfigFields | None":
        """The fields of an object; None where it is null or absent."""
        value = self._config.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"/{self._path}{key}: expected an object or null, got {value!r}")
        return value if value is None else ConfigFields(value, {}, f"{self._path}{key}/")

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

    def _fits(self, key: str, value: object, *types: type) -> bool:
        least, most = self._limits(key)
        return type(value) in types and least <= value <= most  # type: ignore[operator]

    def _range(self, key: str) -> str:
        return " in {} ... {}".format(*(int(x) if x == int(x) else f"{x:g}" for x in self._limits(key)))

    def _limits(self, key: str) -> tuple[float, float]:
        return LIMITS["/".join(step for step in f"{self._path}{key}".split("/") if not step.isdecimal())]

    def _items(self, key: str, value: object, most: int) -> range:
        """The places of a list."""
        if not isinstance(value, list):
            raise ValueError(f"/{self._path}{key}: expected a list, got {value!r}")
        if len(value) > most:
            raise ValueError(f"/{self._path}{key}: expected a list of at most {most}, got {len(value)}")
        return range(len(value))

    def _get(self, key: str, default: Any) -> Any:
        given, found = self._config.get(key), self._inferred.get(key)
        if given is None:
            given = default if found is None else found
        if given is None:
            raise ValueError(f"/{self._path}{key}: expected a value, got none")
        if found is not None and given != found:
            raise ValueError(f"/{self._path}{key}: expected {found!r} as the weights have it, got {given!r}")
        return given
