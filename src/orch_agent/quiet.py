"""What has GitHub's command line ask nobody anything, and print nothing but its answer; on both sides."""

from __future__ import annotations

GH = {
    "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GH_NO_EXTENSION_UPDATE_NOTIFIER": "1",
    "GH_TELEMETRY": "0",
    "GH_PAGER": "cat",
    "GH_SPINNER_DISABLED": "1",
    "NO_COLOR": "1",
    "CLICOLOR_FORCE": "0",
}
"""Variables of its environment."""
