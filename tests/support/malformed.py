"""Requests that nobody honest sends, by what is wrong with them. Each ends the connection, or leaves it waiting."""

HEAD = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"


def post(body: bytes, path: bytes = b"/api/v1/runs") -> bytes:
    """A request for runs with such a body."""
    return b"POST " + path + JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body


def get(path: bytes, *headers: bytes) -> bytes:
    """A request for `path` with such headers."""
    return b"GET " + path + HEAD + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


HOSTILE = {
    "no request": b"\x00\x01\x02\xff\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version to come": b"GET /nothing HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n\r\n",
    "a long target": b"GET /" + b"a" * 20_000 + HEAD + b"\r\n",
    "a target beyond ASCII": get(b"/\xff\xfe"),
    "NUL in the target": get(b"/\x00"),
    "half a bracket": b"GET http://[::1 HTTP/1.1\r\n\r\n",
    "another host's target": get(b"http://evil.example/api/v1/runs/1"),
    "a tunnel": b"CONNECT evil.example:443" + HEAD + b"\r\n",
    "everything": b"OPTIONS *" + HEAD + b"\r\n",
    "an unknown method": b"BREW /api/v1/runs" + HEAD + b"\r\n",
    "a method in small letters": b"get /api/v1/runs" + HEAD + b"\r\n",
    "a long method": b"A" * 5000 + b" /api/v1/runs" + HEAD + b"\r\n",
    "markup": get(b"/<script>alert(1)</script>", b"Accept: text/html"),
    "climbing": get(b"/../../etc/passwd"),
    "climbing in percent": get(b"/%2e%2e/%2e%2e/etc/passwd"),
    "large headers": get(b"/", b"X: " + b"x" * 20_000),
    "many headers": get(b"/", *(b"X%d: x" % number for number in range(3000))),
    "NUL in a header": get(b"/", b"X: \x00"),
    "a space before the colon": get(b"/", b"X : x"),
    "a bare line feed": b"GET / HTTP/1.1\n\nHost: localhost\r\n\r\n",
    "a folded first header": b"GET / HTTP/1.1\r\n folded\r\n\r\n",
    "length of 5000 digits": b"POST /" + HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "negative length": b"POST /" + HEAD + b"Content-Length: -1\r\n\r\n",
    "two lengths": b"POST /" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST /" + HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"POST /" + HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "a chunk of no size": b"POST /" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a chunk of negative size": b"POST /" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk of any size": b"POST /" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 6000 + b"\r\nabc",
    "a large chunk": b"POST /"
    + HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n13880\r\n"
    + b"x" * 80_000
    + b"\r\n0\r\n\r\n",
    "a length that never comes": b"POST /" + HEAD + b"Content-Length: 60000\r\n\r\nabc",
    "a large body": post(b"x" * 100_000),
    "a body above what JSON may be": post(b'{"account": "' + b"x" * 30_000 + b'"}'),
    "bad UTF-8 in the body": post(b'{"account": "\xff\xfe"}'),
    "half a surrogate": post(b'{"account": "\\ud800"}'),
    "NUL in the body": post(b'{"account": "\\u0000"}'),
    "a field that is half a surrogate": post(b'{"\\ud800": 1}'),
    "deep JSON": post(b"[" * 16_000),
    "deep objects": post(b'{"account":' * 1000 + b"1" + b"}" * 1000),
    "a number of 6000 digits": post(b'{"account": ' + b"1" * 6000 + b"}"),
    "no number": post(b'{"account": NaN}'),
    "a field twice": post(b'{"account": "one", "account": "two"}'),
    "an array": post(b"[]"),
    "no JSON": post(b"account=one"),
    "NUL in the query": get(b"/api/v1/runs?account=%00"),
    "bad UTF-8 in the query": get(b"/api/v1/runs?account=%ff%fe"),
    "a limit of 5000 digits": get(b"/api/v1/runs?limit=" + b"9" * 5000),
    "a cursor of nonsense": get(b"/api/v1/runs?cursor=%f0%9f%92%a3"),
    "thousands of parameters": get(b"/api/v1/runs?" + b"&".join(b"a%d=1" % number for number in range(1500))),
    "a day of the year 0": get(b"/api/v1/costs?start=0000-00-00&end=9999-99-99"),
    "a run that is no number": get(b"/api/v1/runs/%00"),
    "a run beyond numbers": get(b"/api/v1/runs/" + b"9" * 400),
    "a key of bad UTF-8": b"POST /api/v1/runs" + HEAD + b"Idempotency-Key: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    "a cache key of bad UTF-8": get(b"/api/v1/cache/%ff%fe"),
}
