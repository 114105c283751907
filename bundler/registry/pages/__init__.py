"""The registry's pages for people: what is there, in any browser, without a script and without anything from elsewhere.

    routes.py       where the pages are, who may see which, and the headers that fence them in
    render.py       templates/*.html and templates/style.css, with everything from outside escaped
    overview.py     the first page: repositories, and what they are served from
    repository.py   one repository: tags, manifests without one
    image.py        one manifest: an image, an index or an artifact, and what refers to it
    config.py       what an image's config says, for the page of the image
    reading.py      manifests and configs of one page, read within a budget
    commands.py     how to pull with podman, docker, skopeo, nerdctl, ctr, crictl and oras
    address.py      the host as the browser sees it, and the addresses of the pages
    text.py         sizes, times and digests for people; what a stranger wrote, made visible
    paging.py       long lists, by pages

Overview, repository and image are models made from :class:`bundler.registry.contents.Contents` alone: dataclasses that
templates print. All texts in them may be an attacker's; :mod:`render` alone turns them into HTML.
"""
