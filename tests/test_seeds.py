"""The promise of the first page: the seed articles answer questions in many languages, with the real default model."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from embed import Encoder
from index import Library, Mode
from service.engine import Engine
from service.evaluation import evaluate
from service.reading import Draft, read_path

pytestmark = pytest.mark.model

SEEDS = Path(__file__).parent.parent / "seeds"


@pytest.fixture(scope="module")
def seeded(model: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine over the two seed articles."""
    folder = tmp_path_factory.mktemp("seeded")
    with Library.open(folder, model=model.name, fingerprint=model.fingerprint, dim=model.dim) as library:
        engine = Engine(model, library)
        read = [draft for path in sorted(SEEDS.glob("*.txt")) for draft in read_path(path)]
        list(engine.add(draft for draft in read if isinstance(draft, Draft)))
        yield engine


@pytest.mark.parametrize(
    ("question", "language", "words"),
    [
        ("By how much did trade between Russia and Belarus grow this year?", "hi", "36 प्रतिशत"),
        ("Which aircraft plant did Kim Jong Un visit?", "bn", "বিমান কারখানা"),
        ("What do the aircraft plants in Belarus produce?", "hi", "विमान निर्माण संयंत्र"),
        ("nuclear-capable bombers sent on patrol", "hi", "बमवर्षक"),
        ("disputed presidential election of August 2020", "hi", "अगस्त 2020"),
        ("five packages of sanctions are stupid, said Lukashenko", "hi", "पांच प्रतिबंध पैकेज"),
        ("Will Russia break the United Nations sanctions on North Korea?", "bn", "জাতিসংঘের নিষেধাজ্ঞা"),
        ("На сколько процентов выросла торговля с Белоруссией?", "hi", "36 प्रतिशत"),
        ("किम ने लड़ाकू विमान का कारखाना कहाँ देखा?", "bn", "বিমান কারখানা"),
        ("রাশিয়া ও বেলারুশের বাণিজ্য কত বেড়েছে?", "hi", "36 प्रतिशत"),
    ],
)
def test_the_passage_that_answers_comes_first(seeded: Engine, question: str, language: str, words: str) -> None:
    """A question in English, Russian, Hindi or Bengali is answered from the article that says it, at rank 1."""
    first = seeded.search(question).hits[0]

    assert first.article.language == language
    assert words in first.passage.text


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("By how much did trade between Russia and Belarus grow this year?", "36 प्रतिशत"),
        ("By how much did trade between Russia and Belarus grow?", "36 प्रतिशत"),
        ("রাশিয়া ও বেলারুশের বাণিজ্য কত শতাংশ বেড়েছে?", "36 प्रतिशत"),
        ("যৌথ সামরিক মহড়া কবে হবে?", "अगले साल की शुरुआत"),
        ("What did the United States accuse Russia of?", "आक्रमण की तैयारी करने का आरोप"),
        ("Which aircraft plant did Kim Jong Un visit?", "বিমান কারখানা"),
        ("September war games of 200,000 troops", "200,000"),
        ("mass protests against the disputed election of August 2020", "अगस्त 2020"),
    ],
)
def test_the_best_sentence_is_the_one_that_answers(seeded: Engine, question: str, words: str) -> None:
    """Of the first passage, the sentence that a judge would underline."""
    answer = seeded.search(question)
    span = answer.sentences[0]

    assert span is not None
    hit = answer.hits[0]
    assert hit.passage.start <= span[0] < span[1] <= hit.passage.end
    assert words in hit.article.text[span[0] : span[1]]


@pytest.mark.parametrize(
    ("question", "language", "met"),
    [
        ("Which aircraft plant did Kim visit?", "bn", {"aircraft": "বিমান", "plant": "কারখানা", "visit": "পরিদর্শন"}),
        ("What do aircraft plants in Belarus produce?", "hi", {"Belarus": "बेलारूस", "produce": "उत्पाद"}),
        ('-war "रूस" trade grew', "hi", {"trade": "व्यापार", "grew": "वृद्धि"}),
        ("На сколько процентов выросла торговля?", "hi", {"процентов": "प्रतिशत", "торговля": "व्यापार"}),
        ("北朝鮮の指導者はどの航空機工場を訪れたか", "bn", {"工場": "কারখানা"}),
    ],
)
def test_words_meet_those_that_mean_the_same(seeded: Engine, question: str, language: str, met: dict[str, str]) -> None:
    """Of the first passage in another language and script, as characters of the question and of the article."""
    answer = seeded.search(question, languages=[language], explain=True, limit=1)
    hit, why = answer.hits[0], answer.explanations[0]

    assert why is not None
    found = {question[slice(*each.query)]: hit.article.text[slice(*each.passage)] for each in why.words}
    assert met.items() <= found.items()
    assert "war" not in found


@pytest.mark.parametrize("mode", ["hybrid", "raw"])
def test_shares_sum_to_the_similarity_and_the_rest_is_small(seeded: Engine, mode: Mode) -> None:
    """By the vectors that are stored, from tokens encoded now: prompt and special tokens add least of a passage."""
    answer = seeded.search("trade with Belarus", mode=mode, explain=True)

    for hit, why in zip(answer.hits, answer.explanations, strict=True):
        assert why is not None
        assert sum(each.share for each in why.tokens) + why.rest == pytest.approx(hit.similarity, abs=1e-9)
        assert sum(each.share for each in why.query_tokens) + why.query_rest == pytest.approx(hit.similarity, abs=1e-9)
        assert abs(why.rest) < 0.15 * hit.similarity
        tokens = [hit.article.text[each.start : each.end] for each in why.tokens]
        assert "".join(tokens) == "".join(hit.passage.text.split())


def test_a_language_filter_returns_that_language_only(seeded: Engine) -> None:
    """With languages=["bn"] every Bengali passage can come, and no Hindi one."""
    hits = seeded.search("trade with Belarus", languages=["bn"], limit=100).hits

    assert {hit.article.language for hit in hits} == {"bn"}
    assert {hit.passage.article_id for hit in hits} == {hits[0].article.id}


WIRE = """Russian President Vladimir Putin met his Belarusian ally Alexander Lukashenko in Sochi on Friday. Lukashenko \
suggested that Minsk could join Moscow's efforts to revive an old alliance with Pyongyang after this week's summit \
with North Korean leader Kim Jong Un.

Putin briefed him on Wednesday's talks with Kim at the Vostochny spaceport. "We could think about three-way \
cooperation," Lukashenko replied.

Kim went on to an aircraft plant in Komsomolsk-on-Amur on Friday and is expected in Vladivostok on Saturday, where he \
will see warships of the Pacific Fleet.

Washington believes that Kim will supply ammunition for use in Ukraine in return for weapons technology, which would \
break United Nations sanctions. "We never violate anything," Putin told reporters."""

TRAIN = """Kim Jong Un has arrived back in Pyongyang aboard his armoured train after a week-long tour of Russia, state \
media reported. He was given drones and a bulletproof vest by a regional governor before crossing the border.

Crowds greeted the North Korean leader at the station with flowers, the agency said."""


def test_a_wire_copy_and_its_original_are_one_story_and_other_news_of_the_same_men_another(
    model: Encoder, tmp_path: Path
) -> None:
    """An English rewriting is a source of what the Bengali article tells; the Hindi one tells of another meeting."""
    with Library.open(tmp_path, model=model.name, fingerprint=model.fingerprint, dim=model.dim) as library:
        engine = Engine(model, library)
        read = [draft for path in sorted(SEEDS.glob("*.txt")) for draft in read_path(path)]
        list(engine.add(draft for draft in read if isinstance(draft, Draft)))
        list(engine.add([Draft(WIRE, id="wire", source="agency"), Draft(TRAIN, id="home")]))

        answer = engine.search("What did Lukashenko propose to Putin?", group="story")

    stories = [{each.article.id[:4] for each in (hit, *hit.sources)} for hit in answer.hits]
    assert {"wire", "000_"} in stories
    assert {"004_"} in stories
    assert {"home"} in stories
    assert len(stories) == 3
    together = next(hit for hit in answer.hits if hit.sources)
    assert {each.passage.article_id for each in together.passages} == {together.article.id}
    assert all(answer.inner_sentences[each.row] for each in together.inner())


def test_an_unrelated_question_is_less_relevant_than_any_that_is_answered(seeded: Engine) -> None:
    """Relevance tells a question that the library answers from one that it does not."""
    answered = seeded.search("How much did trade between Russia and Belarus grow?").hits[0].relevance
    unrelated = seeded.search("How do I bake sourdough bread at home?").hits[0].relevance

    assert answered is not None
    assert unrelated is not None
    assert answered > 0.5 > 0.2 > unrelated


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("By how much did trade between Russia and Belarus grow?", True),
        ("किम ने लड़ाकू विमान का कारखाना कहाँ देखा?", True),
        ("How do I bake sourdough bread?", False),
        ("How do I reset my router password?", False),
        ("What is the capital of Australia?", False),
        ("Who wrote Hamlet?", False),
        ("রুটি কীভাবে বানানো হয়?", False),
    ],
)
def test_it_is_said_whether_anything_answers(seeded: Engine, question: str, found: bool) -> None:
    """On every page, whatever the limit, and when the least relevance cuts all hits away."""
    whole = seeded.search(question, limit=100)
    page = seeded.search(question, limit=3)
    second = seeded.search(question, limit=3, cursor=page.next_cursor)
    cut = seeded.search(question, min_relevance=1.0)

    assert whole.hits[0].relevance is not None
    assert cut.hits == []
    for answer in (whole, page, second, cut):
        assert answer.found is found
        assert answer.relevance == pytest.approx(whole.hits[0].relevance, abs=1e-9)
    assert seeded.search(question, mode="raw").found is None


def test_a_passage_is_followed_into_the_other_language(seeded: Engine) -> None:
    """From the Bengali paragraph on the aircraft plant to Hindi ones, first the one on aircraft plants; and back."""
    plant = seeded.search("Which aircraft plant did Kim Jong Un visit?").hits[0]
    assert "বিমান কারখানা" in plant.passage.text

    hindi = seeded.similar(plant.passage.id, limit=100)

    assert [hit.article.language for hit in hindi] == ["hi"] * 7
    assert "विमान निर्माण संयंत्र" in hindi[0].passage.text
    back = seeded.similar(hindi[0].passage.id, limit=3)
    assert {hit.article.id for hit in back} == {plant.article.id}
    # Both are one's own here.
    assert seeded.similar(plant.passage.id, languages=["bn"]) == []


def test_what_is_searched_is_counted(seeded: Engine) -> None:
    """Both languages are told though one is searched."""
    facets = seeded.search("trade", languages=["bn"], facets=True).facets

    assert facets is not None
    assert [(each.value, each.passages, each.articles) for each in facets["language"]] == [("hi", 7, 1), ("bn", 6, 1)]


def test_our_judgments_are_met(model: Encoder) -> None:
    """Asked of the language that answers, and of both together, our questions have an nDCG@10 of 0.90."""

    def open_engine(folder: Path) -> Engine:
        return Engine(model, Library.open(folder, model=model.name, fingerprint=model.fingerprint, dim=model.dim))

    report = evaluate(SEEDS / "judgments", open_engine)

    assert report["cross"]["ndcg@10"] >= 0.90
    assert report["mono"]["ndcg@10"] >= 0.90
    assert report["pooled"]["ndcg@10"] >= 0.90


def test_the_seeds_are_as_they_came() -> None:
    """The two articles are kept byte for byte."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in SEEDS.glob("*.txt")}

    assert found == EXPECTED


EXPECTED = {
    "000_211dd1515c2d2b66.txt": "cf9baed2addba4277241c3e21f2887ed524db4878fff2eda1225998e53bc7afe",
    "004_c71032b4eb0cf4bc.txt": "1da69c362b2da758b7ad277e538d25ceda8d6c6fd8fbd9026071c264f994b360",
}
