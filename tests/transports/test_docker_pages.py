"""Which Link headers name a next page."""

from __future__ import annotations

import pytest

from bundler.transports.docker.pages import _NEXT


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param('</v2/_catalog?last=a&n=2>; rel="next"', "/v2/_catalog?last=a&n=2", id="quoted"),
        pytest.param("</x>; rel=next", "/x", id="bare"),
        pytest.param("</x>; REL=Next", "/x", id="upper-case"),
        pytest.param('</x>;rel="next"', "/x", id="tight"),
        pytest.param('</x>; title="a page"; rel="next"', "/x", id="more-parameters"),
        pytest.param('</first>; rel="first", </x>; rel="next"', "/x", id="second-link"),
        pytest.param('</x>; rel="prev"', None, id="previous"),
        pytest.param('</x>; rel="nextish"', None, id="another-word"),
        pytest.param("/x", None, id="no-brackets"),
        pytest.param("", None, id="empty"),
    ],
)
def test_next(header: str, expected: str | None) -> None:
    match = _NEXT.search(header)
    assert (match[1] if match else None) == expected
