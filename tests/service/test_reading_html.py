import pytest

from service.errors import UnreadableInput
from service.reading.html import read_html

PAGE = """<!doctype html><html lang="bn-BD"><head><title>ঢাকায় বন্যা | সংবাদ</title>
<meta property="og:title" content="ঢাকায় বন্যা"><link rel="canonical" href="https://example.org/a">
<meta property="article:published_time" content="2023-05-06T10:00:00Z">
<meta property="og:site_name" content="Example News"></head>
<body><nav><a href="/">Home</a> <a href="/about">About us</a></nav><article><h1>ঢাকায় বন্যা</h1>
<p>ভারী বৃষ্টিপাতে <a href="x">ঢাকার</a> নিচু এলাকা
প্লাবিত হয়েছে এবং হাজার হাজার মানুষ ঘর ছেড়েছে বলে কর্মকর্তারা জানিয়েছেন।</p>
<ul><li>প্রথম</li><li>দ্বিতীয়</li></ul>
<p>সেনাবাহিনী নৌকা পাঠিয়েছে, এবং যারা ঘর হারিয়েছে তাদের জন্য স্কুলগুলো আশ্রয়কেন্দ্র হিসেবে খোলা।</p>
</article><footer>Copyright 2023</footer><script>var secret = 1;</script></body></html>"""


def test_the_main_text_is_read() -> None:
    """Menus, footers and scripts are left out; a paragraph is one line; title, date and address are read."""
    draft = read_html(PAGE.encode())
    assert draft.text.split("\n\n") == [
        "ঢাকায় বন্যা",
        "ভারী বৃষ্টিপাতে ঢাকার নিচু এলাকা প্লাবিত হয়েছে এবং হাজার হাজার মানুষ ঘর ছেড়েছে বলে কর্মকর্তারা জানিয়েছেন।",
        "প্রথম",
        "দ্বিতীয়",
        "সেনাবাহিনী নৌকা পাঠিয়েছে, এবং যারা ঘর হারিয়েছে তাদের জন্য স্কুলগুলো আশ্রয়কেন্দ্র হিসেবে খোলা।",
    ]
    assert draft.title == "ঢাকায় বন্যা"
    assert draft.url == "https://example.org/a"
    assert draft.source == "Example News"
    assert draft.published_at == "2023-05-06"
    assert draft.language is None
    assert draft.metadata == {"declared_language": "bn-BD"}


def test_a_page_of_one_sentence_is_read() -> None:
    """A page without an article's body gives the text it has."""
    draft = read_html(b"<html><head><title>Note</title></head><body><p>Rain is coming.</p></body></html>")
    assert draft.text == "Rain is coming."
    assert draft.title == "Note"


@pytest.mark.parametrize(
    "data", [b"", b"<html><body></body></html>", b"<html><body><script>render()</script></body></html>"]
)
def test_a_page_without_text_is_refused(data: bytes) -> None:
    """A page that only a script would fill says so."""
    with pytest.raises(UnreadableInput, match="no text could be found"):
        read_html(data)


def test_binary_data_is_refused() -> None:
    """A picture with the suffix of a page is no page."""
    with pytest.raises(UnreadableInput, match="binary"):
        read_html(b"\x89PNG\r\n\x1a\n\x00\x00\x00")


TEXT = "Heavy rain has flooded the lower parts of the city, and thousands of people have left their homes."


def page(head: str = "", body: str = "", lang: str = "") -> bytes:
    """Return a page with an article of two paragraphs."""
    return (
        f"<html{lang}><head>{head}</head><body><article>{body}<p>{TEXT}</p><p>{TEXT} Again.</p></article></body></html>"
    ).encode()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ('<meta property="article:published_time" content="2023-05-06T10:00:00+06:00">', ""),
        ('<meta name="date" content="2023-05-06">', ""),
        ('<script type="application/ld+json">{"@type": "NewsArticle", "datePublished": "2023-05-06"}</script>', ""),
        ("", '<time datetime="2023-05-06T10:00">6 May</time>'),
        ("", '<p class="date">Published on 6 May 2023</p>'),
    ],
    ids=["open graph", "meta", "json-ld", "time", "words"],
)
def test_the_date_is_read_where_it_is_told(head: str, body: str) -> None:
    """In the head, in data for machines, in an element of time, or in words."""
    assert read_html(page(head, body)).published_at == "2023-05-06"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("<title>Flood in Dhaka</title>", ""),
        ('<meta property="og:title" content="Flood in Dhaka"><title>Flood in Dhaka | News</title>', ""),
        ("", "<h1>Flood in Dhaka</h1>"),
    ],
    ids=["title", "open graph", "heading"],
)
def test_the_title_is_read_where_it_is_told(head: str, body: str) -> None:
    """The article's own, before that of the page."""
    assert read_html(page(head, body)).title == "Flood in Dhaka"


@pytest.mark.parametrize(
    ("head", "url"),
    [
        ('<link rel="canonical" href="https://example.org/a?id=1">', "https://example.org/a?id=1"),
        ('<link rel="canonical" href="/a">', "https://news.example.org/a"),
        ('<link rel="alternate canonical" href="a">', "https://news.example.org/x/a"),
        ('<meta property="og:url" content="https://example.org/b">', "https://example.org/b"),
        ('<link rel="canonical" href="javascript:alert(1)">', None),
        ("", None),
    ],
)
def test_the_canonical_address_is_read(head: str, url: str | None) -> None:
    """Also a relative one, from where the page was found; nothing but an address of the web counts."""
    assert read_html(page(head), address="https://news.example.org/x/y").url == url


def test_the_declared_language_is_told_and_not_believed() -> None:
    """It goes to the metadata, in any letters; templates so often lie."""
    assert read_html(page(lang=" LANG='pt-BR'")).metadata == {"declared_language": "pt-BR"}
    assert read_html(page(lang=' class="x" lang=bn')).metadata == {"declared_language": "bn"}
    assert read_html(page()).metadata == {}


RUSSIAN = "В Москве прошли переговоры двух лидеров, которые обсудили торговлю и завод."


@pytest.mark.parametrize(
    ("head", "charset"),
    [
        ('<meta charset="koi8-r">', None),
        ('<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', None),
        ('<meta charset="utf-8">', "koi8-r"),
        ("", None),
    ],
    ids=["meta", "http-equiv", "told by the server", "by its letters"],
)
def test_a_page_in_an_old_encoding_is_read(head: str, charset: str | None) -> None:
    """What the server says goes before what the page says, and that before a guess."""
    html = f"<html><head>{head}<title>Новости</title></head><body><p>{RUSSIAN}</p></body></html>"
    draft = read_html(html.encode("koi8-r"), charset)
    assert (draft.title, draft.text) == ("Новости", RUSSIAN)


def test_xhtml_with_a_declaration_is_read() -> None:
    """The declaration of an encoding, which no longer holds, is no hindrance."""
    html = f'<?xml version="1.0" encoding="koi8-r"?><html><head></head><body><p>{RUSSIAN}</p></body></html>'
    assert read_html(html.encode("koi8-r")).text == RUSSIAN
