"""The deploy keys of a machine's clones: made by it, kept as its parameters, and read by nobody else."""

from __future__ import annotations

from .aws import Aws
from .shape import Shape


def keys(aws: Aws, shape: Shape) -> list[tuple[str, str]]:
    """Of each the address of its repository and the public half, from the description: ``TYPE KEY ADDRESS``."""
    below = [{"Key": "Name", "Option": "BeginsWith", "Values": [shape.deploy_keys]}]
    pages = aws.client("ssm").get_paginator("describe_parameters").paginate(ParameterFilters=below)
    said = [one.get("Description", "").split() for page in pages for one in page["Parameters"]]
    return [(words[2], f"{words[0]} {words[1]}") for words in said if len(words) == 3]


def forget(aws: Aws, shape: Shape, key: str) -> None:
    """Delete one, which may be gone."""
    aws.client("ssm").delete_parameters(Names=[shape.deploy_keys + key])
