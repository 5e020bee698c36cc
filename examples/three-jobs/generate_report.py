"""Show how a training went: reads results/training.json, writes results/report.html, whole in one file."""

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the choice of a backend without a screen

RESULTS = Path(__file__).parent / "results"
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Reading digits</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50em; margin: 2em auto; }}
img {{ max-width: 100% }}
</style>
<h1>Reading digits: {accuracy:.2%} of {tested} unseen pictures</h1>
<p>Learned from {learned} pictures in {epochs} epochs.</p>
<img alt="loss and accuracy by epoch" src="data:image/png;base64,{curves}">
<h2>Read wrongly: {wrong}</h2>
<img alt="digits read wrongly" src="data:image/png;base64,{mistakes}">
<h2>Configuration</h2>
<pre>{config}</pre>
</html>
"""


def png(figure: Any) -> str:
    """The figure as base64 of a PNG."""
    out = io.BytesIO()
    figure.savefig(out, dpi=120, bbox_inches="tight")
    plt.close(figure)
    return base64.b64encode(out.getvalue()).decode()


def curves(history: list[dict[str, float]]) -> str:
    """Loss and accuracy by epoch."""
    figure, panes = plt.subplots(1, 2, figsize=(9, 3))
    for pane, what in zip(panes, ("loss", "accuracy"), strict=True):
        pane.plot(range(1, len(history) + 1), [epoch[what] for epoch in history])
        pane.set(title=what, xlabel="epoch")
        pane.grid(alpha=0.3)
    return png(figure)


def gallery(mistakes: list[dict[str, Any]]) -> str:
    """The first ten pictures that were read wrongly."""
    figure, panes = plt.subplots(1, 10, figsize=(9, 1.4))
    for pane in panes:
        pane.axis("off")
    for pane, mistake in zip(panes, mistakes, strict=False):
        pane.imshow(np.reshape(mistake["picture"], (8, 8)), cmap="gray_r")
        pane.set_title("{truth} as {read}".format(**mistake), fontsize=8)
    return png(figure)


def report(training: dict[str, Any]) -> str:
    """The page."""
    return PAGE.format(
        accuracy=training["history"][-1]["accuracy"],
        tested=training["tested"],
        learned=training["learned"],
        epochs=len(training["history"]),
        curves=curves(training["history"]),
        wrong=len(training["mistakes"]),
        mistakes=gallery(training["mistakes"]),
        config=html.escape(json.dumps(training["config"], indent=2)),
    )


def main() -> None:
    """Read, draw, write."""
    page = report(json.loads((RESULTS / "training.json").read_text()))
    (RESULTS / "report.html").write_text(page)
    print(f"report in {RESULTS / 'report.html'}")


if __name__ == "__main__":
    main()
