"""A picture of what `dragoman evaluate` found: a heat map of the pairs of languages, and a reliability diagram.

This is the only module that needs matplotlib (the extra `plot`), and only once something is drawn.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.errors import ExtraMissing, UnwritablePicture
from service.evaluation.calibration import BINS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg")
MOST_FIGURES = 16  # languages on a side up to which the cells hold their figures
STEP = 0.05  # the heat map's colours begin at a multiple of this, and end at 1


def check(path: Path) -> None:
    """Raise ValueError where no picture can be written to the path, ExtraMissing where matplotlib is not installed."""
    if path.suffix.lower().lstrip(".") not in FORMATS:
        raise ValueError(f"{path.name} is neither a .png nor an .svg file; there are these two kinds of pictures.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent}.")
    if find_spec("matplotlib") is None:
        raise ExtraMissing("Pictures need matplotlib. Install it: pip install dragoman[plot]")


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw a report of `evaluate` (with `calibration`) or of `answerable` into a PNG or SVG file, by its suffix.

    A report of `answerable` has no pairs, and a picture without a heat map. Raises UnwritablePicture.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    pairs = report.get("pairs")
    # Letters stay letters in an SVG, and the same report gives the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "dragoman", "text.parse_math": False}):
        figure = Figure(figsize=(13.5, 6.5) if pairs else (7, 6.5), layout="constrained")
        axes: list[Axes] = list(figure.subplots(1, 2 if pairs else 1, squeeze=False)[0])
        if pairs:
            _heat_map(axes[0], pairs)
        _reliability(axes[-1], report)
        facts = (report["dataset"], report["model"], f"mode {report['mode']}", f"{report['questions']:,} questions")
        # The font has no more than Latin, Greek, Cyrillic; the name of a folder may be in any script.
        figure.suptitle("  ·  ".join(str(fact).encode("ascii", "replace").decode() for fact in facts))
        kind = path.suffix.lower().lstrip(".")
        try:
            figure.savefig(path, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        except OSError as error:
            raise UnwritablePicture(f"{path} cannot be written: {error.strerror}.") from None


def _heat_map(axes: "Axes", pairs: Mapping[str, Mapping[str, float]]) -> None:
    """Draw nDCG@10 by language of questions (rows) and of passages (columns); what was not measured is blank."""
    cells = {tuple(name.split("->")): figures["ndcg@10"] for name, figures in pairs.items()}
    asked, over = (sorted({pair[side] for pair in cells}) for side in (0, 1))
    values = np.full((len(asked), len(over)), np.nan)
    for (row, column), value in cells.items():
        values[asked.index(row), over.index(column)] = value
    low = min(float(np.floor(np.nanmin(values) / STEP) * STEP), 1 - STEP)
    image = axes.imshow(values, cmap="viridis", vmin=low, vmax=1, aspect="auto")
    if max(values.shape) <= MOST_FIGURES:
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                colour = "black" if value > (low + 1) / 2 else "white"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(over)), over, fontsize=8)
    axes.set_yticks(range(len(asked)), asked, fontsize=8)
    axes.set(xlabel="language of the passages", ylabel="language of the questions", title="nDCG@10")
    colours = axes.figure.colorbar(image, ax=axes)
    colours.ax.tick_params(labelsize=8)


def _reliability(axes: "Axes", report: Mapping[str, Any]) -> None:
    """Draw for each bin its mean relevance against the share of first hits that answer, with their count."""
    bins: Sequence[Mapping[str, float]] = report["reliability"]
    said = "similarity" if report["mode"] == "raw" else "relevance"
    given, answered = [each["relevance"] for each in bins], [each["answered"] for each in bins]
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", linewidth=1, label="as often as it says")
    axes.plot(given, answered, marker="o", linewidth=0.7, label=f"first hits in {BINS} bins, with their number")
    for each in bins:
        place = (each["relevance"], each["answered"])
        axes.annotate(f"{each['count']:,}", place, xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    axes.set(xlim=(-0.03, 1.05), ylim=(-0.03, 1.05), xlabel=f"{said} of the first hit", ylabel="share that answers")
    where = "each pair of languages and all together" if "pairs" in report else "every second article left out"
    error = "" if report["ece"] is None else f", calibration error {report['ece']:.3f}"
    axes.set_title(f"{report['asked']:,} first hits: {where}{error}", fontsize=10)
    axes.legend(loc="lower right", fontsize=8)
