"""The embedded OCI registry: push, pull, tags, ranges and a catalog over a store (distribution-spec 1.1).

    application.py   the routes: what is asked, and how it is answered
    answers.py       what holds for every answer: caps, read-only mode, error documents
    bodies.py        request bodies, in batches to worker threads
    contents.py      the store as a registry sees it: repositories, tags, manifests, blobs
    names.py         which names of the store a repository path stands for
    uploads.py       upload sessions: files that grow, hashed as they grow
    failure.py       what went wrong, as the error document of the specification
    serve.py         a server in this process
    process.py       the same in a process of its own, for as long as a ``with`` block lasts

Not done here: access control, deletion and the referrers API (clients fall back to the referrers tag, as the
specification says). starlette and granian come with the extra ``registry``; only application, serve and what they import
need them.
"""
