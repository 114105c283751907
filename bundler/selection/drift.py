"""A lock compared: with another lock, with the wishes it was made for, and with a pattern of names.

For ``lock --check``, ``lock --update NAME`` and ``diff``.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from bundler.errors import NotFoundError, quoted
from bundler.selection.locked import Attachment, Lock, LockedImage
from bundler.selection.wishes import Wish, Wishes
from bundler.selection.yaml_tree import suggestion


def drift(old: Lock, new: Lock) -> list[str]:
    """What differs between two locks, a line each, in the order of sources; empty if they carry the same images."""
    lines = []
    if (old.name, old.channel) != (new.name, new.channel):
        lines.append(f"the line is {new.name} {new.channel}, was {old.name} {old.channel}")
    before = {(image.source, image.target): image for image in old.images}
    after = {(image.source, image.target): image for image in new.images}
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        name = f"{quoted(key[0])} ({quoted(key[1])})"
        if was is None and now is not None:
            lines.append(f"{name}: new, {now.root.digest}")
        elif now is None and was is not None:
            lines.append(f"{name}: gone, was {was.root.digest}")
        elif was is not None and now is not None:
            lines.extend(f"{name}: {change}" for change in _changes(was, now))
    return lines


def _changes(was: LockedImage, now: LockedImage) -> list[str]:
    changes = []
    if was.origin.digest != now.origin.digest:
        changes.append(f"moved upstream from {was.origin.digest} to {now.origin.digest}")
    elif was.root.digest != now.root.digest:
        changes.append(f"carried as {now.root.digest}, was {was.root.digest}")
    children = {child.digest for child in was.children}, {child.digest for child in now.children}
    if was.index != now.index or (was.origin.digest == now.origin.digest and children[0] != children[1]):
        changes.append(f"carries {_carried(now)}, was {_carried(was)}")
    for label, some in (("new", _extra(now, was)), ("gone", _extra(was, now))):
        changes.extend(f"attachment {quoted(one.tag) or one.root.digest} {label}" for one in some)
    return changes


def _carried(image: LockedImage) -> str:
    platforms = ", ".join(str(platform) for platform in image.platforms)
    return f"{image.index} ({platforms})" if platforms else image.index


def _extra(these: LockedImage, those: LockedImage) -> list[Attachment]:
    known = {(one.tag, one.root.digest) for one in those.attachments}
    return [one for one in these.attachments if (one.tag, one.root.digest) not in known]


def stale(lock: Lock, wishes: Wishes) -> list[str]:
    """Why ``lock`` is not one for ``wishes``, a line each; empty if it is. Nothing is looked up."""
    lines = []
    if (lock.name, lock.channel) != (wishes.name, wishes.channel):
        lines.append(f"the lock is of {lock.name} {lock.channel}, not of {wishes.name} {wishes.channel}")
    locked = {image.wish for image in lock.images}
    prints = {wish.fingerprint: wish for wish in wishes.wishes}
    # An image that two wishes mean in the same way is locked for the first of them: the second may have none left.
    met = {_way(wish) for fingerprint, wish in prints.items() if fingerprint in locked}
    lines.extend(
        f"{wish.where}: {quoted(str(wish))} is new or changed since the lock was made"
        for fingerprint, wish in prints.items()
        if fingerprint not in locked and not wish.optional and _way(wish) not in met
    )
    lines.extend(f"{quoted(image.source)} is no longer wished for" for image in lock.images if image.wish not in prints)
    return lines


def _way(wish: Wish) -> tuple[object, ...]:
    return (str(wish), wish.target, wish.options)


def locked_for(lock: Lock, wish: Wish) -> tuple[LockedImage, ...]:
    """The images that were locked for exactly this wish."""
    return tuple(image for image in lock.images if image.wish == wish.fingerprint)


def is_match(image: LockedImage, pattern: str) -> bool:
    """Whether ``pattern`` (``*`` and ``?`` as in a shell, across slashes) is the image's source or target.

    With or without transport, registry, tag or digest: ``nginx``, ``library/nginx``, ``docker.io/library/nginx:1.*``,
    ``docker://docker.io/library/nginx:1.27``.
    """
    names = {image.source, image.target}
    names |= {name.partition("://")[2] for name in (image.source,) if "://" in name}
    names |= {_untagged(name) for name in names}
    names |= {name.rpartition("/")[2] for name in names}
    return any(fnmatchcase(name, pattern) for name in names)


def _untagged(name: str) -> str:
    name = name.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def matching(lock: Lock, pattern: str) -> tuple[LockedImage, ...]:
    """The locked images that ``pattern`` names; :class:`NotFoundError` with the nearest name if there is none."""
    found = tuple(image for image in lock.images if is_match(image, pattern))
    if not found:
        names = sorted({_untagged(image.target) for image in lock.images})
        raise NotFoundError(f"the lock has no image {quoted(pattern)!r}", hint=suggestion(pattern, names[:50]))
    return found
