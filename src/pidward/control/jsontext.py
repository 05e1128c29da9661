"""JSON text to values and back, without importing the ``json`` package.

``pidward status`` should be over before anyone notices, and ``import json`` costs half of its time: regular
expressions that only the package's slow paths need. ``_json`` holds the C functions the package itself is made of;
where a Python has no ``_json``, the package serves.

Strict: one value, no NaN or Infinity, and every fault is a ValueError.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_WHITESPACE = " \t\r\n"


def _refuse_constant(name: str) -> "NoReturn":
    raise ValueError(f"{name} is not JSON")


def _refuse_value(value: object) -> "NoReturn":
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


try:
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    class _Context:
        """What the C scanner asks of its decoder."""

        strict = True
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = staticmethod(_refuse_constant)

    _scan: "Any" = make_scanner(_Context)  # type: ignore[arg-type]
    # no circle check, default, strings, indent, the two separators, sort_keys, skipkeys, allow_nan
    _write: "Any" = make_encoder(None, _refuse_value, encode_basestring_ascii, None, ":", ",", False, False, False)
except (ImportError, TypeError):
    from json import JSONDecoder, JSONEncoder

    _scan = JSONDecoder(parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]
    _encoder = JSONEncoder(separators=(",", ":"), allow_nan=False, default=_refuse_value)

    def _write(value: object, _level: int) -> "tuple[str, ...]":
        return (_encoder.encode(value),)


def decode(text: str) -> object:
    """Read the one JSON value that the text is. Raises ValueError with what is wrong."""
    text = text.strip(_WHITESPACE)
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except SystemError:
        # The C scanner takes its exception out of this module, and until Python 3.12 does not import it itself.
        import json.decoder  # noqa: PLC0415

        return json.decoder.JSONDecoder(parse_constant=_refuse_constant).decode(text)
    if end != len(text):
        raise ValueError("more than one JSON value")
    result: object = value
    return result


def encode(value: object) -> str:
    """Write a value as JSON in ASCII, in one line. Raises ValueError or TypeError for what JSON cannot say."""
    return "".join(_write(value, 0))
