"""GitHub, imitated as far as codespaces go: the unmodified gh talks to it through a Unix socket.

    gh --HTTP--> wire, api (space_api, secret_api, graphql, tunnels) --> fleet, secrets, tokens
    gh --WebSocket--> relay --> services (the host's own, in gRPC), and the sshd of a codespace

A codespace is a machine of namespaces (``space``). What GitHub is known to do is in docs/codespaces.md.
"""

from tests.support.github.documents import LOGIN, MACHINES, REPOSITORY
from tests.support.github.hub import GitHub
from tests.support.github.laptop import GitHubLaptop
from tests.support.github.space import Codespace
from tests.support.github.tokens import LAPTOP

__all__ = ["LAPTOP", "LOGIN", "MACHINES", "REPOSITORY", "Codespace", "GitHub", "GitHubLaptop"]
