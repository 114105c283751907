"""The connected side: resolve names to digests, survey what they need, carry it into a target.

Nothing here knows a medium. Sources are opened by a function that the composition root passes in, and targets are the
store, a bundle being written, or anything else that speaks the protocols of :mod:`bundler.content`.

    resolve       wishes → a lock              attachments    what else is there about an image
    carry         a lock → contents in a target        beside         signatures that lie beside a registry
                                               listed         what lies beside an image in a layout
"""
