"""Fetching from addresses: from public ones alone, politely, within limits. The site asked is a real one."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import httpcore2
import pytest

from service.errors import FetchRefused, TooLarge
from service.fetching import Fetcher, addresses
from service.fetching.addresses import is_public, parse
from service.fetching.robots import Politeness
from tests.service.sites import Site, site


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site that must not be asked; its port counts as a usual one, so that the address alone decides."""
    with site() as found:
        monkeypatch.setattr(addresses, "PORTS", frozenset({80, 443, found.port}))
        found.page("/", "secret")
        yield found


@pytest.fixture
def ours(local: Site) -> Fetcher:
    """A fetcher to which the site is a host of our own, under its number and under the name news.example."""
    return Fetcher(private_hosts=frozenset({"127.0.0.1", "news.example"}), delay=0, resolve=resolve_to("127.0.0.1"))


def resolve_to(*found: str) -> addresses.Resolve:
    """Return a resolver that gives these addresses for names, and leaves numbers to the system's."""

    def resolve(host: str, port: int) -> Sequence[str]:
        return found if host.endswith(".example") else addresses.system_resolve(host, port)

    return resolve


PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
NOT_PUBLIC = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "203.0.113.9"),
    *("168.63.129.16", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2001::1", "3fff::1", "100::1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address: str) -> None:
    """Those that anybody on the internet has, of both kinds, also where one carries the other."""
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_every_other_address_is_not(address: str) -> None:
    """Loopback, private, link-local, metadata, shared, multicast, reserved, documentation, and what carries them."""
    assert not is_public(address)


HOSTS = [
    *("localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"),
    *("0x7f.1", "0", "0.0.0.0", "127.0.0.1.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]"),
    *("[64:ff9b::7f00:1]", "１２７.0.0.1"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_the_loopback_is_not_fetched_by_any_name_or_number(local: Site, host: str) -> None:
    """However it is written, the server at it is not asked."""
    with pytest.raises(FetchRefused):
        Fetcher(delay=0).get(f"http://{host}:{local.port}/")
    assert local.asked == []


def test_the_reason_names_the_host_and_its_address(local: Site) -> None:
    """Whoever asks is told what was found, and where the command line can be told otherwise."""
    with pytest.raises(FetchRefused, match=r"intranet.example \(10.0.0.5\) is not a public.*DRAGOMAN_PRIVATE_HOSTS"):
        Fetcher(resolve=resolve_to("10.0.0.5")).get("http://intranet.example/")


def test_a_name_with_one_private_address_among_public_ones_is_refused(local: Site) -> None:
    """Every address is checked, not the first alone."""
    with pytest.raises(FetchRefused, match="not a public address"):
        Fetcher(resolve=resolve_to("93.184.216.34", "127.0.0.1")).get(f"http://a.example:{local.port}/")
    assert local.asked == []


@pytest.mark.parametrize(
    "target",
    [
        *("http://localhost:{port}/", "http://127.0.0.1.:{port}/", "http://2130706433:{port}/", "//[::1]:{port}/"),
        *("http://169.254.169.254/latest/meta-data/", "http://other.example:{port}/", "file:///etc/passwd"),
        *("gopher://127.0.0.1/", "http://user:secret@127.0.0.1:{port}/", "http://1.1.1.1:22/"),
    ],
)
def test_a_redirect_is_checked_like_an_address(local: Site, target: str) -> None:
    """A site that may be asked leads to none that may not: the page behind the redirect is never asked for."""
    local.page("/go", "", status=302, Location=target.format(port=local.port))
    ours = Fetcher(private_hosts=frozenset({"news.example"}), delay=0, resolve=resolve_to("127.0.0.1"))
    with pytest.raises(FetchRefused):
        ours.get(f"http://news.example:{local.port}/go")
    assert local.paths == ["/go"]


def test_a_name_that_changes_is_connected_to_where_it_was_checked(local: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that first tells a public address, then the loopback, is asked once for each connection."""
    connected = []

    def connect(self: object, host: str, port: int, *more: object) -> httpcore2.NetworkStream:
        connected.append(host)
        raise httpcore2.ConnectError("nobody there")

    answers = iter(["93.184.216.34", "127.0.0.1"])
    monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", connect)
    fetcher = Fetcher(delay=0, resolve=lambda *_: [next(answers)])
    with pytest.raises(FetchRefused, match=r"no answer from rebind\.example"):
        fetcher.get(f"http://rebind.example:{local.port}/")
    assert connected == ["93.184.216.34"]
    with pytest.raises(FetchRefused, match="not a public address"):
        fetcher.get(f"http://rebind.example:{local.port}/")
    assert connected == ["93.184.216.34"]
    assert local.asked == []


def test_the_page_is_checked_anew_after_robots_txt(local: Site) -> None:
    """A name that is ours for robots.txt, and somebody else's for the page, is not believed the second time."""
    answers = iter(["127.0.0.1", "10.0.0.1"])

    class Turning(Fetcher):
        def _robots(self, address: str) -> str | None:
            text = super()._robots(address)
            self._private_hosts = frozenset()
            return text

    turning = Turning(delay=0, private_hosts=frozenset({"a.example"}), resolve=lambda *_: [next(answers)])
    with pytest.raises(FetchRefused, match="not a public address"):
        turning.get(f"http://a.example:{local.port}/")
    assert [path for path, _ in local.asked] == ["/robots.txt"]


def test_tls_is_to_prove_the_name_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the checked number; the certificate and the Host are those of the name."""
    proven = []

    class Stream(httpcore2.NetworkStream):
        def start_tls(
            self, _: object, server_hostname: str | None = None, timeout: float | None = None
        ) -> httpcore2.NetworkStream:
            proven.append((server_hostname, timeout is not None))
            raise httpcore2.ConnectError("far enough")

        def close(self) -> None:
            pass

    def connect(self: object, host: str, port: int, *more: object) -> httpcore2.NetworkStream:
        assert (host, port) == ("93.184.216.34", 443)
        return Stream()

    monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", connect)
    with pytest.raises(FetchRefused, match="far enough"):
        Fetcher(resolve=lambda *_: ["93.184.216.34"]).get("https://a.example/")
    assert proven == [("a.example", True)]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ftp://example.org/", "begins with http"),
        ("example.org", "begins with http"),
        ("http://", "begins with http"),
        ("http://example.org:22/", "port 22"),
        ("http://me:secret@example.org/", "user name"),
        ("http://exa mple.org/", "not an address|is not known"),
        ("http://[::1", "not an address"),
        ("http://example.org/" + "a" * 5000, "4,096 characters"),
    ],
)
def test_what_is_no_plain_address_is_refused(address: str, reason: str) -> None:
    """Other schemes, ports and forms are told."""
    with pytest.raises(FetchRefused, match=reason):
        Fetcher(resolve=resolve_to("10.0.0.1")).get(address)


def test_a_page_is_fetched_with_our_name(local: Site, ours: Fetcher) -> None:
    """The request says who asks, and of which host; the answer's headers of use are told."""
    local.page("/a", gzip.compress(b"text"), "text/html; charset=KOI8-R", Content_Encoding="gzip", ETag='"1"')
    fetched = ours.get(f"http://news.example:{local.port}/a#part")
    assert (fetched.data, fetched.media_type, fetched.charset, fetched.etag) == (b"text", "text/html", "koi8-r", '"1"')
    assert fetched.url == f"http://news.example:{local.port}/a"
    assert [path for path, _ in local.asked] == ["/robots.txt", "/a"]
    assert local.asked[1][1]["host"] == f"news.example:{local.port}"
    assert local.asked[1][1]["user-agent"].startswith("Dragoman ")


def test_a_page_that_has_not_changed_is_not_sent_again(local: Site, ours: Fetcher) -> None:
    """With the mark of last time the server may answer that there is nothing new."""
    local.page("/a", "text", ETag='"1"')
    assert ours.get(f"{local.address}/a", etag='"1"').data is None
    assert ours.get(f"{local.address}/a", etag='"0"').data == b"text"


def test_redirects_are_followed_and_end(local: Site, ours: Fetcher) -> None:
    """Five of them, also to a relative address; a circle is refused."""
    for number in range(5):
        local.page(f"/{number}", "", status=301, Location=f"{number + 1}")
    local.page("/5", "here")
    assert ours.get(f"{local.address}/0").data == b"here"
    local.page("/circle", "", status=302, Location="/circle")
    with pytest.raises(FetchRefused, match="more than 5 redirects"):
        ours.get(f"{local.address}/circle")


@pytest.mark.parametrize("status", [204, 206, 304, 404, 500])
def test_a_status_that_is_no_success_is_told(local: Site, ours: Fetcher, status: int) -> None:
    """A page of an error is not an article."""
    local.page("/a", "", status=status)
    with pytest.raises(FetchRefused, match=f"status {status}"):
        ours.get(f"{local.address}/a")


def test_a_body_over_the_limit_is_refused(local: Site) -> None:
    """By the length that is told, by what comes, and by what it unpacks to."""
    fetcher = Fetcher(limit=1000, private_hosts=frozenset({"127.0.0.1"}), delay=0)
    local.page("/fits", b"a" * 1000)
    local.page("/long", b"a" * 1001)
    local.page("/bomb", gzip.compress(b"a" * 50_000_000), Content_Encoding="gzip")
    assert fetcher.get(f"{local.address}/fits").data == b"a" * 1000
    for path in ("/long", "/bomb"):
        with pytest.raises(TooLarge, match="limit of 1,000 bytes"):
            fetcher.get(f"{local.address}{path}")


def test_what_cannot_be_unpacked_is_refused(local: Site, ours: Fetcher) -> None:
    """A wrong packing, and one that was not asked for."""
    local.page("/a", b"not gzip", Content_Encoding="gzip")
    local.page("/b", b"?", Content_Encoding="br")
    for path, reason in (("/a", "damaged"), ("/b", "packs its answer as br")):
        with pytest.raises(FetchRefused, match=reason):
            ours.get(f"{local.address}{path}")


def test_a_server_that_drips_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps no fetch beyond its time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not done.wait(0.05):
                    try:
                        connection.sendall(b"X-More: 1\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        try:
            with pytest.raises(FetchRefused, match="too long"):
                Fetcher(seconds=0.3, private_hosts=frozenset({"127.0.0.1"})).get(
                    f"http://127.0.0.1:{server.getsockname()[1]}/"
                )
        finally:
            done.set()
            thread.join()
    assert time.monotonic() - started < 5


def test_robots_txt_is_obeyed(local: Site, ours: Fetcher) -> None:
    """What it disallows to all, or to us by name, is not asked for; the rest is. It is asked for once."""
    local.page(
        "/robots.txt", "User-agent: *\nDisallow: /\n\nUser-agent: dragoman\nDisallow: /*/private$\n", "text/plain"
    )
    local.page("/a/private", "no")
    local.page("/a/public", "yes")
    with pytest.raises(FetchRefused, match=r"robots\.txt does not allow"):
        ours.get(f"{local.address}/a/private")
    assert ours.get(f"{local.address}/a/public").data == b"yes"
    assert [path for path, _ in local.asked] == ["/robots.txt", "/a/public"]


def test_of_a_huge_robots_txt_the_beginning_holds(local: Site, ours: Fetcher) -> None:
    """A megabyte of it is not read, and what stands first is obeyed (RFC 9309, 2.5)."""
    local.page("/robots.txt", b"User-agent: *\nDisallow: /private\n" + b"# filler\n" * 120_000, "text/plain")
    local.page("/private", "no")
    local.page("/public", "yes")
    with pytest.raises(FetchRefused, match=r"robots\.txt does not allow"):
        ours.get(f"{local.address}/private")
    assert ours.get(f"{local.address}/public").data == b"yes"


def test_a_mark_that_no_header_may_hold_is_harmless(local: Site, ours: Fetcher) -> None:
    """Whatever a server once told as its mark is sent back as far as it can be, or refused; it splits no request."""
    local.page("/a", "text")
    assert ours.get(f"{local.address}/a", etag='"ব"').data == b"text"
    with pytest.raises(FetchRefused):
        ours.get(f"{local.address}/a", etag='"1"\r\nX-More: 1')
    assert "x-more" not in local.asked[-1][1]


def test_a_site_that_fails_to_tell_its_rules_is_not_asked(local: Site, ours: Fetcher) -> None:
    """A robots.txt that is not there allows all; a server in trouble allows nothing (RFC 9309)."""
    local.page("/robots.txt", "", status=503)
    with pytest.raises(FetchRefused, match=r"robots\.txt cannot be had"):
        ours.get(f"{local.address}/")
    assert local.paths == []


def test_turns_at_a_host_keep_its_pause() -> None:
    """Each request waits for the one before; another host does not; the longer pause of two holds."""
    polite = Politeness("Dragoman", 1.0)
    waits = [polite.turn("a", 0), polite.turn("a", 3.0), polite.turn("a", 0), polite.turn("b", 0)]
    assert waits == pytest.approx([0, 1, 4, 0], abs=0.1)
    rules = polite.rules("http://a", lambda _: "User-agent: *\nCrawl-delay: 7\n")
    assert rules.delay("Dragoman") == 7
    long = polite.rules("http://b", lambda _: "User-agent: *\nCrawl-delay: 7000\n")
    assert long.delay("Dragoman") == 60


def test_a_usual_address_is_left_as_it_is() -> None:
    """An address in any script comes to its usual form."""
    assert str(parse(" https://example.org/ঢাকা?q=a b#x ")).startswith("https://example.org/%E0%A6%A2")
