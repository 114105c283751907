"""Scanning files, directories, charts and archives; writing manifests."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from bundler.errors import ConfigError, LimitError, NotFoundError
from bundler.journey import charts, scanning
from bundler.journey.charts import open_chart, render
from bundler.journey.scanning import extend_manifest, scan_paths, write_manifest
from bundler.selection import read_wishes
from tests.peers import needs, run

POD = "apiVersion: v1\nkind: Pod\nspec: {{containers: [{{image: {}}}]}}\n"
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: '2.5'\n",
    "values.yaml": "image: {repository: acme/web, tag: ''}\n",
    "templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - name: x\n"
    '    image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"\n',
}


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def packed(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def member(name: str, content: str = "", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content.encode()


@pytest.fixture
def without_helm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "helm", lambda: None)


# Walking


def test_a_directory_and_what_in_it_is_read(tmp_path: Path) -> None:
    names = ["a.yaml", "b.yml", "c/d/e.json", "c/.hidden.yaml"]
    put(tmp_path, {name: POD.format(f"acme/i{number}:1") for number, name in enumerate(names)})
    put(tmp_path, {name: POD.format("acme/no:1") for name in (".git/x.yaml", "node_modules/x.yaml", "x.txt", "x.py")})
    put(tmp_path, {"mkdocs.yml": "site_name: x\n", "theme.json": "{}"})
    scan = scan_paths([str(tmp_path)])
    assert scan.names() == [f"docker.io/acme/i{number}:1" for number in range(4)]
    assert scan.undecided == ()


def test_a_file_that_was_chosen_is_read_whatever_its_name(tmp_path: Path) -> None:
    put(tmp_path, {"x.txt": POD.format("acme/a:1"), "y.yml": "site_name: x\n"})
    scan = scan_paths([str(tmp_path / "x.txt"), str(tmp_path / "y.yml")])
    assert scan.names() == ["docker.io/acme/a:1"]
    assert "no known type" in scan.undecided[0].reason


def test_standard_input() -> None:
    assert scan_paths(["-"], stdin=io.BytesIO(POD.format("a:1").encode())).names() == ["docker.io/library/a:1"]
    assert "more than the" in scan_paths(["-"], stdin=io.BytesIO(b"#" * (17 << 20))).undecided[0].reason
    with pytest.raises(ConfigError, match="only once"):
        scan_paths(["-", "-"], stdin=io.BytesIO())


def test_links_out_of_the_tree_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, {"out/secret.yaml": POD.format("acme/secret:1"), "in/real/a.yaml": POD.format("acme/a:1")})
    tree = tmp_path / "in"
    (tree / "secret.yaml").symlink_to(tmp_path / "out/secret.yaml")
    (tree / "folder").symlink_to(tmp_path / "out")
    (tree / "same.yaml").symlink_to("real/a.yaml")
    (tree / "gone.yaml").symlink_to("nowhere")
    os.mkfifo(tree / "pipe.yaml")
    scan = scan_paths([str(tree)])
    assert scan.names() == ["docker.io/acme/a:1"]
    assert len(scan.images[0].findings) == 2
    assert [gap.where.rpartition("/")[2] for gap in scan.undecided] == ["gone.yaml", "secret.yaml"]


def test_what_is_not_there_or_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError):
        scan_paths([str(tmp_path / "none")])
    put(tmp_path, {f"{n}.yaml": POD.format("a:1") for n in range(5)})
    monkeypatch.setattr(scanning, "MOST_FILES", 3)
    with pytest.raises(ConfigError, match="more than 3 files"):
        scanning.gather(scanning._Walk((), (), None, files=3).path(str(tmp_path)))
    with pytest.raises(ConfigError, match="hold more than"):
        scanning.gather(scanning._Walk((), (), None, left=100).path(str(tmp_path)))


def test_variables_of_compose(tmp_path: Path) -> None:
    put(tmp_path, {"compose.yaml": "services: {a: {image: 'acme/a:${TAG}'}}\n", ".env": "TAG=1\n", "other": "TAG=2\n"})
    assert scan_paths([str(tmp_path)]).names() == ["docker.io/acme/a:1"]
    assert scan_paths([str(tmp_path)], env_files=[tmp_path / "other"]).names() == ["docker.io/acme/a:2"]


# Charts


def test_a_chart_without_helm(tmp_path: Path, without_helm: None) -> None:
    scan = scan_paths([str(put(tmp_path, {f"web/{name}": text for name, text in CHART.items()}))])
    assert (scan.names(), scan.names(uncertain=True)) == ([], ["docker.io/acme/web:2.5"])
    assert "helm is not installed" in scan.undecided[0].reason


def test_an_archive_without_helm(tmp_path: Path, without_helm: None) -> None:
    path = packed(tmp_path / "web-1.tgz", [member(f"web/{name}", text) for name, text in CHART.items()])
    put(tmp_path, {"v.yaml": "image: {tag: '9'}"})
    assert scan_paths([str(path)]).names(uncertain=True) == ["docker.io/acme/web:2.5"]
    assert scan_paths([str(path)], values=[tmp_path / "v.yaml"]).names(uncertain=True) == ["docker.io/acme/web:9"]


@pytest.mark.parametrize(
    "name",
    ["../../etc/templates/x.yaml", "/web/templates/x.yaml", "web/../templates/x.yaml", "web/templates/\x1b[2J.yaml"],
)
def test_tricks_with_names_in_an_archive(tmp_path: Path, without_helm: None, name: str) -> None:
    path = packed(
        tmp_path / "web-1.tgz",
        [member("web/Chart.yaml", CHART["Chart.yaml"]), member(name, "image: acme/no:1\n")],
    )
    before = sorted(tmp_path.rglob("*"))
    scan = scan_paths([str(path)])
    assert scan.names(uncertain=True) == []
    assert any("no path within a chart" in gap.reason and gap.reason.isprintable() for gap in scan.undecided)
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_devices_in_an_archive_are_not_read(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "web-1.tgz",
        [
            member("web/Chart.yaml", "name: web"),
            member("web/values.yaml", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            member("web/templates/a.yaml", type=tarfile.LNKTYPE, linkname="web/Chart.yaml"),
            member("web/templates/b.yaml", type=tarfile.CHRTYPE),
        ],
    )
    chart = open_chart(path)
    assert chart is not None
    assert chart.files == {"Chart.yaml": b"name: web"}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not gzip", id="not-gzip"),
        pytest.param(gzip.compress(b"x" * 2000, mtime=0), id="not-tar"),
        pytest.param(gzip.compress(b"\0" * 512, mtime=0)[:-9], id="cut"),
    ],
)
def test_damaged_archives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "web-1.tgz").write_bytes(content)
    (gap,) = scan_paths([str(tmp_path / "web-1.tgz")]).undecided
    assert "damaged" in gap.reason or "no chart" in gap.reason


def test_an_archive_that_unpacks_to_too_much(tmp_path: Path) -> None:
    path = tmp_path / "web-1.tgz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        info, _ = member("web/big.bin")
        info.size = 1 << 40
        stream.write(info.tobuf())
        for _ in range(70):
            stream.write(b"\0" * (1 << 20))
    with pytest.raises(LimitError, match="unpacks to more"):
        open_chart(path)
    assert "unpacks to more" in scan_paths([str(path)]).undecided[0].reason


def test_an_archive_that_is_no_chart(tmp_path: Path) -> None:
    path = packed(tmp_path / "data.tgz", [member("x/y.yaml", POD.format("a:1"))])
    assert scan_paths([str(tmp_path)]).undecided == ()
    assert "no chart" in scan_paths([str(path)]).undecided[0].reason


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'Error: it broke' >&2; exit 1", "it broke"),
        ("exit 3", "status 3"),
        ("yes 2>/dev/null", "printed more than"),
        ("sleep 60", "did not end within"),
    ],
)
def test_a_helm_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str) -> None:
    program = tmp_path / "helm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(charts, "helm", lambda: str(program))
    assert problem in render(tmp_path, patience=1.5).problem


def test_helm_sees_neither_a_home_nor_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "helm"
    program.write_text('#!/bin/sh\nenv\nfor each in "$@"; do echo "[$each]"; done\n')
    program.chmod(0o755)
    monkeypatch.setattr(charts, "helm", lambda: str(program))
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    said = render(tmp_path / "-x; y", values=[tmp_path / "v"]).output.decode()
    assert "hush" not in said
    assert f"HOME={os.environ['HOME']}\n" not in said
    assert f"[{tmp_path}/-x; y]" in said
    assert f"[--values]\n[{tmp_path}/v]" in said


@needs("helm")
def test_helm_renders_a_chart(tmp_path: Path) -> None:
    put(tmp_path / "web", CHART)
    put(tmp_path, {"v.yaml": "image: {tag: '9'}\n"})
    scan = scan_paths([str(tmp_path / "web")])
    assert (scan.names(), scan.undecided) == (["docker.io/acme/web:2.5"], ())
    assert "web (helm template):" in scan.images[0].findings[0].where
    run("helm", "package", "web", cwd=tmp_path)
    archive = str(tmp_path / "web-0.1.0.tgz")
    assert scan_paths([archive], values=[tmp_path / "v.yaml"]).names() == ["docker.io/acme/web:9"]
    (tmp_path / "web/templates/bad.yaml").write_text('{{ fail "no such luck" }}')
    scan = scan_paths([str(tmp_path / "web")])
    assert "no such luck" in scan.undecided[0].reason
    assert scan.names(uncertain=True) == ["docker.io/acme/web:2.5"]


@needs("helm")
def test_the_guesses_about_helm_s_own_starter_are_what_it_renders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("helm", "create", "web", cwd=tmp_path)
    rendered = scan_paths([str(tmp_path / "web")]).names()
    monkeypatch.setattr(charts, "helm", lambda: None)
    assert scan_paths([str(tmp_path / "web")]).names(uncertain=True) == rendered
    assert len(rendered) == 2


# Writing


def test_a_new_manifest(tmp_path: Path) -> None:
    put(tmp_path, {"a.yaml": POD.format("a:1") + "---\napiVersion: e.com/v1\nkind: X\nimage: b:1\n"})
    scan = scan_paths([str(tmp_path / "a.yaml")])
    out = tmp_path / "edge-site.yaml"
    assert write_manifest(out, scan, platforms=["linux/arm64"], uncertain=False) == 1
    wishes = read_wishes(out.read_bytes(), "x")
    assert (wishes.name, wishes.wishes[0].name) == ("edge-site", "docker.io/library/a")
    assert "  # - docker.io/library/b:1    # perhaps: " in out.read_text()
    with pytest.raises(ConfigError, match="exists already"):
        write_manifest(out, scan, uncertain=False)
    with pytest.raises(ConfigError, match="--name"):
        write_manifest(tmp_path / "o.yaml", scan, name="A B", uncertain=False)
    with pytest.raises(ConfigError, match="--platform"):
        write_manifest(tmp_path / "o.yaml", scan, platforms=["x]\nname: evil"], uncertain=False)
    with pytest.raises(NotFoundError, match="no image"):
        write_manifest(tmp_path / "o.yaml", scan_paths([str(out)]), uncertain=False)
    assert not (tmp_path / "o.yaml").exists()


def test_extending_replaces_the_file_only_if_something_is_new(tmp_path: Path) -> None:
    path = tmp_path / "bundle.yaml"
    path.write_text("apiVersion: bundler/v1\nkind: Bundle\nname: x\nimages:\n  - a:1  # mine\n")
    (tmp_path / "link.yaml").symlink_to("bundle.yaml")
    before = path.stat().st_ino
    assert extend_manifest(path, ["docker.io/library/a:1"]) == []
    assert path.stat().st_ino == before
    assert extend_manifest(tmp_path / "link.yaml", ["docker.io/library/b:1"]) == ["docker.io/library/b:1"]
    assert path.read_text().endswith("  - a:1  # mine\n  - docker.io/library/b:1\n")
    assert (tmp_path / "link.yaml").is_symlink()


def test_helm_is_not_let_out_of_a_chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "helm"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho rendered\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("name: web\n")
    (chart / "templates" / "same.yaml").symlink_to("../Chart.yaml")
    assert render(chart).output == b"rendered\n"
    (tmp_path / "secret.yaml").write_text("mine")
    (chart / "templates" / "a.yaml").symlink_to("../../secret.yaml")
    rendered = render(chart)
    assert "leads out of the chart" in rendered.problem
    assert rendered.output == b""
