"""What is listed: tags, repositories, referrers, by pages."""

from __future__ import annotations

from itertools import chain

import pytest

from bundler.oci import mediatype
from bundler.registry.routes import listing
from bundler.store import Store
from tests import images
from tests.registry.caller import Caller, serving
from tests.registry.visitors import Visiting, visitors

APP = images.image(images.layer("base", 3000), images.layer("app", 1000))


class TestLists:
    @pytest.fixture(autouse=True)
    def _held(self, registry: Caller) -> None:
        registry.push("team/app", "b", APP)
        for tag in ("a", "c", "B", "d"):
            registry.put("team/app", tag, APP.raw, APP.root.media_type)
        registry.push("other", "1", APP)

    def test_tags(self, registry: Caller) -> None:
        answer = registry.call("GET", "/v2/team/app/tags/list")
        assert answer.json == {"name": "team/app", "tags": ["B", "a", "b", "c", "d"]}
        assert "link" not in answer.headers

    def test_catalog(self, registry: Caller) -> None:
        assert registry.call("GET", "/v2/_catalog").json == {"repositories": ["other", "team/app"]}
        first = registry.call("GET", "/v2/_catalog?n=1")
        assert first.json == {"repositories": ["other"]}
        assert first.headers["link"] == '</v2/_catalog?n=1&last=other>; rel="next"'

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
    def test_pages_put_together(self, registry: Caller, n: int) -> None:
        target, found = f"/v2/team/app/tags/list?n={n}", []
        while target:
            answer = registry.call("GET", target)
            assert 0 < len(answer.json["tags"]) <= n
            found += answer.json["tags"]
            target = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        assert found == ["B", "a", "b", "c", "d"]

    @pytest.mark.parametrize(
        ("query", "tags"),
        [("n=0", []), ("last=b", ["c", "d"]), ("last=bb&n=1", ["c"]), ("last=zzz", []), ("n=999999999", None)],
    )
    def test_queries(self, registry: Caller, query: str, tags: list[str] | None) -> None:
        answer = registry.call("GET", f"/v2/team/app/tags/list?{query}")
        assert answer.json["tags"] == (["B", "a", "b", "c", "d"] if tags is None else tags)

    @pytest.mark.parametrize("n", ["-1", "x", "1.5", "", "9" * 20])
    def test_wrong_n(self, registry: Caller, n: str) -> None:
        assert registry.call("GET", f"/v2/team/app/tags/list?n={n}").status == 400

    def test_pages_are_capped(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listing, "PAGE", 2)
        answer = registry.call("GET", "/v2/team/app/tags/list?n=100")
        assert answer.json["tags"] == ["B", "a"]
        assert answer.headers["link"] == '</v2/team/app/tags/list?n=2&last=a>; rel="next"'


class TestReferrers:
    SUBJECT = images.image(images.layer("subject", 100))

    @pytest.fixture
    def held(self, registry: Caller) -> list[images.Image]:
        held = [
            images.artifact(b"%d" % n, subject=self.SUBJECT, artifact_type=f"application/vnd.example.{n % 2}")
            for n in range(6)
        ]
        for each in held:
            registry.push("app", each.root.digest, each)
        return sorted(held, key=lambda each: each.root.digest)

    def walk(self, registry: Caller, target: str) -> list[list[str]]:
        """The digests, page by page."""
        pages = []
        while target:
            answer = registry.call("GET", target)
            assert answer.status == 200
            assert answer.headers["content-type"] == mediatype.OCI_INDEX
            assert (answer.json["schemaVersion"], answer.json["mediaType"]) == (2, mediatype.OCI_INDEX)
            assert len(answer.body) <= listing.REFERRERS_BYTES
            pages.append([each["digest"] for each in answer.json["manifests"]])
            target = answer.headers.get("link", "").partition("<")[2].partition(">")[0]
        return pages

    def test_all(self, registry: Caller, held: list[images.Image]) -> None:
        answer = registry.call("GET", f"/v2/app/referrers/{self.SUBJECT.root.digest}")
        assert "oci-filters-applied" not in answer.headers
        assert [each["digest"] for each in answer.json["manifests"]] == [each.root.digest for each in held]
        assert {each["artifactType"] for each in answer.json["manifests"]} == {
            "application/vnd.example.0",
            "application/vnd.example.1",
        }

    @pytest.mark.parametrize(("kind", "count"), [("vnd.example.0", 3), ("vnd.example.9", 0)])
    def test_of_one_kind(self, registry: Caller, held: list[images.Image], kind: str, count: int) -> None:
        target = f"/v2/app/referrers/{self.SUBJECT.root.digest}?artifactType=application%2F{kind}"
        answer = registry.call("GET", target)
        assert answer.headers["oci-filters-applied"] == "artifactType"
        assert [each["artifactType"] for each in answer.json["manifests"]] == [f"application/{kind}"] * count

    def test_of_nothing(self, registry: Caller) -> None:
        """An empty list and no error, whether the repository is there or not."""
        answer = registry.call("GET", f"/v2/nobody/referrers/{self.SUBJECT.root.digest}")
        assert (answer.status, answer.json["manifests"]) == (200, [])

    @pytest.mark.parametrize("page", [1, 2, 4, 6])
    @pytest.mark.parametrize("query", ["", "?artifactType=application/vnd.example.1"])
    def test_by_pages(
        self,
        registry: Caller,
        held: list[images.Image],
        monkeypatch: pytest.MonkeyPatch,
        page: int,
        query: str,
    ) -> None:
        monkeypatch.setattr(listing, "PAGE", page)
        pages = self.walk(registry, f"/v2/app/referrers/{self.SUBJECT.root.digest}{query}")
        wanted = [each.root.digest for each in held if not query or each.root.artifact_type in query]
        assert list(chain(*pages)) == wanted
        assert max(map(len, pages)) == min(page, len(wanted))

    @pytest.mark.parametrize("where", ["annotations", "artifactType"])
    def test_what_is_said_at_length(self, registry: Caller, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        """No page is larger than what clients take for an index."""
        monkeypatch.setattr(listing, "REFERRERS_BYTES", 20_000)
        for n in range(6):
            text = "ü\n" * 2000
            held = images.artifact(
                b"%d" % n,
                subject=self.SUBJECT,
                annotations={"note": text} if where == "annotations" else {},
                artifact_type="application/vnd." + ("x" * 6000 if where == "artifactType" else "y"),
            )
            registry.push("app", held.root.digest, held)
        pages = self.walk(registry, f"/v2/app/referrers/{self.SUBJECT.root.digest}")
        assert len(list(chain(*pages))) == 6
        assert len(pages) > 1


def test_everything_that_may_be_pulled(store: Store) -> None:
    rules = visitors(
        '- {users: [ann], repositories: ["team/**"], may: [pull]}',
        '- {users: [bob], repositories: ["**"], may: [push]}',
        '- {anonymous: true, repositories: ["public/**"], may: [pull]}',
    )
    with serving(store) as everybody:
        for name in ("team/app", "public/app", "secret/app"):
            everybody.push(name, "1", APP)
    with serving(store, access=rules) as registry:
        assert Visiting(registry, "ann").call("GET", "/v2/_catalog").json == {
            "repositories": ["public/app", "team/app"]
        }
        assert Visiting(registry, "bob").call("GET", "/v2/_catalog").json == {"repositories": ["public/app"]}
        assert Visiting(registry, "ann").call("GET", "/v2/").status == 200
        for path in ("/v2/", "/v2/_catalog"):
            assert registry.call("GET", path).status == 401
        assert registry.call("GET", "/v2/public/app/tags/list").json["tags"] == ["1"]
