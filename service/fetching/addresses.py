"""Which addresses may be fetched from: public ones alone, by whatever name or number they are asked for."""

import ipaddress
import socket
from collections.abc import Callable, Sequence

import httpx2

from service.errors import FetchRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

SCHEMES = {"http": 80, "https": 443}
PORTS = frozenset({80, 443, 8080, 8443})
LONGEST = 4096

# All that IANA has given out for the public is in here (RFC 4291); the exceptions follow.
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_SPECIAL_V6 = tuple(
    map(
        ipaddress.ip_network,
        (
            "2001::/23",  # protocol assignments, Teredo among them (RFC 2928)
            "2001:db8::/32",  # documentation (RFC 3849)
            "2002::/16",  # 6to4, which carries any IPv4 address (RFC 3056)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
# Translators to IPv4 behind which a public IPv4 address is a public address (RFC 4291, RFC 6052).
_CARRIERS = tuple(map(ipaddress.ip_network, ("::ffff:0:0/96", "64:ff9b::/96")))
# https://www.iana.org/assignments/iana-ipv4-special-registry, written out: Python's own table differs by version.
_SPECIAL_V4 = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared, behind a carrier's translator; one cloud's metadata
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # services of a machine's own cloud, at a public address
            "169.254.0.0/16",  # link-local; most clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; one cloud's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)


def is_public(text: str) -> bool:
    """Return whether an IP address in its usual notation is one that anybody on the internet has."""
    address: Address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if not any(address in network for network in _CARRIERS):
            return address in _PUBLIC_V6 and not any(address in network for network in _SPECIAL_V6)
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return not any(address in network for network in _SPECIAL_V4)


def system_resolve(host: str, port: int) -> Sequence[str]:
    """Return the IP addresses that the system's resolver gives for a host, numbers in any notation included.

    Raises FetchRefused where there is none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchRefused(f"the host {host} is not known") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def parse(address: str, private_hosts: frozenset[str] = frozenset()) -> httpx2.URL:
    """Return an address that may be asked for, as far as can be seen without resolving it.

    Raises FetchRefused for other schemes, ports and forms. `private_hosts` may be on any port.
    """
    if len(address) > LONGEST:
        raise FetchRefused(f"the address has over {LONGEST:,} characters")
    try:
        url = httpx2.URL(address.strip())
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise FetchRefused(f"this is not an address: {error}") from None
    if url.scheme not in SCHEMES or not url.host:
        raise FetchRefused("an address begins with http:// or https:// and a host")
    if url.userinfo:
        raise FetchRefused("an address with a user name or a password is not fetched")
    port = url.port or SCHEMES[url.scheme]
    if port not in PORTS and url.host not in private_hosts:
        raise FetchRefused(f"port {port} is not fetched from; {', '.join(map(str, sorted(PORTS)))} are")
    return url.copy_with(fragment=None)


def checked(host: str, port: int, resolve: Resolve, private_hosts: frozenset[str] = frozenset()) -> Sequence[str]:
    """Return the IP addresses of a host to connect to; raises FetchRefused where one of them is not public."""
    addresses = resolve(host, port)
    if host not in private_hosts:
        for address in addresses:
            if not is_public(address):
                told = host if host == address else f"{host} ({address})"
                raise FetchRefused(
                    f"{told} is not a public address, and is not fetched from; for a host of your own,"
                    " DRAGOMAN_PRIVATE_HOSTS names it to the command line"
                )
    if not addresses:
        raise FetchRefused(f"the host {host} is not known")
    return addresses
