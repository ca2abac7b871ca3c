"""Measure what each kind of evidence adds to the ranking, one after the other, on the same library and questions.

    python -m benchmarks.ablation [--bench ../shared/bench/xquad] [--queries-per-language 100] [--without-priors]

Nothing is fitted here: words or sounds that are left out have weight zero, and the others keep theirs; tokens that are
left out are expected by meaning, as in a library that keeps none. The last row has language means from the very
articles and questions measured. `--without-priors` pretends that nothing is known of the model.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from embed import load_encoder
from index import Library, Mode
from index.fusion import Fusion
from service.engine import Engine
from service.evaluation import Judgments, fill, measures

WITHOUT = {"sounds": ("sounds", "sounds_same"), "words": ("words", "words_same")}


def left_out(fusion: Fusion, *kinds: str) -> Fusion:
    """Return the weights with those of some kinds of evidence at zero."""
    return replace(fusion, **{name: 0.0 for kind in kinds for name in WITHOUT[kind]})


def without_tokens(fusion: Fusion) -> Fusion:
    """Return the weights by which passages without token vectors are ranked."""
    return replace(
        fusion,
        late=0.0,
        meaning=fusion.meaning + fusion.late * fusion.late_slope,
        same=fusion.same + fusion.late * fusion.late_same,
    )


def main() -> None:
    """Print a row for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--queries-per-language", type=int, default=100, help="a sample of so many questions")
    parser.add_argument("--without-priors", action="store_true", help="as a model of which nothing is known")
    asked = parser.parse_args()
    judged = Judgments.read(asked.bench).sampled(asked.queries_per_language, 0)
    encoder = load_encoder()
    with tempfile.TemporaryDirectory() as scratch:
        model = "unknown" if asked.without_priors else encoder.name
        library = Library.open(
            Path(scratch), model=model, fingerprint=encoder.fingerprint, dim=encoder.dim, warming=True
        )
        with Engine(encoder, library) as engine:
            languages = fill(engine, judged.drafts, None)
            whole = library.hybrid.fusion
            steps: list[tuple[str, Mode, Fusion]] = [
                ("raw", "raw", whole),
                ("neutral", "dense", whole),
                ("standardised by language", "hybrid", left_out(without_tokens(whole), "sounds", "words")),
                ("+ sounds", "hybrid", left_out(without_tokens(whole), "words")),
                ("+ words", "hybrid", without_tokens(whole)),
                ("+ late interaction", "hybrid", whole),
                ("neutral, warm", "dense", whole),
                ("all evidence, warm", "hybrid", whole),
            ]
            if asked.without_priors:
                steps = [step for step in steps if step[0] != "+ late interaction"]
            print("| | cross nDCG@10 | mono nDCG@10 | pooled MAP@100 | first in own language |")
            print("|---|---|---|---|---|")
            for name, mode, fusion in steps:
                library.hybrid.fusion = fusion
                found = measures(engine, judged, languages, mode=mode, warm="warm" in name)
                pooled = found["pooled"]
                print(
                    f"| {name} | {found['cross']['ndcg@10']:.3f} | {found['mono']['ndcg@10']:.3f}"
                    f" | {pooled['map@100']:.3f} | {pooled['same_language_top1']:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
