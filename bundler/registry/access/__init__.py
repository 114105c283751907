"""Who may do what in the registry: passwords as Apache keeps them, rights in YAML, and the answers that refuse.

    access.py       the visitor behind a request, what he may do, and how he is refused
    passwords.py    whether a password is right: bcrypt, a few at once, right ones remembered for a while
    htpasswd.py     the file of passwords: read, and changed by `bundler registry passwd`
    rights.py       the file of rights
    patterns.py     repositories by pattern
    files.py        files that are read again when they change, and written whole

Importing this loads no bcrypt, no RE2 and no YAML: they come with the first file that needs them.
"""

from __future__ import annotations

from bundler.registry.access.access import Access, Visitor
from bundler.registry.access.passwords import Passwords, remove_user, set_password
from bundler.registry.access.rights import Right, Rights

__all__ = ["Access", "Passwords", "Right", "Rights", "Visitor", "remove_user", "set_password"]
