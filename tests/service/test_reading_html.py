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
