"""What `dragoman evaluate` prints for people: measures, two modes side by side, how far relevance is to be believed."""

from typing import Any

from service.cli.terminal import clean, out, print_rows, print_table

MEASURES = ("ndcg@10", "recall@1", "recall@10", "mrr@10")
MOST_PAIRS = 20  # pairs of languages that a comparison shows; of more, the half of it that differ most


def print_measures(report: dict[str, Any]) -> None:
    """Print the measures of a mode."""
    rows = [
        [pair, str(figures["queries"]), *(f"{figures[name]:.3f}" for name in MEASURES)]
        for pair, figures in report["pairs"].items()
    ]
    for name in ("mono", "cross"):
        means = report[name]
        if means["pairs"]:
            rows.append([f"mean of {means['pairs']} {name}", "", *(f"{means[each]:.3f}" for each in MEASURES)])
    out(f"{clean(report['dataset'])}  {clean(report['model'])}  {report['mode']}  {report['seconds']} s")
    print_table(("pair", "questions", *MEASURES), rows)
    print_rows([(f"pooled {name}", f"{value:.3f}") for name, value in report["pooled"].items()])


def print_comparison(report: dict[str, Any], by: str = "mode") -> None:
    """Print two modes side by side, or two of whatever else they are told apart `by`."""
    a, b, compared = report["a"], report["b"], report["comparison"]
    shown = pairs = list(compared["pairs"].items())
    if len(pairs) > MOST_PAIRS:
        shown = sorted(pairs, key=lambda item: -abs(item[1]["difference"]))[: MOST_PAIRS // 2]
    rows = [[pair, *_compared(figures), f"{figures['p_holm']:.5f}"] for pair, figures in shown]
    rows += [[name, *_compared(compared[name]), ""] for name in ("mono", "cross", "pooled") if compared[name]]
    seconds = f"{a['seconds']} and {b['seconds']} s"
    names = clean(a[by]), clean(b[by])
    same = clean(a["model" if by == "mode" else "mode"])
    out(f"{clean(a['dataset'])}  {same}  nDCG@10 of {names[0]} and {names[1]}  {seconds}")
    print_table(("pair", "questions", *names, "difference", "p", "p, Holm"), rows)
    if len(shown) < len(pairs):
        out(f"These pairs differ most; --json has the other {len(pairs) - len(shown)}.")


def print_answerable(report: dict[str, Any]) -> None:
    """Print how far relevance is to be believed."""
    facts = {name: value for name, value in report.items() if name != "reliability"}
    print_rows([(name, clean(str(value))) for name, value in facts.items()])
    bins = [[str(each) for each in found.values()] for found in report["reliability"]]
    print_table(("first hits", "relevance", "answered"), bins)


def _compared(figures: dict[str, Any]) -> list[str]:
    told = [f"{figures['a']:.3f}", f"{figures['b']:.3f}", f"{figures['difference']:+.3f}", f"{figures['p']:.5f}"]
    return [str(figures["queries"]), *told]
