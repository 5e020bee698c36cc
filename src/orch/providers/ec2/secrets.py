"""Secrets of a host at AWS: SecureStrings in Parameter Store below its own path, which its role may read.

Invariants
- The host reads them by itself when a job starts; with a submission no value travels.
- ``down`` and ``sweep`` find them by that path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orch.errors import OrchError

from .aws import Aws, code_of, explained
from .shape import Shape

_AT_ONCE = 10  # names that one call may have (GetParameters)


class Parameters:
    """Below ``/orch/HOST/env/``. More than 4 KiB costs 0.05 USD a month (an advanced parameter)."""

    where = "Parameter Store at AWS"
    most = 8192  # bytes, of an advanced parameter (docs.aws.amazon.com, "Managing parameter tiers")
    travels = False

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._path = shape.parameter("env/")

    def names(self) -> Sequence[str]:
        """Without reading any value."""
        with explained():
            pages = self._client().get_paginator("get_parameters_by_path").paginate(Path=self._path)
            return sorted(self._short(one) for page in pages for one in page["Parameters"])

    def put(self, name: str, value: str) -> None:
        """Encrypted with the account's own key for parameters."""
        with explained():
            self._client().put_parameter(
                Name=self._path + name, Value=value, Type="SecureString", Overwrite=True, Tier="Intelligent-Tiering"
            )

    def remove(self, name: str) -> None:
        """Delete it."""
        with explained():
            try:
                self._client().delete_parameter(Name=self._path + name)
            except Exception as error:
                if code_of(error) != "ParameterNotFound":
                    raise
                says = f"no secret {name} is kept for {self._shape.name}"
                raise OrchError("not_found", says, "orch secret list") from None

    def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """For the look whether a command shows one of them: jobs get theirs from the host."""
        found: dict[str, str] = {}
        with explained():
            for at in range(0, len(names), _AT_ONCE):
                asked = [self._path + name for name in names[at : at + _AT_ONCE]]
                said = self._client().get_parameters(Names=asked, WithDecryption=True)
                found.update((self._short(one), one["Value"]) for one in said["Parameters"])
        return found

    def _client(self) -> Any:
        return Aws(self._shape.region, self._shape.profile).client("ssm")

    def _short(self, one: Mapping[str, Any]) -> str:
        return str(one["Name"]).removeprefix(self._path)
