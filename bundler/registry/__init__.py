"""The registry that bundler brings along: the whole of distribution-spec 1.1 over a store, over bundles, or over both.

    layers.py         what is served from, one behind the other: store_layer.py, bundle_layer.py
    names.py          which names of a store or a bundle a repository path stands for
    reach.py          what a root leads to; so, which contents belong to a repository
    arrivals.py       what came to a repository, and when
    contents.py       what there is to read
    changes.py        what clients change; uploads.py has the sessions
    upkeep.py         garbage collection beside pushes and pulls
    access/           passwords, rights
    routes/           the endpoints, a module per family
    answers.py        what holds for every answer; failure.py is the error document, bodies.py how bodies are read
    application.py    the endpoints as an ASGI application
    pages/            the pages for people
    operations/       access log, metrics, health, an orderly end, the service manager
    site.py           all of it put together
    certificate.py    a certificate of its own
    opening.py        the layers, opened together
    serve.py          a server in this process
    process.py        the same in a process of its own, for as long as a ``with`` block lasts

What it needs comes with the extra ``registry``; only what serves imports it, and extra.py says what is missing.
"""
