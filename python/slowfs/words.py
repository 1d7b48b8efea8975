"""Python's values in the words of slowfs's command line."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Iterable, List, Mapping, Optional, Union, cast

Time = Union[str, timedelta]
"""A time, as in "300ms", or how it is distributed, as in "exp:5ms"."""

Size = Union[int, str]
"""Bytes, or as in "64KiB"."""

Share = Union[float, str]
"""A share of 1, or as in "1%"."""

Text = Union[str, int, "os.PathLike[str]"]
Texts = Union[str, Iterable[str]]
Numbers = Union[int, Iterable[int]]
Errnos = Union[str, int, Iterable[Union[str, int]]]

Word = Union[str, int, float, timedelta, "os.PathLike[str]", Iterable[Union[str, int]]]


REPEATED = "--and"
"""The option that is typed once for each of its values."""


def word(value: Word) -> str:
    """One value as it is typed."""
    if isinstance(value, str):
        return value
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)}us"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return ",".join(str(part) for part in value)


def typed(named: Mapping[str, Optional[Word]]) -> List[str]:
    """Options as they are typed: `True` is one without a value, `None` and `False` are none."""
    argv = []
    for name, value in named.items():
        if value is True:
            argv.append(name)
        elif name == REPEATED and not isinstance(value, (str, type(None))):
            argv += [f"{name}={each}" for each in cast(Iterable[str], value)]
        elif value is not None and value is not False:
            # A value may begin with a hyphen.
            argv.append(f"{name}={word(value)}")
    return argv
