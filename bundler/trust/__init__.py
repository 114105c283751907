"""Whether to trust a bundle: keys, signed envelopes, and the numbered verification that alone makes a ``Trusted``.

Nothing here opens a file, asks a network or looks at a clock: bytes, keys and the time come in, a verdict comes out.

    keys      public keys, which own their algorithm         signing   private keys; verification never imports it
    dsse      the envelope around a statement                keyfile   private keys as encrypted PEM
    sums      SHA256SUMS and the names beside it             pem       one block of PEM
    verify    the steps in their order, and ``Trusted``
    root      a site's root of trust, walked as TUF says     root_making  the next one; verification never imports it
    state     what a site has accepted                       clock        what time it is where clocks lie
"""
