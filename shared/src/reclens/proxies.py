"""HTTP proxies that the environment names: the same ones for gRPC, the object store and language
models, and named in errors.

``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` count, in lower case too. gRPC takes
``grpc_proxy``, else the one for https, else the one for http. What is on this machine is reached
without any.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from reclens.errors import InvalidInput

_TARGET = re.compile("(dns|ipv4|ipv6):(//[^/]*/)?")


def proxy_of_url(url: str) -> str:
    """Address of the proxy that requests to ``url`` go through; empty: they go straight there.

    Raises:
        InvalidInput: it is no HTTP proxy.
    """
    parts = urlsplit(url)
    proxy = _proxy((parts.scheme, "all"), parts.netloc)
    if proxy and not proxy.startswith(("http://", "https://")):
        raise InvalidInput(
            f"{parts.netloc} would be reached{named(proxy)}, which is no HTTP proxy.",
            field=f"{parts.scheme.upper()}_PROXY",
            remedy="set it to http://host:port, or name the host in NO_PROXY.",
        )
    return proxy


def proxy_of_target(target: str) -> str:
    """Address of the proxy that a gRPC channel to ``target`` goes through; empty: none. gRPC knows
    proxies of http:// alone."""
    if target.startswith("unix"):
        return ""
    proxy = _proxy(("grpc", "https", "http"), _TARGET.sub("", target, count=1))
    return proxy if proxy.startswith("http://") else ""


def proxy_options(target: str) -> list[tuple[str, int | str]]:
    """Options of a gRPC channel to ``target``: gRPC itself knows the names in lower case alone."""
    proxy = proxy_of_target(target)
    return [("grpc.http_proxy", proxy)] if proxy else [("grpc.enable_http_proxy", 0)]


def named(proxy: str) -> str:
    """What an error says of a proxy, without its password; nothing where there is none."""
    if not proxy:
        return ""
    scheme, _, rest = proxy.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}"
    return f" (through the proxy {shown} of the environment; NO_PROXY names hosts without one)"


def _proxy(schemes: tuple[str, ...], address: str) -> str:
    proxies = getproxies_environment()
    found = next((proxies[scheme] for scheme in schemes if proxies.get(scheme)), "")
    if not found or _is_here(address) or proxy_bypass(address):
        return ""
    return found if "://" in found else f"http://{found}"


def _is_here(address: str) -> bool:
    try:
        host = urlsplit(f"//{address}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
