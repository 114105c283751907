"""Commands that look after a store: ls, check, gc, rm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.garbage import show
from bundler.cli.options import LOCAL_JOBS, AsJson, Jobs, StoreDir, store_directory
from bundler.cli.sizes import human
from bundler.errors import StoreError, quoted

app = typer.Typer(help="Look after a store.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def family() -> None:
    """Look after a store: what it holds, whether it is sound, what can go."""


@app.command("ls")
def ls(ctx: typer.Context, *, store: StoreDir = None, as_json: AsJson = False) -> None:
    """List the images of a store with their sizes.

    Example: bundler store ls --store /srv/store
    """
    from bundler.store import Store

    console = console_of(ctx)
    images = Store.open(str(store_directory(store))).usage()
    if as_json:
        console.json([
            {
                "name": image.name,
                "digest": image.root.digest,
                "mediaType": image.root.media_type,
                "size": image.size,
                "unique": image.unique,
                "missing": image.missing,
            }
            for image in images
        ])  # fmt: skip
        return
    rows = [(quoted(i.name), i.root.digest[:19], human(i.size), human(i.unique)) for i in images]
    console.table(("image", "digest", "size", "only here"), rows)
    console.say(f"{len(images)} images")


@app.command()
def check(
    ctx: typer.Context,
    *,
    store: StoreDir = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put bad blobs into quarantine, to be pulled again.")
    ] = False,
    as_json: AsJson = False,
    jobs: Jobs = LOCAL_JOBS,
) -> None:
    """Hash every blob again and look whether every image is complete.

    Example: bundler store check --store /srv/store
    """
    from bundler.store import Store

    console = console_of(ctx)
    directory = store_directory(store)
    with ThreadPoolExecutor(jobs) as executor:
        found = Store.open(str(directory)).check(repair=repair, executor=executor)
    if as_json:
        console.json({
            "blobs": found.blobs,
            "size": found.size,
            "images": found.images,
            "bad": [{"digest": bad.digest, "problem": bad.problem} for bad in found.bad],
            "missing": [{"image": gone.image, "digest": gone.want.digest} for gone in found.missing],
            "orphans": [{"digest": digest, "size": size} for digest, size in found.orphans],
        })  # fmt: skip
    else:
        for bad in found.bad:
            console.result(f"BAD      {bad.digest}  {quoted(bad.problem)}")
        for gone in found.missing:
            console.result(f"MISSING  {gone.want.digest}  needed by {quoted(gone.image)}")
        spare = sum(size for _, size in found.orphans)
        console.result(
            f"{found.blobs} blobs, {human(found.size)}, {found.images} images; {len(found.bad)} bad, "
            f"{len(found.missing)} missing, {len(found.orphans)} not needed ({human(spare)})"
        )
    if not found.sound:
        todo = "pull again" if repair else "run it with --repair, then pull again"
        raise StoreError(f"{directory}: {len(found.bad)} blobs are bad, {len(found.missing)} missing", hint=todo)


@app.command()
def gc(
    ctx: typer.Context,
    *,
    store: StoreDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and keep it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what no image needs; what came to a registry over this store within the last hour is kept.

    Example: bundler store gc --store /srv/store --dry-run
    """
    from bundler.journey.serving import collect_garbage

    console = console_of(ctx)
    gone = collect_garbage(store_directory(store), dry_run=dry_run)
    show(console, gone, dry_run=dry_run, as_json=as_json)


@app.command()
def rm(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Full names, as `store ls` prints them.")],
    *,
    store: StoreDir = None,
) -> None:
    """Remove images' names; `store gc` then frees what no other image needs.

    Example: bundler store rm docker.io/library/nginx:1.27 --store /srv/store
    """
    from bundler.store import Store

    Store.open(str(store_directory(store))).remove(names)
    console_of(ctx).say(f"removed {len(names)} names; `bundler store gc` frees the room")
